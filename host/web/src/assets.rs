//! What pages are dressed in: embedded, and named by what it holds, so that a browser may keep it for ever.

use std::sync::LazyLock;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};

use crate::reply::{self, Reply};

/// Where they are.
pub(crate) const FOLDER: &str = "/assets/";
/// Digits of the digest that a name has.
const DIGITS: usize = 16;

/// A file.
pub(crate) struct Asset {
    /// Its path on the server.
    pub(crate) path: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, end: &str, kind: &'static str, text: &'static str) -> Self {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        Self { path: format!("{FOLDER}{stem}-{:.DIGITS$}.{end}", digest.as_str()), kind, text }
    }
}

/// The one stylesheet.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css")));
/// The one script, which only makes faster what works without.
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "js", "text/javascript; charset=utf-8", include_str!("../assets/page.js")));
/// The picture in the tab.
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

/// The file at a path, if there is one.
pub(crate) fn at(path: &str) -> Option<Reply> {
    let asset = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.path == path)?;
    let mut reply = reply::text(StatusCode::OK, asset.kind, asset.text);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Some(reply)
}
