//! The in-memory S3 server against an independent client: what the other tests rely on must hold on the wire.

use anyhow::{Result, ensure};
use credenza_e2e::bucket::{self, ODD_KEYS};
use credenza_e2e::s3::{Endpoint, S3};
use credenza_e2e::{Report, memory_server, race};
use credenza_s3_server::{Attributes, Content, Fault, Hold, Operation, Rule, Server};
use http::{Method, StatusCode};
use std::io::{Read, Write};
use std::net::TcpStream;

const BUCKET: &str = "bucket";

fn start() -> Result<(Server, S3)> {
    let (server, endpoint) = memory_server()?;
    server.buckets.create(BUCKET);
    Ok((server, S3::new(endpoint)?))
}

fn status(s3: &S3, method: Method, key: &str, query: &[(&str, &str)], headers: &[(&str, &str)]) -> Result<StatusCode> {
    Ok(s3.send(method, (BUCKET, key.as_bytes()), query, headers, "body")?.status)
}

#[test]
fn it_creates_and_lists_as_s3_does() {
    let mut report = Report::default();
    report.scenario("of twelve clients one creates each object", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create(BUCKET);
        race::expect_one_winner_each(&endpoint, BUCKET, 100)
    });
    report.scenario("every odd key arrives and is listed exactly", || {
        let (server, s3) = start()?;
        for key in ODD_KEYS {
            s3.put(BUCKET, key, format!("body of {key:?}"), &[])?;
        }
        let mut expected = ODD_KEYS.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(server.buckets.keys(BUCKET), expected);
        assert_eq!(s3.keys(BUCKET, "")?, expected);
        for key in ODD_KEYS {
            assert_eq!(s3.get(BUCKET, key)?.body, format!("body of {key:?}"), "{key:?}");
        }
        Ok(())
    });
    report.scenario("a listing comes in pages and in byte order", || {
        let (server, s3) = start()?;
        bucket::fill_many(&server.buckets, BUCKET, 2500);
        assert_eq!(s3.keys(BUCKET, "")?.len(), 2500);
        assert_eq!(server.log().lists(BUCKET), 3);
        assert_eq!(s3.keys(BUCKET, "dir-001/")?.len(), 200);
        Ok(())
    });
    report.scenario("a delimiter folds keys into prefixes across pages", || {
        let (server, s3) = start()?;
        for key in ["a/1", "a/2", "b", "c/1", "c/2", "c/3", "d"] {
            server.buckets.put_object(BUCKET, key, "x", Attributes::default());
        }
        let page = |token: &str| -> Result<String> {
            let mut query = vec![("list-type", "2"), ("delimiter", "/"), ("max-keys", "2")];
            query.extend((!token.is_empty()).then_some(("continuation-token", token)));
            let answer = s3.send(Method::GET, (BUCKET, b""), &query, &[], "")?.success()?;
            Ok(String::from_utf8(answer.body.to_vec())?)
        };
        let first = page("")?;
        ensure!(first.contains("<Prefix>a/</Prefix>") && first.contains("<Key>b</Key>"), "{first}");
        let token = first.split("<NextContinuationToken>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let second = page(token)?;
        ensure!(second.contains("<Prefix>c/</Prefix>") && second.contains("<Key>d</Key>"), "{second}");
        ensure!(second.contains("<IsTruncated>false"), "{second}");
        Ok(())
    });
    report.finish();
}

