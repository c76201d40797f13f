//! The connector to copy: a source of files at an HTTP address, named one by one in the settings.
//!
//! Owned here: which requests are made and what their answers mean. Refused here: host names, credentials, retries and the bytes
//! of the files, which are the host's. Called by the host through the contract in `wit/`.

use credenza_sdk::http::{self, Request, Response};
use credenza_sdk::{
    Batch, ByteRange, Check, Config, Connector, Content, Entry, EntryKind, Error, ErrorClass, Found, Opened, Result,
    ScanOptions, Scanner, Source, SourceInfo,
};

/// The endpoint that `connector.toml` declares.
const ENDPOINT: &str = "files";

/// The configured files.
#[derive(Debug)]
pub struct Files {
    identity: String,
    folder: String,
    names: Vec<String>,
}

credenza_sdk::export!(Files: source);

impl Connector for Files {}

impl Source for Files {
    fn open(config: &Config) -> Result<Self> {
        let text = |name| config.text(name).unwrap_or_default();
        let mut names = config.texts("files").unwrap_or_default().to_vec();
        names.sort();
        names.dedup();
        let folder = text("folder").trim_matches('/').to_owned();
        Ok(Self { identity: format!("web://{}/{folder}", text("host")), folder, names })
    }

    fn info(&self) -> Result<SourceInfo> {
        let traits = vec!["ordered-scan".to_owned()];
        Ok(SourceInfo { identity: self.identity.clone(), namespace: "flat".to_owned(), traits })
    }

    fn check(&self) -> Vec<Check> {
        let check = |name: &String| Check {
            name: format!("read {name}"),
            outcome: self.get("HEAD", name).map(|_| "ok".to_owned()),
        };
        self.names.iter().map(check).collect()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        let after = options.start_after.unwrap_or_default();
        let wanted =
            |name: &&String| name.as_bytes().starts_with(&options.prefix) && name.as_bytes() > after.as_slice();
        Ok(Box::new(Names(self.names.iter().filter(wanted).cloned().collect())))
    }

    fn read(&self, entry: Entry, range: Option<ByteRange>, _if_match: Option<String>) -> Result<Opened> {
        if range.is_some() {
            return Err(Error::new(ErrorClass::Unsupported, "template.range", "this source reads whole files only"));
        }
        let response = self.get("GET", &String::from_utf8_lossy(&entry.key))?;
        Ok(Opened { entry, content: Content::Ready(Response::into_body(response)) })
    }
}

impl Files {
    fn get(&self, method: &str, name: &str) -> Result<Response> {
        let response = http::send(&Request::new(method, ENDPOINT, target(&self.folder, name)), None)?;
        match response.status() {
            200 => Ok(response),
            status => Err(explain(status, name)),
        }
    }
}

/// The path of a file, percent-encoded.
fn target(folder: &str, name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path = if folder.is_empty() { format!("/{name}") } else { format!("/{folder}/{name}") };
    path.bytes().map(encode).collect()
}

fn explain(status: u16, name: &str) -> Error {
    let class = match status {
        404 | 410 => ErrorClass::NotFound,
        401 | 403 => ErrorClass::Denied,
        429 | 500..=599 => ErrorClass::Transient,
        _ => ErrorClass::Internal,
    };
    Error::new(class, "template.status", format!("reading `{name}` failed: the server answered status {status}"))
}

/// The names still to be told, in order.
struct Names(Vec<String>);

impl Scanner for Names {
    fn next(&mut self, max: u32) -> Result<Batch> {
        let count = self.0.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let found = self.0.drain(..count).map(|name| Found::Entry(Entry::new(name, EntryKind::File))).collect();
        Ok(Batch { found, more: !self.0.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_encoded_below_its_folder() {
        assert_eq!(target("a b", "ü.html"), "/a%20b/%C3%BC.html");
        assert_eq!(target("", "x"), "/x");
    }

    #[test]
    fn a_missing_file_is_not_found_and_a_busy_server_is_tried_again() {
        assert_eq!(explain(404, "x").class, ErrorClass::NotFound);
        assert_eq!(explain(503, "x").class, ErrorClass::Transient);
    }
}
