//! The names that clients ask for, as they write them.

/// The port of `https` that goes without saying.
pub const HTTPS: u16 = 443;
/// That of `http`.
pub const HTTP: u16 = 80;

/// A name as a client writes it that asks at this port; a port that the name has already counts. That which goes without saying is left out.
#[must_use]
pub fn name_at(host: &str, port: u16, usual: u16) -> String {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    let whole = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    without_usual_port(&whole, usual)
}

/// A name without the port that goes without saying.
#[must_use]
pub fn without_usual_port(name: &str, usual: u16) -> String {
    name.strip_suffix(&format!(":{usual}")).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_port_that_does_not_go_without_saying() {
        for (host, port, name) in [
            ("b.example", 443, "b.example"),
            ("b.example", 8443, "b.example:8443"),
            ("b.example:443", 8443, "b.example"),
            ("b.example:1", 8443, "b.example:1"),
            ("b.example:", 8443, "b.example::8443"),
        ] {
            assert_eq!(name_at(host, port, HTTPS), name, "{host} at {port}");
        }
    }
}
