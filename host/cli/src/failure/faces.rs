//! What a person does where the page, a mount or a job cannot be had.

use credenza_app::bootstrap::BootstrapError;
use credenza_app::jobs::{JobsError, Problem};
use credenza_app::shell::shell_word;
use credenza_app::users::UsersError;
use credenza_serve::{Error as ServeError, ListenError};
use credenza_web::Error as WebError;

use super::{Exit, Failure};

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        let said = Self::of(&error);
        match error {
            WebError::NotLoopback { address } => said.exit(Exit::Usage).hint(format!(
                "listen at this machine, `credenza ui --listen 127.0.0.1:{port}`, and forward the port from the other: ssh -L {port}:127.0.0.1:{port} HOST; or serve others by --host NAME with --tls-cert FILE --tls-key FILE or --behind-proxy",
                port = if address.port() == 0 { 8080 } else { address.port() }
            )),
            WebError::Listen(error) => of_listening(&error),
            WebError::NoHost => said.exit(Exit::Usage).hint("name it, as browsers write it: --host backup.example.com"),
            WebError::NoUsers => said.hint("add the first: credenza ui user add NAME --role admin"),
            WebError::Users(error) => (*error).into(),
            WebError::Provider { .. } => said.exit(Exit::Usage).hint("give its issuer, as it names itself: --oidc-issuer https://…"),
            WebError::WeakProxySecret { .. } => said.hint("make one: head -c 32 /dev/urandom | base64 > FILE"),
            WebError::Random(_) => said,
        }
    }
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        let said = Self::of(&error);
        match error {
            UsersError::File(error) => error.into(),
            UsersError::Name { .. } => said.exit(Exit::Usage),
            UsersError::Unknown { similar: Some(similar), .. } => said.exit(Exit::Usage).hint(format!("did you mean `{similar}`?")),
            UsersError::Unknown { similar: None, .. } => said.exit(Exit::Usage).hint("see which there are: credenza ui user list"),
            UsersError::Exists { name } => said.hint(format!(
                "for another password: credenza ui user password {name}; for another role: credenza ui user role {name} ROLE"
            )),
            UsersError::Weak(_) => said.hint("take some words that nobody would guess together"),
            UsersError::Proof(_) => said,
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let said = Self::of(&error);
        match error {
            ServeError::Engine(error) => error.into(),
            ServeError::NoFolder { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
                said.hint(format!("mkdir -p {}", shell_word(&path.to_string_lossy())))
            }
            ServeError::NoFolder { .. } => said,
            ServeError::Occupied { path, .. } => said.hint(format!(
                "mount on another folder, or take away what is there: umount {}",
                shell_word(&path.to_string_lossy())
            )),
            ServeError::OverRepository { .. } => {
                said.because("a program that reads the mount would wait for the repository, and the repository for that program")
                    .hint("mount on a folder elsewhere, such as one made by: mktemp -d")
            }
            ServeError::NoDevice => said.hint(
                "load the module of the kernel: modprobe fuse; a container needs --device /dev/fuse --cap-add SYS_ADMIN",
            ),
            ServeError::NoHelper => said.hint("install it, on Debian: apt-get install fuse3; or mount as root"),
            ServeError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => said.hint(
                "a container needs --device /dev/fuse --cap-add SYS_ADMIN; users can use --allow-other only with user_allow_other in /etc/fuse.conf",
            ),
            ServeError::Listen(error) => of_listening(&error),
            ServeError::NotLoopback { address } => said.exit(Exit::Usage).hint(format!(
                "listen at this machine, --listen 127.0.0.1:{port}, and forward the port from the other: ssh -L {port}:127.0.0.1:{port} HOST; or serve others by TLS: --name NAME --tls-cert FILE --tls-key FILE",
                port = if address.port() == 0 { 9000 } else { address.port() }
            )),
            ServeError::Refused { .. }
            | ServeError::BrokenOff { .. }
            | ServeError::Lacks { .. }
            | ServeError::Random { .. } => said,
        }
    }
}

fn of_listening(error: &ListenError) -> Failure {
    let said = Failure::of(error);
    match error {
        ListenError::Bind { .. } => said.hint("leave out --listen, and the system chooses a port that is free"),
        ListenError::Pem { .. } | ListenError::Tls { .. } => {
            said.hint("give PEM files of one server: --tls-cert with its chain, --tls-key with the private key")
        }
    }
}

impl From<BootstrapError> for Failure {
    fn from(error: BootstrapError) -> Self {
        let said = Self::of(&error);
        match error {
            BootstrapError::None { hosts, .. } if hosts.is_empty() => said.hint(
                "a machine leaves its configuration when it backs up into a repository that the configuration names, or runs a job",
            ),
            BootstrapError::None { hosts, .. } | BootstrapError::Several { hosts } => {
                said.exit(Exit::Usage).hint(format!("name one: --host {}", hosts.iter().map(|host| shell_word(host)).collect::<Vec<_>>().join(", or --host ")))
            }
            BootstrapError::Exists { path } => said.exit(Exit::Usage).hint(format!(
                "nothing is overwritten: move it aside, or name another folder: CREDENZA_CONFIG=FOLDER credenza bootstrap …; it is {}",
                shell_word(&path.to_string_lossy())
            )),
            BootstrapError::Write { .. } => said,
        }
    }
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        Self::of_jobs(&error)
    }
}

/// Faults that were found while a file was used.
impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        let said = |problem: &Problem| format!("`{}`: {}; {}", problem.key, problem.what, problem.remedy);
        Self::usage(problems.iter().map(said).collect::<Vec<_>>().join("\n  "))
    }
}
