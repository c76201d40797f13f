//! A raster image of a snapshot, as the page of its file shows it. It is hostile: what it is is read from its first bytes and never from its name, it is
//! never larger than a browser decodes with ease, and its answer lets nothing run and nothing be loaded.
//!
//! Refused here: SVG and all else that is a document.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};

use super::Asked;
use super::download::too_many;
use super::places::Place;
use super::problem::Problem;
use crate::reply::Reply;
use crate::site::Site;

/// Bytes of one; what one read of a content gives at most.
pub(super) const IMAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Pixels of one: 4 bytes each in the browser.
const PIXELS_MAX: u64 = 40_000_000;

/// Nothing runs and nothing is loaded, wherever it is opened.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raster {
    /// Its media type.
    pub(super) kind: &'static str,
    pub(super) width: u64,
    pub(super) height: u64,
}

pub(super) async fn send(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let record = place.file(asked).await?;
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let reader = place.view.reader(&record);
    let failed = |error| place.problem(error);
    let not_shown = || Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not shown as a picture");
    if reader.size() > IMAGE_BYTES_MAX {
        return Err(not_shown().because(format!("it has more than {IMAGE_BYTES_MAX} bytes")).next("Download it."));
    }
    let bytes = place.view.reader(&record).read_at(0, IMAGE_BYTES_MAX).await.map_err(failed)?;
    let raster = raster(&bytes).ok_or_else(|| {
        not_shown()
            .because(
                "its first bytes are not those of a PNG, JPEG, GIF or WebP of a size that a browser shows with ease",
            )
            .next("Download it.")
    })?;
    let mut reply = Reply::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(raster.kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(reply)
}

/// What an image is by its first bytes; none where it is none, or has more pixels than is good for anybody.
pub(super) fn raster(bytes: &[u8]) -> Option<Raster> {
    let (kind, (width, height)) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        ("image/png", (big(bytes, 16, 4)?, big(bytes, 20, 4)?))
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        ("image/gif", (little(bytes, 6, 2)?, little(bytes, 8, 2)?))
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        ("image/jpeg", jpeg(bytes)?)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12)? == b"WEBP" {
        ("image/webp", webp(bytes)?)
    } else {
        return None;
    };
    let is_shown = width > 0 && height > 0 && width.checked_mul(height)? <= PIXELS_MAX;
    is_shown.then_some(Raster { kind, width, height })
}

fn big(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn little(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Segments follow each other up to the one with the size.
fn jpeg(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut at = 2;
    loop {
        let [0xff, marker] = *bytes.get(at..at + 2)? else { return None };
        let length = usize::try_from(big(bytes, at + 2, 2)?).ok()?;
        match marker {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => return Some((big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?)),
            _ => {}
        }
        at = at.checked_add(2)?.checked_add(length.max(2))?;
    }
}

fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    match bytes.get(12..16)? {
        b"VP8X" => Some((little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1)),
        b"VP8 " => Some((little(bytes, 26, 2)? & 0x3fff, little(bytes, 28, 2)? & 0x3fff)),
        b"VP8L" => {
            let packed = little(bytes, 21, 4)?;
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()].concat()
    }

    #[test]
    fn an_image_is_what_its_first_bytes_say_and_no_larger_than_is_good() {
        let jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x02\x00\x03rest";
        let lossless = [b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".as_slice(), &(6_u32 | 8 << 14).to_le_bytes()].concat();
        for (bytes, expected) in [
            (png(8, 9), Some(("image/png", 8, 9))),
            (b"GIF89a\x05\x00\x06\x00".to_vec(), Some(("image/gif", 5, 6))),
            (jpeg.to_vec(), Some(("image/jpeg", 3, 2))),
            (lossless, Some(("image/webp", 7, 9))),
            (png(0, 9), None),
            (png(100_000, 100_000), None),
            (png(8, 9).into_iter().take(20).collect(), None),
            (b"\xff\xd8\xff\xff\xff\xff\xff\xff".to_vec(), None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), None),
            (b"<!doctype html>".to_vec(), None),
            (Vec::new(), None),
        ] {
            let found = raster(&bytes).map(|raster| (raster.kind, raster.width, raster.height));
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
