//! The sections `[notify.NAME]`, `[ping.JOB]` and `[mail]` of the file of the jobs, understood.
//!
//! Owned here: what their values mean and which go together. Refused here: reading what they name (`carry`), since a secret that changes is to be read anew.
//! Addresses may be secrets: of one no more than its server is ever shown.

use std::path::PathBuf;

use credenza_sandbox::{MailTls, MessageAddress, is_this_machine, parse_mail_address};

use super::super::reader::Part;
use super::super::schedule::{At, Schedule, Times};
use super::change::Word;
use crate::environment;

/// Digits of a digest that stand for whom a notice is for, in what is kept.
const DIGITS: usize = 16;
/// Ports of mail (RFC 8314, RFC 6409, RFC 5321).
const SUBMISSIONS: u16 = 465;
const SUBMISSION: u16 = 587;
const SMTP: u16 = 25;

/// Who is told of what.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    /// In the order of the file.
    pub sections: Vec<Section>,
    /// Who takes mail.
    pub mail: Option<Mail>,
}

/// One `[notify.NAME]`.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Who hears.
    pub to: Vec<Target>,
    /// Of what.
    pub when: Vec<Word>,
    /// When a summary is sent.
    pub digest: Option<Schedule>,
    /// What proves a webhook's message to be ours.
    pub key: Option<SecretAt>,
    /// What lets us write to a topic of ntfy.
    pub token: Option<SecretAt>,
}

impl Section {
    /// Whether it is told that.
    #[must_use]
    pub fn hears(&self, word: Word) -> bool {
        word == Word::Test || self.when.contains(&word)
    }
}

