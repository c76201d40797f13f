//! Asking for what was not granted. Each answers what came of it, so that a test sees a host that let it through.

use credenza_sdk::http::{self, Request};
use credenza_sdk::{Error, ErrorClass, Result};

/// The endpoint of the manifest.
const ENDPOINT: &str = "service";

/// Sends the request of the behaviour, when it is one of this file.
pub(crate) fn escape(behaviour: &str) -> Result<()> {
    let request = match behaviour {
        "escapes-verb" => Request::new("DELETE", ENDPOINT, "/x"),
        "escapes-endpoint" => Request::new("GET", "elsewhere", "/x"),
        "escapes-path" => Request::new("GET", ENDPOINT, "/../forbidden"),
        "escapes-headers" => dressed_up(),
        "escapes-parameters" => Request::new("POST", ENDPOINT, "/x?delete&restore"),
        "escapes-by-code" => Request::new("POST", ENDPOINT, "/x?restore&%64elete"),
        "escapes-by-header" => Request::new("GET", ENDPOINT, "/x").with_header("x-amz-acl", "public-read"),
        "asks-in-vain" => return Err(ask_for_ever()),
        _ => return Ok(()),
    };
    match http::send(&request, None) {
        Ok(response) => Err(came_back(response.status())),
        // A class that begs for another try: the host must not believe it.
        Err(error) => Err(Error::new(ErrorClass::Transient, error.reason, error.message)),
    }
}

/// Each refusal is another try, as long as the host puts up with it.
fn ask_for_ever() -> Error {
    loop {
        if let Ok(response) = http::send(&Request::new("DELETE", ENDPOINT, "/x"), None) {
            return came_back(response.status());
        }
    }
}

/// A request with headers that belong to the host, and one that ends the head early.
fn dressed_up() -> Request {
    Request::new("GET", ENDPOINT, "/x")
        .with_header("authorization", "Bearer mine")
        .with_header("host", "elsewhere.example.com")
        .with_header("x-injected", "a\r\nx-second: b")
}

fn came_back(status: u16) -> Error {
    Error::new(ErrorClass::Internal, "hostile.answered", format!("the host let the request through: status {status}"))
}

/// Asks a server that echoes the request's headers, and answers what it saw: the host must mask its secrets in it.
pub(crate) fn echoed() -> Result<String> {
    let response = http::send(&Request::new("GET", ENDPOINT, "/echo"), None)?;
    let headers: Vec<String> = response.headers().into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = http::Response::into_body(response).read_all(64 * 1024)?;
    Ok(format!("{} {}", headers.join(", "), String::from_utf8_lossy(&body)))
}
