//! The checksum of a body that a guest has not seen, as a header.

use base64::prelude::{BASE64_STANDARD, Engine};
use credenza_connect::{Payload, checksum_of};
use http::{HeaderName, HeaderValue};

use super::EgressError;

/// Adds the checksum that a guest asked for: S3 insists on one beside the signature where an object is locked, and a guest that hands a
/// body on has not seen its bytes (docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
pub(super) fn add(request: &mut http::Request<()>, payload: &Payload) -> Result<(), EgressError> {
    let asked = request.headers().get("x-amz-sdk-checksum-algorithm").and_then(|algorithm| algorithm.to_str().ok());
    let Some(algorithm) = asked.map(str::to_ascii_lowercase) else { return Ok(()) };
    let value = match algorithm.as_str() {
        "sha256" => Some(payload.sha256().to_vec()),
        algorithm => checksum_of(algorithm, payload),
    };
    if let Some(value) = value {
        let unusable =
            || EgressError::refused("egress.sign", "the checksum that a request asks for has no name".to_owned());
        let name: HeaderName = format!("x-amz-checksum-{algorithm}").parse().map_err(|_| unusable())?;
        let value: HeaderValue = BASE64_STANDARD.encode(value).parse().map_err(|_| unusable())?;
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_added_where_a_guest_asks_for_it() {
        let added = |algorithm: &str| {
            let request = http::Request::put("https://h/b/k").header("x-amz-sdk-checksum-algorithm", algorithm);
            let mut request = request.body(()).unwrap();
            add(&mut request, &Payload::from(b"abc".to_vec())).unwrap();
            let header = format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase());
            request.headers().get(header).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        // The SHA-256 of `abc` in FIPS 180-2, appendix B.1.
        assert_eq!(added("SHA256").unwrap(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        // The check value of CRC-32/ISO-HDLC is of other bytes; this is what `crc32` of any archive tool says of `abc`.
        assert_eq!(added("CRC32").unwrap(), BASE64_STANDARD.encode(0x3524_41c2_u32.to_be_bytes()));
        assert_eq!(added("CRC99"), None);
    }
}
