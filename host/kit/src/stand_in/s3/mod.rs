//! S3: one bucket, `kit`, in path style, with versions and Object Lock
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>).
//!
//! A signature must be there and is not verified: that is the host's, and tested there. What is not known answers `NotImplemented`.

mod bucket;
mod fields;
mod object;
mod upload;

use http::{Method, StatusCode};

use super::files::Files;
use crate::exchange::{Answer, Asked, escape};
use crate::peer::Paging;

/// The bucket, as the first part of a path.
const ROOT: &[u8] = b"kit/";
const XML: &str = "application/xml";

pub(super) fn answer(files: &mut Files, asked: &Asked, paging: Paging) -> Answer {
    let answer = if !asked.header("authorization").is_some_and(|text| text.starts_with("AWS4-HMAC-SHA256 ")) {
        error(StatusCode::FORBIDDEN, "AccessDenied", "the request is not signed")
    } else if asked.path == b"kit" || asked.path == ROOT {
        bucket::answer(files, asked, paging)
    } else if asked.path.starts_with(ROOT) {
        object::answer(files, asked)
    } else {
        error(StatusCode::NOT_FOUND, "NoSuchBucket", "the one bucket here is `kit`")
    };
    let is_bodiless = asked.method == Method::HEAD;
    if is_bodiless { Answer { body: bytes::Bytes::new(), ..answer } } else { answer }
}

/// An error as S3 tells it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let document =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{}</Message></Error>", escape(message));
    Answer::document(status, XML, document)
}

fn not_implemented() -> Answer {
    error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "this stand-in does not know that")
}

fn document(name: &str, content: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{name}>"
    );
    Answer::document(StatusCode::OK, XML, text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn ask(files: &mut Files, line: &str, pairs: &[(&'static str, &str)], body: &str) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let signed = ("authorization", "AWS4-HMAC-SHA256 x");
        let pairs = pairs.iter().chain(std::iter::once(&signed));
        let headers: HeaderMap = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let method = method.parse().unwrap();
        let asked = Asked::new(method, &target.parse().unwrap(), headers, Bytes::copy_from_slice(body.as_bytes()));
        answer(files, &asked, Paging::default())
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    #[test]
    fn an_object_is_written_under_conditions_read_and_hidden() {
        let mut files = Files::default();
        let put = ask(&mut files, "PUT /kit/a%20b", &[("if-none-match", "*"), ("x-amz-meta-x", "y")], "123");
        assert_eq!(
            (put.status.as_u16(), put.headers["etag"].to_str().unwrap()),
            (200, "\"202cb962ac59075b964b07152d234b70\"")
        );
        assert_eq!(ask(&mut files, "PUT /kit/a%20b", &[("if-none-match", "*")], "4").status, 412);
        let got = ask(&mut files, "GET /kit/a%20b", &[("range", "bytes=1-")], "");
        assert_eq!(
            (got.status.as_u16(), text(&got), got.headers["x-amz-meta-x"].to_str().unwrap()),
            (206, "23".into(), "y")
        );
        let id = put.headers["x-amz-version-id"].to_str().unwrap().to_owned();
        assert_eq!(ask(&mut files, "DELETE /kit/a%20b", &[], "").status, 204);
        assert_eq!(ask(&mut files, "HEAD /kit/a%20b", &[], "").status, 404);
        assert!(text(&ask(&mut files, "GET /kit/a%20b", &[], "")).contains("NoSuchKey"));
        assert_eq!(text(&ask(&mut files, &format!("GET /kit/a%20b?versionId={id}"), &[], "")), "123");
        let versions = text(&ask(&mut files, "GET /kit?versions", &[], ""));
        assert!(versions.find("<DeleteMarker>") < versions.find("<Version>"), "{versions}");
    }

    #[test]
    fn a_listing_tells_keys_encoded_and_folds_them() {
        let mut files = Files::default();
        for key in ["a/%2B", "a/c", "d"] {
            ask(&mut files, &format!("PUT /kit/{key}"), &[], "1");
        }
        let listed = text(&ask(&mut files, "GET /kit?list-type=2&encoding-type=url&max-keys=1&prefix=a", &[], ""));
        assert!(listed.contains("<Key>a/%2B</Key>") && listed.contains("<IsTruncated>true"), "{listed}");
        let folded = text(&ask(&mut files, "GET /kit?list-type=2&delimiter=/", &[], ""));
        assert!(folded.contains("<CommonPrefixes><Prefix>a/</Prefix>") && folded.contains("<Key>d</Key>"), "{folded}");
    }

    #[test]
    fn an_upload_in_parts_becomes_an_object_once_all_are_there() {
        let mut files = Files::default();
        let begun = text(&ask(&mut files, "POST /kit/a?uploads", &[("content-type", "x/y")], ""));
        let id = crate::exchange::texts(&begun, "UploadId").remove(0);
        for number in [2, 1] {
            ask(&mut files, &format!("PUT /kit/a?partNumber={number}&uploadId={id}"), &[], &number.to_string());
        }
        let part = |number: u8| format!("<Part><PartNumber>{number}</PartNumber><ETag>x</ETag></Part>");
        let complete = format!("POST /kit/a?uploadId={id}");
        assert_eq!(ask(&mut files, &complete, &[], &part(3)).status, 400);
        let made = text(&ask(&mut files, &complete, &[], &(part(1) + &part(2))));
        assert!(made.contains("-2&quot;"), "{made}");
        assert_eq!(text(&ask(&mut files, "GET /kit/a", &[], "")), "12");
        assert_eq!(ask(&mut files, &complete, &[], &part(1)).status, 404);
    }

    #[test]
    fn many_are_deleted_at_once_and_who_does_not_sign_is_refused() {
        let mut files = Files::default();
        ask(&mut files, "PUT /kit/a", &[], "1");
        let batch = "<Delete><Object><Key>a</Key></Object><Object><Key>&lt;b</Key></Object></Delete>";
        let reported = text(&ask(&mut files, "POST /kit?delete", &[], batch));
        assert!(reported.contains("<Key>a</Key>") && reported.contains("<Key>&lt;b</Key>"), "{reported}");
        assert_eq!(ask(&mut files, "HEAD /kit/a", &[], "").status, 404);
        assert_eq!(ask(&mut files, "GET /kit/a?torrent", &[("x-amz-copy-source", "b")], "").status, 404);
        let uri = "/kit/a".parse().unwrap();
        let unsigned = Asked::new(Method::GET, &uri, HeaderMap::new(), Bytes::new());
        assert_eq!(answer(&mut files, &unsigned, Paging::default()).status, 403);
    }
}