#[test]
fn it_answers_conditions_ranges_and_heads_as_s3_does() {
    let mut report = Report::default();
    report.scenario("conditions on writes and reads hold", || {
        let (server, s3) = start()?;
        assert_eq!(status(&s3, Method::PUT, "k", &[], &[("if-none-match", "*")])?, StatusCode::OK);
        assert_eq!(status(&s3, Method::PUT, "k", &[], &[("if-none-match", "*")])?, StatusCode::PRECONDITION_FAILED);
        let etag = format!("\"{}\"", server.buckets.get(BUCKET, "k").unwrap().etag());
        assert_eq!(status(&s3, Method::PUT, "k", &[], &[("if-match", &etag)])?, StatusCode::OK);
        assert_eq!(status(&s3, Method::PUT, "k", &[], &[("if-match", "\"other\"")])?, StatusCode::PRECONDITION_FAILED);
        assert_eq!(status(&s3, Method::GET, "k", &[], &[("if-match", "\"other\"")])?, StatusCode::PRECONDITION_FAILED);
        Ok(())
    });
    report.scenario("ranges answer 206 with the right bytes", || {
        let (server, s3) = start()?;
        server.buckets.put_object(BUCKET, "k", "0123456789", Attributes::default());
        let range = |range| s3.send(Method::GET, (BUCKET, b"k"), &[], &[("range", range)], "");
        let middle = range("bytes=2-4")?;
        assert_eq!((middle.status, middle.body.as_ref()), (StatusCode::PARTIAL_CONTENT, b"234".as_slice()));
        assert_eq!(middle.headers["content-range"], "bytes 2-4/10");
        assert_eq!(range("bytes=-3")?.body.as_ref(), b"789");
        assert_eq!(range("bytes=10-")?.status, StatusCode::RANGE_NOT_SATISFIABLE);
        Ok(())
    });
    report.scenario("HEAD tells length and ETag, also of an object without bytes", || {
        let (_server, s3) = start()?;
        s3.put(BUCKET, "empty", "", &[])?;
        s3.put(BUCKET, "k", "0123456789", &[])?;
        for (key, length) in [("empty", "0"), ("k", "10")] {
            let head = s3.send(Method::HEAD, (BUCKET, key.as_bytes()), &[], &[], "")?.success()?;
            assert_eq!(head.headers["content-length"], length);
            assert_eq!(head.headers["etag"], s3.get(BUCKET, key)?.headers["etag"]);
        }
        assert_eq!(status(&s3, Method::HEAD, "missing", &[], &[])?, StatusCode::NOT_FOUND);
        assert_eq!(s3.send(Method::HEAD, ("no-such-bucket", b""), &[], &[], "")?.status, StatusCode::NOT_FOUND);
        Ok(())
    });
    report.scenario("a bucket may stand in the host name", || {
        let (server, _s3) = start()?;
        let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
        write!(stream, "GET /a//b HTTP/1.1\r\nHost: bucket.s3.localhost:{}\r\nConnection: close\r\n\r\n", server.port)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert_eq!(server.log().count(BUCKET, Operation::GetObject).requests, 1);
        Ok(())
    });
    report.finish();
}

#[test]
fn it_keeps_metadata_and_versions_as_s3_does() {
    let mut report = Report::default();
    report.scenario("headers, metadata and tags come back", || {
        let (server, s3) = start()?;
        server.buckets.put_object(BUCKET, "k", "x", bucket::full_attributes());
        let headers = s3.get(BUCKET, "k")?.headers;
        assert_eq!(headers["content-type"], "text/x-credenza; charset=utf-8");
        assert_eq!(headers["x-amz-meta-colour"], "green");
        assert_eq!(headers["x-amz-tagging-count"], "2");
        let tags = s3.send(Method::GET, (BUCKET, b"k"), &[("tagging", "")], &[], "")?.success()?.body;
        ensure!(String::from_utf8_lossy(&tags).contains("<Key>cost centre</Key><Value>4/7</Value>"));
        s3.put(BUCKET, "copy", "", &[("x-amz-copy-source", "/bucket/k")])?;
        let copy = server.buckets.get(BUCKET, "copy").unwrap();
        assert_eq!(copy.attributes(), &bucket::full_attributes());
        Ok(())
    });
    report.scenario("versions and delete markers are kept and listed", || {
        let (server, s3) = start()?;
        server.buckets.create_versioned(BUCKET);
        s3.put(BUCKET, "k", "one", &[])?;
        s3.put(BUCKET, "k", "two", &[])?;
        s3.delete(BUCKET, "k")?;
        assert_eq!(status(&s3, Method::GET, "k", &[], &[])?, StatusCode::NOT_FOUND);
        let versions = server.buckets.versions(BUCKET, "k");
        assert_eq!(versions.len(), 3);
        let query = [("versionId", versions[0].version_id())];
        assert_eq!(s3.send(Method::GET, (BUCKET, b"k"), &query, &[], "")?.body, "one");
        let list = s3.send(Method::GET, (BUCKET, b""), &[("versions", "")], &[], "")?.success()?.body;
        let list = String::from_utf8_lossy(&list).into_owned();
        assert_eq!((list.matches("<Version>").count(), list.matches("<DeleteMarker>").count()), (2, 1), "{list}");
        Ok(())
    });
    report.finish();
}

