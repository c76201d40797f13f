//! Snapshots as buckets: the real binary, read by clients of S3 and by credenza itself.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::bucket::{compare, fill_odd};
use credenza_e2e::front::Front;
use credenza_e2e::s3::{Answer, S3};
use credenza_e2e::{Report, Setup, memory_server, snapshot_of, tree, workspace};
use credenza_s3_server::{Attributes, Buckets, Policy};
use http::{Method, StatusCode};

/// More keys that something on their way may take for others; with those of [`fill_odd`] they are 48.
const HARD_KEYS: [&str; 22] = [
    "%",
    "%%",
    "%zz",
    "100%25",
    "+",
    "++",
    " ",
    " lead",
    "trail ",
    "a//b",
    "///",
    "./a",
    "../a",
    "a/..",
    "x\u{1}y",
    "x\u{1f}",
    "x\u{7f}",
    "cr\rlf",
    "\u{feff}bom",
    "e\u{301}",
    "{[<>]}|^`",
    "%~looks/%~escaped",
];

fn fill(buckets: &Buckets, bucket: &str) {
    fill_odd(buckets, bucket);
    for key in HARD_KEYS {
        buckets.put_object(bucket, key, format!("body of {key:?}").into_bytes(), Attributes::default());
    }
}

fn header(answer: &Answer, name: &str) -> String {
    answer.header(name).unwrap_or_default()
}

#[test]
fn a_served_bucket_is_the_bucket_that_was_backed_up() {
    let mut report = Report::default();
    report.scenario("every hard key, its bytes, ETag, metadata and tags, to any client and to credenza", || {
        let (server, endpoint) = memory_server()?;
        fill(&server.buckets, "source");
        ensure!(server.buckets.keys("source").len() >= 48);
        let setup = Setup::with_local_repository()?;
        setup.add("source", "bucket", &endpoint, "source")?;
        setup.backup("@bucket")?;
        let front = Front::start(&setup.credenza, &["s3", "latest"])?;
        ensure!(front.text("bucket") == "snapshot", "{}", front.line);
        let (ours, theirs) = (front.s3()?, S3::new(endpoint.clone())?);
        let (keys, wanted) = (ours.keys("snapshot", "")?, theirs.keys("source", "")?);
        ensure!(keys == wanted, "{keys:?}\n{wanted:?}");
        for key in &keys {
            let (a, b) = (ours.get("snapshot", key)?, theirs.get("source", key)?);
            ensure!(a.body == b.body, "{key:?} has other bytes");
            for name in SAME_HEADERS {
                ensure!(
                    a.header(name) == b.header(name),
                    "{name} of {key:?}: {:?}, {:?}",
                    a.header(name),
                    b.header(name)
                );
            }
        }
        let tags = |s3: &S3, bucket| s3.send(Method::GET, (bucket, "attributes/full"), &[("tagging", "")], &[], "");
        let (a, b) = (tags(&ours, "snapshot")?, tags(&theirs, "source")?);
        ensure!(sorted(&a.body) == sorted(&b.body), "{a:?}\n{b:?}");
        // And read by the connector, into a bucket that is the same again.
        setup.add("source", "served", &front.endpoint(), "snapshot")?;
        setup.add("destination", "back", &endpoint, "back")?;
        server.buckets.create("back");
        let second = snapshot_of(&setup.backup("@served")?)?;
        setup.credenza.ok(["restore", &second, "--to", "@back"])?;
        compare(&server.buckets, "source", "back")?;
        front.end()
    });
    report.scenario("pages, ranges, conditions and parts", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(source.join("many/deep"))?;
        for number in 0..30 {
            fs::write(source.join(format!("many/{number:02}")), format!("number {number}"))?;
        }
        fs::write(source.join("many/deep/below"), "below")?;
        let bytes = tree::noise(5, 9_000_000);
        fs::write(source.join("large"), &bytes)?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["s3", "latest"])?;
        let s3 = front.s3()?;
        pages(&s3)?;
        ranges(&s3, &bytes)?;
        front.end()
    });
    report.finish();
}