/// Who hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A program that takes JSON.
    Webhook(MessageAddress),
    /// A topic of ntfy.
    Ntfy(MessageAddress),
    /// A box of mail.
    Mail(String),
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        const REMEDY: &str = "write webhook:https://…, ntfy:https://…/topic or mail:name@example.org";
        let address = |text: &str| {
            MessageAddress::parse(text).map_err(|error| format!("{}: {REMEDY}", error.to_string().replace(": ", ", ")))
        };
        match text.split_once(':') {
            Some(("webhook", rest)) => address(rest).map(Self::Webhook),
            Some(("ntfy", rest)) => address(rest).map(Self::Ntfy),
            Some(("mail", rest)) => match parse_mail_address(rest) {
                Ok(()) => Ok(Self::Mail(rest.to_owned())),
                Err(_) => Err(format!("it is no address of mail: {REMEDY}")),
            },
            _ => Err(format!("it names nobody who could hear: {REMEDY}")),
        }
    }

    /// What a person may see of it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Webhook(address) => format!("webhook:{}", address.shown()),
            Self::Ntfy(address) => format!("ntfy:{}", address.shown()),
            Self::Mail(address) => format!("mail:{address}"),
        }
    }

    /// What stands for it in what is kept.
    pub(in crate::jobs) fn id(&self) -> String {
        let whole = match self {
            Self::Webhook(address) => format!("webhook:{}", address.expose()),
            Self::Ntfy(address) => format!("ntfy:{}", address.expose()),
            Self::Mail(address) => format!("mail:{address}"),
        };
        blake3::hash(whole.as_bytes()).to_hex().chars().take(DIGITS).collect()
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretAt {
    /// In a file.
    File(PathBuf),
    /// A shell command prints it.
    Command(String),
    /// A variable of the environment has it.
    Variable(&'static str),
}

/// Who takes mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is secured.
    pub tls: MailTls,
    /// A file of certificates in PEM that are trusted beside those of the system.
    pub trusted: Option<PathBuf>,
    /// Whose letters are.
    pub from: String,
    /// Who sends, where the server asks, and what proves it.
    pub login: Option<(String, SecretAt)>,
}

/// Reads all sections at the top of a file.
pub(in crate::jobs) fn read(top: &Part<'_>, zone: &jiff::tz::TimeZone) -> Notify {
    let mail = top.part("mail").and_then(|part| mail(&part));
    let sections: Vec<Section> =
        top.named_parts("notify").into_iter().map(|(name, part)| section(name, &part, zone)).collect();
    let is_mail = |target: &Target| matches!(target, Target::Mail(_));
    if !top.has("mail")
        && let Some(section) = sections.iter().find(|section| section.to.iter().any(is_mail))
    {
        let what = format!("`{}` sends mail, and nothing says through which server", section.name);
        top.problem(
            "notify",
            &what,
            "add: [mail] with server = \"mail.example.org\" and from = \"credenza@example.org\"",
        );
    }
    Notify { sections, mail }
}

/// The address of a check of healthchecks.io, or of a server like it.
pub(in crate::jobs) fn ping(part: &Part<'_>) -> Option<MessageAddress> {
    if !part.has("healthchecks") {
        part.problem("", "nothing says whom to tell", "add: healthchecks = \"https://hc-ping.com/…\"");
    }
    part.parsed_secret("healthchecks", |text| {
        MessageAddress::parse(text).map_err(|error| {
            format!("{}: write https://… as the service shows it", error.to_string().replace(": ", ", "))
        })
    })
}

fn section(name: &str, part: &Part<'_>, zone: &jiff::tz::TimeZone) -> Section {
    let texts = part.texts("to");
    if texts.is_empty() {
        part.problem("to", "nobody is told", "name somebody: to = [\"ntfy:https://ntfy.sh/…\"]");
    }
    let to: Vec<Target> =
        texts.into_iter().filter_map(|text| part.understood_secret("to", Target::parse(text))).collect();
    let word = |text: &str| {
        let found = Word::NAMED.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        let names = || Word::NAMED.map(|(name, _)| name).join(", ");
        found.ok_or_else(|| format!("it is nothing that is told: there are {}", names()))
    };
    let when = match part.has("when") {
        true => part.texts("when").into_iter().filter_map(|text| part.understood("when", text, word(text))).collect(),
        false => Word::NAMED.map(|(_, word)| word).to_vec(),
    };
    let digest = part.parsed("digest", At::parse);
    let digest = digest.map(|at| Schedule::new(Times::At(vec![at]), zone.clone(), jiff::SignedDuration::ZERO));
    let (key, token) = (secret(part, "key", environment::NOTIFY_KEY), secret(part, "token", environment::NOTIFY_TOKEN));
    Section { name: name.to_owned(), to, when, digest, key, token }
}

/// Where a secret is: in the file of `NAME_file`, in what `NAME_cmd` prints, else in a variable.
fn secret(part: &Part<'_>, name: &str, variable: &'static str) -> Option<SecretAt> {
    let (file, command) = (format!("{name}_file"), format!("{name}_cmd"));
    if part.has(&file) && part.has(&command) {
        part.problem(&command, "the secret is given twice", &format!("keep one of {file} and {command}"));
    }
    let named = part.text(&file).and_then(|text| part.absolute(&file, text)).map(SecretAt::File);
    named
        .or_else(|| part.text(&command).map(|text| SecretAt::Command(text.to_owned())))
        .or_else(|| environment::variable(variable).map(|_| SecretAt::Variable(variable)))
}

fn mail(part: &Part<'_>) -> Option<Mail> {
    for (key, remedy) in
        [("server", "name it: server = \"mail.example.org\""), ("from", "add: from = \"credenza@example.org\"")]
    {
        if !part.has(key) {
            part.problem(key, "it is missing", remedy);
        }
    }
    let server = part.parsed("server", server);
    let from = part.parsed("from", |text| match parse_mail_address(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err("it is no address of mail: write name@example.org".to_owned()),
    });
    let tls = part.parsed("tls", |text| match text {
        "implicit" => Ok(MailTls::Implicit),
        "starttls" => Ok(MailTls::StartTls),
        "none" => Ok(MailTls::None),
        _ => Err("it is no such word: write implicit, starttls or none".to_owned()),
    });
    let password = secret(part, "password", environment::MAIL_PASSWORD);
    let user = part.text("user").map(str::to_owned);
    if user.is_some() && password.is_none() {
        let remedy = format!("add password_file or password_cmd, or set {}", environment::MAIL_PASSWORD);
        part.problem("user", "nothing says what the password is", &remedy);
    }
    let trusted = part.text("ca_file").and_then(|text| part.absolute("ca_file", text));
    let (host, port) = server?;
    let is_here = is_this_machine(&host);
    let tls = tls.unwrap_or(match port {
        None | Some(SUBMISSIONS) => MailTls::Implicit,
        Some(_) => MailTls::StartTls,
    });
    if tls == MailTls::None && !is_here {
        part.problem(
            "tls",
            "nothing goes without TLS to another machine",
            "write implicit or starttls, or leave it out",
        );
    }
    let port = port.unwrap_or(match tls {
        MailTls::Implicit => SUBMISSIONS,
        MailTls::StartTls => SUBMISSION,
        MailTls::None => SMTP,
    });
    Some(Mail { host, port, tls, trusted, from: from?, login: user.zip(password) })
}

/// `mail.example.org` or `mail.example.org:587`.
fn server(text: &str) -> Result<(String, Option<u16>), String> {
    const REMEDY: &str = "write mail.example.org, or mail.example.org:587";
    let is_bare = |host: &str| !host.is_empty() && !host.contains(['/', '@', ' ', ':']);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| format!("its port is none: {REMEDY}"))?)),
        None => (text, None),
    };
    if is_bare(host) { Ok((host.to_owned(), port)) } else { Err(format!("it is the name of no server: {REMEDY}")) }
}
