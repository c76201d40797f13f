//! The content of a file, as an attachment: verified, in order, and as it is read. A browser never shows it as something of this server.

use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::Asked;
use super::places::{Place, folder_of};
use super::problem::Problem;
use crate::reply::{Body, Broken, Reply};
use crate::shown;
use crate::site::Site;

/// Bytes of a name that a browser is reported.
const NAME_BYTES_MAX: usize = 200;

pub(super) async fn send(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let record = place.file(asked).await?;
    let reading = site.reader().ok_or_else(|| too_many(site))?;
    let key = record.entry.key.as_bytes();
    asked.note(site, name, &format!("Download of {}", shown::name(key)), "Begun");
    let content = place.view.content(&record);
    let stop = site.stop.clone();
    // The permit goes with the stream, and is given back when that is dropped.
    let chunks = stream::try_unfold((content, reading, stop), |(mut content, reading, stop)| async move {
        let next = tokio::select! {
            next = content.next() => next.map_err(Broken::from)?,
            () = stop.requested() => return Err(Broken::from("the server ends")),
        };
        Ok::<_, Broken>(next.map(|bytes| (Frame::data(bytes), (content, reading, stop))))
    });
    let mut reply =
        attachment(StreamBody::new(chunks).boxed_unsync(), key.get(folder_of(key).len()..).unwrap_or_default());
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(record.content.bytes()));
    Ok(reply)
}

/// As many are under way as may be.
pub(super) fn too_many(site: &Site) -> Problem {
    let why = format!("{} downloads and searches are under way, and no more may be at once", site.limits.readers);
    Problem::limit("This cannot be read now", why).next("Wait until one of them has ended, and try again.")
}

/// Bytes that a browser keeps and does not show.
pub(super) fn attachment(body: Body, name: &[u8]) -> Reply {
    let mut reply = Reply::new(body);
    *reply.status_mut() = StatusCode::OK;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let disposition = HeaderValue::from_str(&disposition(name));
    headers.insert(CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    reply
}

/// RFC 6266: a plain name for old browsers, and the real one where it is text. No name leads elsewhere, or is hidden.
fn disposition(name: &[u8]) -> String {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let text: String = String::from_utf8_lossy(name)
        .chars()
        .map(|c| if shown::is_visible(c) && c != '/' && c != '\\' { c } else { '_' })
        .collect();
    let text = text.trim_matches(['.', ' ']);
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).filter(|text| !text.is_empty()).unwrap_or("content");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let plain: String = text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent_encode(text.as_bytes(), NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere_hides_or_ends_the_header() {
        let long = [b'x'; 5000];
        for (name, plain) in [
            (&b"a.txt"[..], "a.txt"),
            (b"..", "content"),
            (b".bashrc", "bashrc"),
            (b"..\\..\\a", "_.._a"),
            (b"a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
            (b"a\"b", "a_b"),
            ("gpj\u{202e}exe".as_bytes(), "gpj_exe"),
            (b"\xff", "_"),
            (b"", "content"),
            (&long, &"x".repeat(NAME_BYTES_MAX)),
        ] {
            let header = disposition(name);
            assert!(header.starts_with(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''")), "{header}");
            assert!(HeaderValue::from_str(&header).is_ok(), "{header}");
        }
        assert!(disposition("é.txt".as_bytes()).ends_with("filename*=UTF-8''%C3%A9%2Etxt"));
    }
}