const SAME_HEADERS: [&str; 11] = [
    "etag",
    "content-length",
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "x-amz-website-redirect-location",
    "x-amz-meta-colour",
    "x-amz-meta-with-dash",
    "last-modified",
];

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}

/// The keys and common prefixes of all pages, in the order in which they come.
fn pages(s3: &S3) -> Result<()> {
    for (version, delimiter) in [("2", "/"), ("2", ""), ("1", "/"), ("1", "")] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        for _ in 0..40 {
            let mut query = vec![("prefix", "many/"), ("delimiter", delimiter), ("max-keys", "7")];
            query.extend((version == "2").then_some(("list-type", "2")));
            if !next.is_empty() {
                query.push((if version == "2" { "continuation-token" } else { "marker" }, next.as_str()));
            }
            let page = s3.send(Method::GET, ("snapshot", ""), &query, &[], "")?.success()?;
            let text = String::from_utf8(page.body.to_vec())?;
            let found = |name: &str| credenza_e2e::s3::xml::elements(&text, name).collect::<Vec<_>>();
            let mut rows = found("Key");
            rows.extend(found("CommonPrefixes").iter().map(|_| "many/deep/".to_owned()));
            ensure!(rows.len() <= 7, "{rows:?}");
            seen.extend(rows);
            let token = if version == "2" { "NextContinuationToken" } else { "NextMarker" };
            next = credenza_e2e::s3::xml::element(&text, token).unwrap_or_default();
            if next.is_empty() {
                break;
            }
        }
        let own = if delimiter.is_empty() { 1 } else { 0 };
        // The folder and what is in `deep` are seen where nothing is cut; `deep` alone where it is.
        ensure!(seen.len() == 30 + own + if delimiter.is_empty() { 2 } else { 1 }, "{version} {delimiter}: {seen:?}");
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        ensure!(distinct.len() == seen.len(), "twice: {seen:?}");
    }
    Ok(())
}

fn ranges(s3: &S3, bytes: &[u8]) -> Result<()> {
    let ask = |headers: &[(&str, &str)], query: &[(&str, &str)]| {
        s3.send(Method::GET, ("snapshot", "large"), query, headers, "")
    };
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-5000000", 1_000_000, 5_000_001),
        ("bytes=8999999-", 8_999_999, 9_000_000),
        ("bytes=-5", 8_999_995, 9_000_000),
        ("bytes=8999000-99999999", 8_999_000, 9_000_000),
    ] {
        let answer = ask(&[("range", range)], &[])?;
        ensure!(
            answer.status == StatusCode::PARTIAL_CONTENT && bytes.get(from..to) == Some(&*answer.body),
            "{range}: {answer:?}"
        );
        ensure!(header(&answer, "content-range") == format!("bytes {from}-{}/9000000", to - 1));
    }
    ensure!(ask(&[("range", "bytes=9000000-")], &[])?.status == StatusCode::RANGE_NOT_SATISFIABLE);
    let whole = ask(&[], &[])?;
    let (etag, modified) = (header(&whole, "etag"), header(&whole, "last-modified"));
    let before = "Thu, 01 Jan 1970 00:00:01 GMT";
    for (condition, status) in [
        (("if-match", etag.as_str()), 200),
        (("if-match", "\"another\""), 412),
        (("if-match", "*"), 200),
        (("if-none-match", etag.as_str()), 304),
        (("if-none-match", "\"another\""), 200),
        (("if-modified-since", modified.as_str()), 304),
        (("if-modified-since", before), 200),
        (("if-unmodified-since", before), 412),
        (("if-unmodified-since", modified.as_str()), 200),
    ] {
        let answer = ask(&[condition], &[])?;
        ensure!(answer.status.as_u16() == status, "{condition:?}: {}", answer.status);
    }
    let part = ask(&[], &[("partNumber", "1")])?;
    ensure!(
        part.status == StatusCode::PARTIAL_CONTENT
            && part.body == bytes
            && header(&part, "x-amz-mp-parts-count") == "1"
    );
    ensure!(ask(&[], &[("partNumber", "2")])?.status == StatusCode::RANGE_NOT_SATISFIABLE);
    Ok(())
}