#[test]
fn it_takes_uploads_locks_and_proofs_as_s3_does() {
    let mut report = Report::default();
    report.scenario("an upload in parts becomes one object, or nothing when aborted", || {
        let (server, s3) = start()?;
        let create = || -> Result<String> {
            let answer = s3.send(Method::POST, (BUCKET, b"big"), &[("uploads", "")], &[], "")?.success()?;
            let text = String::from_utf8(answer.body.to_vec())?;
            Ok(text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned())
        };
        let id = create()?;
        let mut parts = String::new();
        for (number, body) in [("1", "first "), ("2", "second")] {
            let query = [("partNumber", number), ("uploadId", id.as_str())];
            let answer = s3.send(Method::PUT, (BUCKET, b"big"), &query, &[], body)?.success()?;
            let etag = answer.headers["etag"].to_str()?.to_owned();
            parts += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        s3.send(Method::POST, (BUCKET, b"big"), &[("uploadId", &id)], &[], document)?.success()?;
        let stored = server.buckets.get(BUCKET, "big").unwrap();
        assert_eq!(stored.body(), "first second");
        ensure!(stored.etag().ends_with("-2"), "{}", stored.etag());
        let id = create()?;
        assert_eq!(server.buckets.uploads(BUCKET).len(), 1);
        assert_eq!(status(&s3, Method::DELETE, "big", &[("uploadId", &id)], &[])?, StatusCode::NO_CONTENT);
        assert_eq!(server.buckets.uploads(BUCKET).len(), 0);
        Ok(())
    });
    report.scenario("a locked version cannot be deleted", || {
        let (server, s3) = start()?;
        let lock = [("x-amz-bucket-object-lock-enabled", "true")];
        s3.send(Method::PUT, ("locked", b""), &[], &lock, "")?.success()?;
        let until = ("x-amz-object-lock-retain-until-date", "2999-01-01T00:00:00Z");
        let locked = [("x-amz-object-lock-mode", "COMPLIANCE"), until];
        let unproven = s3.send(Method::PUT, ("locked", b"k"), &[], &locked, "kept")?;
        assert_eq!(unproven.status, StatusCode::BAD_REQUEST, "S3 demands a digest of what is locked");
        let md5 = ("content-md5", "TYtghPPRZ7dsrGaiKpG+Ag==");
        s3.put("locked", "k", "kept", &[&locked[..], &[md5]].concat())?;
        let version = server.buckets.versions("locked", "k")[0].version_id().to_owned();
        let answer = s3.send(Method::DELETE, ("locked", b"k"), &[("versionId", &version)], &[], "")?;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        Ok(())
    });
    report.scenario("a wrong digest and a wrong signature are refused", || {
        let (_server, s3) = start()?;
        let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
        assert_eq!(status(&s3, Method::PUT, "k", &[], &wrong)?, StatusCode::BAD_REQUEST);
        let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
        assert_eq!(status(&s3, Method::PUT, "k", &[], &wrong)?, StatusCode::BAD_REQUEST);
        let thief = S3::new(Endpoint { secret_key: "guessed".into(), ..s3.endpoint().clone() })?;
        assert_eq!(status(&thief, Method::PUT, "k", &[], &[])?, StatusCode::FORBIDDEN);
        Ok(())
    });
    report.scenario("a synthetic object of a terabyte can be read at its end", || {
        let (server, s3) = start()?;
        let bytes = 1 << 40;
        server.buckets.put_object(BUCKET, "k", Content::Synthetic { seed: 1, bytes }, Attributes::default());
        let answer = s3.send(Method::GET, (BUCKET, b"k"), &[], &[("range", "bytes=-10")], "")?;
        assert_eq!(answer.body.len(), 10);
        Ok(())
    });
    report.finish();
}

#[test]
fn it_misbehaves_on_demand() {
    let mut report = Report::default();
    let get = |s3: &S3| s3.send(Method::GET, (BUCKET, b"k"), &[], &[], "");
    let with_object = |fault: Fault| -> Result<(Server, S3)> {
        let (server, s3) = start()?;
        server.buckets.put_object(BUCKET, "k", "0123456789", Attributes::default());
        server.faults().add(Rule::new(fault).next(1));
        Ok((server, s3))
    };
    let statuses = [
        (Fault::SlowDown { retry_after_s: Some(7) }, StatusCode::SERVICE_UNAVAILABLE),
        (Fault::InternalError, StatusCode::INTERNAL_SERVER_ERROR),
        (Fault::TimeTooSkewed, StatusCode::FORBIDDEN),
        (Fault::AccessDenied, StatusCode::FORBIDDEN),
        (Fault::WrongRegion { region: "eu-west-9".into() }, StatusCode::MOVED_PERMANENTLY),
        (Fault::Html, StatusCode::OK),
        (Fault::ErrorInOk, StatusCode::OK),
    ];
    for (fault, status) in statuses {
        report.scenario(&format!("{fault:?} once, then well again"), || {
            let (server, s3) = with_object(fault.clone())?;
            let answer = get(&s3)?;
            assert_eq!(answer.status, status);
            ensure!(answer.body != "0123456789");
            assert_eq!(get(&s3)?.body, "0123456789");
            assert_eq!(server.faults().struck(), 1);
            Ok(())
        });
    }
    for fault in [Fault::Reset, Fault::Truncated { keep_bytes: 4 }] {
        report.scenario(&format!("{fault:?} breaks the answer"), || {
            let (_server, s3) = with_object(fault.clone())?;
            ensure!(get(&s3).is_err());
            assert_eq!(get(&s3)?.body, "0123456789");
            Ok(())
        });
    }
    report.scenario("a lost answer has been carried out", || {
        let (server, s3) = start()?;
        server.faults().add(Rule::new(Fault::LostAnswer).next(1).on(&[Operation::PutObject]));
        ensure!(s3.put(BUCKET, "k", "x", &[]).is_err());
        ensure!(server.buckets.get(BUCKET, "k").is_some());
        Ok(())
    });
    report.scenario("a flipped byte and an ignored range", || {
        let (server, s3) = with_object(Fault::Flipped)?;
        assert_eq!(get(&s3)?.body, "1123456789");
        server.faults().add(Rule::new(Fault::RangeIgnored));
        let answer = s3.send(Method::GET, (BUCKET, b"k"), &[], &[("range", "bytes=2-4")], "")?;
        assert_eq!((answer.status, answer.body.as_ref()), (StatusCode::OK, b"0123456789".as_slice()));
        Ok(())
    });
    report.finish();
}

#[test]
fn a_held_request_is_carried_out_when_it_is_released_and_one_whose_answer_is_held_at_once() -> Result<()> {
    for (fault, is_carried_out) in [(Fault::Held as fn(Hold) -> Fault, false), (Fault::AnswerHeld, true)] {
        let (server, s3) = start()?;
        let hold = Hold::default();
        server.faults().add(Rule::new(fault(hold.clone())));
        std::thread::scope(|scope| -> Result<()> {
            let put = scope.spawn(|| s3.put(BUCKET, "k", "x", &[]));
            let held = hold.wait_for(1);
            let is_there = server.buckets.get(BUCKET, "k").is_some();
            let is_answered = put.is_finished();
            hold.release();
            put.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
            held?;
            assert_eq!((is_there, is_answered), (is_carried_out, false));
            Ok(())
        })?;
        ensure!(server.buckets.get(BUCKET, "k").is_some());
    }
    Ok(())
}

#[test]
fn its_objects_and_listings_misbehave_on_demand() {
    let mut report = Report::default();
    report.scenario("ignored conditions let the second writer win", || {
        let (server, s3) = start()?;
        server.faults().add(Rule::new(Fault::ConditionsIgnored));
        for _ in 0..2 {
            assert_eq!(status(&s3, Method::PUT, "k", &[], &[("if-none-match", "*")])?, StatusCode::OK);
        }
        Ok(())
    });
    report.scenario("bodies can be altered, removed and set back behind the server's back", || {
        let (server, s3) = start()?;
        s3.put(BUCKET, "k", "old", &[])?;
        let old = server.buckets.get(BUCKET, "k").unwrap();
        s3.put(BUCKET, "k", "new", &[])?;
        ensure!(server.buckets.flip(BUCKET, "k", 0) && !server.buckets.flip(BUCKET, "k", 99));
        assert_eq!(s3.get(BUCKET, "k")?.body, "oew");
        ensure!(server.buckets.truncate(BUCKET, "k", 1));
        assert_eq!(s3.get(BUCKET, "k")?.body, "o");
        server.buckets.replace(BUCKET, "k", old);
        assert_eq!(s3.get(BUCKET, "k")?.body, "old");
        ensure!(server.buckets.remove(BUCKET, "k"));
        assert_eq!(s3.keys(BUCKET, "")?.len(), 0);
        Ok(())
    });
    report.scenario("unordered, repeating and endless listings", || {
        let (server, s3) = start()?;
        bucket::fill_many(&server.buckets, BUCKET, 1500);
        let list = |query: &[(&str, &str)]| -> Result<String> {
            let answer = s3.send(Method::GET, (BUCKET, b""), query, &[], "")?.success()?;
            Ok(String::from_utf8(answer.body.to_vec())?)
        };
        server.faults().add(Rule::new(Fault::ListingUnordered).next(1));
        let page = list(&[("list-type", "2")])?;
        ensure!(page.find("object-000001") < page.find("object-000000"));
        server.faults().add(Rule::new(Fault::ListingRepeats).next(1));
        let again = list(&[("list-type", "2"), ("start-after", "dir-004/object-000999")])?;
        ensure!(again.contains("object-000999"));
        server.faults().add(Rule::new(Fault::ListingEndless).next(1));
        ensure!(list(&[("list-type", "2"), ("start-after", "zzz")])?.contains("<IsTruncated>true"));
        Ok(())
    });
    report.finish();
}
