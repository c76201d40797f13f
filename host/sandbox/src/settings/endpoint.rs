//! The server that the tools of AWS would use on this machine, by the address that somebody wrote for them.

/// An address and who names it. It is only printed by who names it: somebody may have written a password into it.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsEndpoint {
    /// For a person: `AWS_ENDPOINT_URL`.
    pub origin: String,
    /// Scheme and server, such as `http://localhost:9000`.
    pub url: String,
}

impl std::fmt::Debug for AwsEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AwsEndpoint({})", self.origin)
    }
}

impl AwsEndpoint {
    /// The server, with its port if there is one, and whether it speaks TLS.
    ///
    /// # Errors
    /// What is wrong with it, when there is more or less in it.
    pub(crate) fn server(&self) -> Result<(&str, bool), &'static str> {
        let no_scheme = "it does not begin with http:// or https://";
        let (scheme, server) = self.url.trim().split_once("://").ok_or(no_scheme)?;
        let with_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(no_scheme),
        };
        let server = server.strip_suffix('/').unwrap_or(server);
        if server.is_empty() {
            return Err("it names no server");
        }
        if server.contains(['/', '?', '#']) {
            return Err("it has a path, and buckets are at the root of a server here");
        }
        if server.contains('@') {
            return Err("a name and password do not belong there");
        }
        Ok((server, with_tls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<(String, bool), &'static str> {
        let endpoint = AwsEndpoint { origin: "AWS_ENDPOINT_URL".to_owned(), url: url.to_owned() };
        endpoint.server().map(|(server, tls)| (server.to_owned(), tls))
    }

    #[test]
    fn an_address_is_a_server_and_whether_it_speaks_tls() {
        assert_eq!(server("http://localhost:9000"), Ok(("localhost:9000".to_owned(), false)));
        assert_eq!(server("HTTPS://s3.example.com/"), Ok(("s3.example.com".to_owned(), true)));
    }

    #[test]
    fn an_address_with_more_or_less_is_refused_and_never_printed() {
        for url in ["localhost:9000", "ftp://h", "https://", "https://h/minio", "https://me:hunter2@h"] {
            server(url).unwrap_err();
            let endpoint = AwsEndpoint { origin: "AWS_ENDPOINT_URL".to_owned(), url: url.to_owned() };
            assert_eq!(format!("{endpoint:?}"), "AwsEndpoint(AWS_ENDPOINT_URL)");
        }
    }
}