#[test]
fn what_is_served_cannot_be_changed_and_is_for_whoever_has_the_keys() {
    let mut report = Report::default();
    report.scenario("405 for all that writes, 403 for another key or secret, 404 for what is not there", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        for name in ["file", "filling", "other", "well"] {
            fs::write(source.join(name), "text")?;
        }
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["s3", "--latest"])?;
        let s3 = front.s3()?;
        for (method, key, query) in [
            (Method::PUT, "file", vec![]),
            (Method::PUT, "", vec![]),
            (Method::DELETE, "file", vec![]),
            (Method::DELETE, "", vec![]),
            (Method::POST, "file", vec![("uploads", "")]),
            (Method::POST, "", vec![("delete", "")]),
            (Method::PUT, "file", vec![("tagging", "")]),
            (Method::PUT, "", vec![("versioning", "")]),
            (Method::GET, "file", vec![("acl", "")]),
            (Method::GET, "", vec![("policy", "")]),
        ] {
            let answer = s3.send(method.clone(), ("latest", key), &query, &[], "")?;
            ensure!(answer.status == StatusCode::METHOD_NOT_ALLOWED, "{method} {key} {query:?}: {answer:?}");
        }
        // By any delimiter, in pages of any size.
        let mut listed = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut query = vec![("list-type", "2"), ("delimiter", "l"), ("max-keys", "1")];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let page = s3.send(Method::GET, ("latest", ""), &query, &[], "")?.success()?;
            let page = String::from_utf8(page.body.to_vec())?;
            listed.extend(credenza_e2e::s3::xml::elements(&page, "Key"));
            listed.extend(credenza_e2e::s3::xml::elements(&page, "Prefix").filter(|prefix| !prefix.is_empty()));
            token = credenza_e2e::s3::xml::element(&page, "NextContinuationToken");
            if token.is_none() {
                break;
            }
        }
        ensure!(listed == ["fil", "other", "wel"], "{listed:?}");
        ensure!(s3.get("latest", "file")?.body == "text");
        let mut wrong = front.endpoint();
        wrong.secret_key.push('0');
        let answer = S3::new(wrong)?.send(Method::GET, ("latest", "file"), &[], &[], "")?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{answer:?}");
        let text = String::from_utf8(answer.body.to_vec())?;
        ensure!(text.contains("SignatureDoesNotMatch"), "{text}");
        let mut wrong = front.endpoint();
        wrong.access_key.push('0');
        let answer = S3::new(wrong)?.send(Method::GET, ("latest", "file"), &[], &[], "")?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{answer:?}");
        for (bucket, key, code) in [("latest", "fil", "NoSuchKey"), ("other", "file", "NoSuchBucket")] {
            let answer = s3.send(Method::GET, (bucket, key), &[], &[], "")?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(answer.status == StatusCode::NOT_FOUND && text.contains(code), "{text}");
        }
        front.end()
    });
    report.scenario("not to other machines", || {
        let setup = Setup::with_local_repository()?;
        let outcome = setup.credenza.run(["serve", "s3", "--listen", "0.0.0.0:0"])?;
        outcome.expect_code(2)?.expect_message(&["not an address of this machine alone", "ssh -L"]).map(drop)
    });
    report.finish();
}

#[test]
fn damage_is_an_error_of_its_readers_alone() {
    let mut report = Report::default();
    report.scenario("500 and never 404, the object named there, and all else as it was", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("lost"), tree::noise(1, 900_000))?;
        setup.backup(&source.to_string_lossy())?;
        let found = Command::new("find").arg(setup.path("repository/data")).args(["-type", "f"]).output()?;
        fs::write(source.join("whole"), tree::noise(2, 900_000))?;
        setup.backup(&source.to_string_lossy())?;
        for pack in String::from_utf8(found.stdout)?.lines() {
            fs::remove_file(pack)?;
        }
        let front = Front::start(&setup.credenza, &["s3", "latest"])?;
        let s3 = front.s3()?;
        let answer = s3.send(Method::GET, ("snapshot", "lost"), &[], &[], "")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == StatusCode::INTERNAL_SERVER_ERROR && text.contains("InternalError"), "{text}");
        ensure!(s3.get("snapshot", "whole")?.body == tree::noise(2, 900_000));
        front.end()?;
        let checked = setup.credenza.run(["check"])?.expect_code(20)?;
        ensure!(checked.whole().contains("data/"), "{}", checked.whole());
        Ok(())
    });
    report.finish();
}

#[test]
fn maintenance_takes_nothing_from_under_a_reader() {
    let mut report = Report::default();
    report.scenario(
        "a snapshot that is removed while it is served is read to its end, and its room is freed then",
        || {
            let setup = Setup::with_local_repository()?;
            let source = setup.path("source");
            fs::create_dir_all(&source)?;
            let bytes = tree::noise(3, 3_000_000);
            fs::write(source.join("file"), &bytes)?;
            let id = snapshot_of(&setup.backup(&source.to_string_lossy())?)?;
            fs::write(source.join("file"), "another")?;
            setup.backup(&source.to_string_lossy())?;
            let front = Front::start(&setup.credenza, &["s3", &id])?;
            setup.credenza.ok(["rm", &id])?;
            setup.credenza.ok(["maintain"])?;
            ensure!(front.s3()?.get("snapshot", "file")?.body == bytes);
            front.end()?;
            let freed = setup.credenza.ok(["--json", "maintain"])?.summary()?;
            ensure!(credenza_e2e::number(&freed, &["bytes_freed"])? >= 3_000_000, "{freed}");
            Ok(())
        },
    );
    report.scenario("with credentials that can only read it says that it keeps nothing", || {
        let (server, endpoint) = memory_server()?;
        server.buckets.create("store");
        let setup = Setup::with_s3_repository(&endpoint, "store")?;
        let source = setup.path("source");
        fs::create_dir_all(&source)?;
        fs::write(source.join("file"), "text")?;
        setup.backup(&source.to_string_lossy())?;
        let policy = fs::read_to_string(workspace().join("plugins/s3/iam/reader.json"))?;
        server.set_policy(Some(Policy::parse(&policy.replace("BUCKET", "store"))?));
        let mut run = setup.credenza.start(["--json", "serve", "s3", "latest"])?;
        run.printed("\n")?;
        run.signal(rustix::process::Signal::INT)?;
        run.wait()?.expect_code(0)?.expect_message(&["nothing can be kept for them"]).map(drop)
    });
    report.finish();
}

#[test]
fn the_versions_of_a_key_are_its_history() {
    let mut report = Report::default();
    report.scenario(
        "each state once, each time that it was gone, by pages and by ids, and snapshots that come later",
        || {
            let setup = Setup::with_local_repository()?;
            let source = setup.path("source");
            fs::create_dir_all(&source)?;
            fs::write(source.join("same"), "same")?;
            let mut ids = Vec::new();
            for content in [Some("one"), Some("one"), Some("two"), None, Some("four")] {
                match content {
                    // Written once for one state, so that its time is one.
                    Some(content) if fs::read_to_string(source.join("file")).ok().as_deref() != Some(content) => {
                        fs::write(source.join("file"), content)?;
                    }
                    Some(_) => {}
                    None => fs::remove_file(source.join("file"))?,
                }
                ids.push(snapshot_of(&setup.backup(&source.to_string_lossy())?)?);
            }
            let front = Front::start(&setup.credenza, &["s3"])?;
            let s3 = front.s3()?;
            let versions = s3.versions("latest")?;
            let of = |key: &str| versions.iter().filter(|version| version.key == key).collect::<Vec<_>>();
            let file: BTreeMap<&str, bool> = of("file").iter().map(|v| (v.id.as_str(), v.deleted)).collect();
            let wanted = [(ids[1].as_str(), false), (&ids[2], false), (&ids[3], true), (&ids[4], false)];
            ensure!(file == wanted.into_iter().collect(), "{file:?} {ids:?}");
            ensure!(of("same").len() == 1 && of("same")[0].id == ids[4] && of("same")[0].latest);
            // By any snapshot, also one that is no version of its own.
            for (id, content) in ids.iter().zip(["one", "one", "two", "", "four"]) {
                let answer = s3.send(Method::GET, ("latest", "file"), &[("versionId", id)], &[], "")?;
                let is_gone = content.is_empty() && answer.status == StatusCode::NOT_FOUND;
                ensure!(is_gone || answer.body == content && header(&answer, "x-amz-version-id") == *id, "{answer:?}");
            }
            let (mut paged, mut marker) = (Vec::new(), Vec::<(String, String)>::new());
            for _ in 0..10 {
                let mut query = vec![("versions", ""), ("max-keys", "2")];
                query.extend(marker.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                let page = s3.send(Method::GET, ("latest", ""), &query, &[], "")?.success()?;
                let text = String::from_utf8(page.body.to_vec())?;
                paged.extend(credenza_e2e::s3::xml::elements(&text, "VersionId"));
                let next = |name: &str| credenza_e2e::s3::xml::element(&text, name);
                let Some(key) = next("NextKeyMarker") else { break };
                marker = vec![("key-marker".to_owned(), key)];
                marker.extend(next("NextVersionIdMarker").map(|id| ("version-id-marker".to_owned(), id)));
            }
            ensure!(paged.len() == versions.len(), "{paged:?}\n{versions:?}");
            // All snapshots have a bucket, and their source one.
            let buckets = s3.send(Method::GET, ("", ""), &[], &[], "")?.success()?;
            let names: Vec<String> =
                credenza_e2e::s3::xml::elements(&String::from_utf8(buckets.body.to_vec())?, "Name").collect();
            ensure!(names.len() == 5 + 1 + 1, "{names:?}");
            ensure!(names.iter().any(|name| name.starts_with("source-")), "{names:?}");
            front.end()
        },
    );
    report.finish();
}

#[test]
fn clients_that_people_have_read_what_is_served() {
    let mut report = Report::default();
    report.scenario("AWS CLI, boto3, rclone and s5cmd fetch all of it, byte for byte", || {
        let setup = Setup::with_local_repository()?;
        let source = setup.path("source");
        fs::create_dir_all(source.join("folder/below"))?;
        for (number, name) in
            (0..).zip(["plain", "sp ace", "pl+us", "per%cent", "folder/ünïcode ☂", "folder/below/a&b=c"])
        {
            fs::write(source.join(name), tree::noise(number, 1000 + 300_000 * number))?;
        }
        fs::write(source.join("large"), tree::noise(9, 20_000_000))?;
        fs::write(source.join("empty"), "")?;
        setup.backup(&source.to_string_lossy())?;
        let front = Front::start(&setup.credenza, &["s3"])?;
        let fetched = setup.path("fetched");
        let url = front.text("endpoint").to_owned();
        let remote = format!(":s3,provider=Other,env_auth,endpoint=\"{url}\":latest");
        let to = |name: &str| fetched.join(name).to_string_lossy().into_owned();
        let runs: [(&str, &str, Vec<String>); 4] = [
            (
                "s3-clients",
                "aws",
                words(&["--endpoint-url", &url, "s3", "cp", "--recursive", "s3://latest/", &to("aws")]),
            ),
            ("rclone", "rclone", words(&["copy", &remote, &to("rclone")])),
            (
                "s3-clients",
                "s5cmd",
                words(&["--endpoint-url", &url, "cp", "s3://latest/*", &format!("{}/", to("s5cmd"))]),
            ),
            ("s3-clients", "python", words(&["-c", include_str!("serve/boto.py"), &url, &to("python")])),
        ];
        for (package, program, words) in runs {
            client(&front, &setup, package, program, &words)?;
            tree::compare_bytes(&source, &fetched.join(program)).with_context(|| format!("fetched by {program}"))?;
        }
        // What `sync` compares is what it was: nothing is fetched again.
        let again = ["--endpoint-url", &url, "s3", "sync", "s3://latest/", &to("aws")];
        let said = client(&front, &setup, "s3-clients", "aws", &words(&again))?;
        ensure!(!said.contains("download"), "{said}");
        front.end()
    });
    report.finish();
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn client(front: &Front, setup: &Setup, package: &str, program: &str, words: &[String]) -> Result<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    front.client(&setup.path("clients"), (package, program), &words)
}
