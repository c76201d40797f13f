//! Google Cloud Storage by its JSON API: one bucket, `kit`, that keeps generations
//! (<https://cloud.google.com/storage/docs/json_api/v1>).
//!
//! A name is one segment of a path, a part of an upload that is not the last is a multiple of 256 KiB, and a field that was not asked for is not told.
//! Nobody need prove who asks: that is the host's, and tested there. No ACLs, no compositions, no copies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::content;
use super::files::{Details, File, Files, Staged, iso_time};
use super::listing::{self, Item, Question};
use crate::exchange::{Answer, Asked, encode};
use crate::peer::Paging;

/// The bucket in the model.
const ROOT: &[u8] = b"kit/";
const BUCKET: &[u8] = b"storage/v1/b/kit";
const OBJECTS: &[u8] = b"storage/v1/b/kit/o";
const UPLOADS: &[u8] = b"upload/storage/v1/b/kit/o";
const JSON: &str = "application/json";
/// Most objects of a page.
const PAGE_OBJECTS_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 1024;
const PART_UNIT: usize = 256 * 1024;

/// An answer, or one that says why there is none.
type Answered = Result<Answer, Box<Answer>>;

pub(super) fn answer(files: &mut Files, asked: &Asked, paging: Paging) -> Answer {
    let path = asked.path.as_slice();
    let answered = if let Some(name) = path.strip_prefix(OBJECTS).and_then(|rest| rest.strip_prefix(b"/")) {
        object(files, asked, name)
    } else {
        match (asked.method.as_str(), path) {
            ("GET", OBJECTS) => list(files, asked, paging),
            ("POST", UPLOADS) => begin(files, asked),
            ("PUT", UPLOADS) => go_on(files, asked),
            ("DELETE", UPLOADS) => {
                files.staged.remove(asked.parameter("upload_id").unwrap_or_default());
                Ok(Answer::plain(StatusCode::from_u16(499).unwrap_or(StatusCode::NO_CONTENT)))
            }
            ("GET", BUCKET) => Ok(told(&json!({"versioning": {"enabled": true}, "labels": {"of": "kit"}}), asked)),
            ("GET", _) if path.strip_prefix(BUCKET) == Some(b"/iam") => {
                Ok(document(&json!({"kind": "storage#policy", "bindings": [{"role": "roles/storage.objectUser"}]})))
            }
            _ => Err(failure(StatusCode::NOT_FOUND, "notFound", "The specified bucket does not exist.")),
        }
    };
    answered.unwrap_or_else(|failure| *failure)
}

/// An error as Google tells it.
pub(super) fn error(status: StatusCode, reason: &str, message: &str) -> Answer {
    let errors = json!([{"domain": "global", "reason": reason, "message": message}]);
    let error = json!({"error": {"code": status.as_u16(), "message": message, "errors": errors}});
    Answer::document(status, JSON, error.to_string())
}

fn failure(status: StatusCode, reason: &str, message: &str) -> Box<Answer> {
    Box::new(error(status, reason, message))
}

fn no_object() -> Box<Answer> {
    failure(StatusCode::NOT_FOUND, "notFound", "No such object: it is not in this bucket.")
}

fn condition_not_met() -> Box<Answer> {
    failure(StatusCode::PRECONDITION_FAILED, "conditionNotMet", "At least one of the conditions did not hold.")
}

fn invalid(message: &str) -> Box<Answer> {
    failure(StatusCode::BAD_REQUEST, "invalid", message)
}

fn document(value: &Value) -> Answer {
    Answer::document(StatusCode::OK, JSON, value.to_string())
}

/// Of a document the fields that were asked for.
fn told(value: &Value, asked: &Asked) -> Answer {
    document(&partial(value, asked.word("fields").unwrap_or_default()))
}

fn partial(value: &Value, fields: &str) -> Value {
    let fields: Vec<&str> = fields.split(',').collect();
    let all = value.as_object().into_iter().flatten();
    Value::Object(
        all.filter(|(name, _)| fields.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect(),
    )
}

fn number(asked: &Asked, parameter: &str) -> Option<i64> {
    asked.word(parameter)?.parse().ok()
}

fn path_of(name: &[u8]) -> Vec<u8> {
    [ROOT, name].concat()
}

/// The resource of a generation; `deleted` is the number of the write that took its place.
fn resource(name: &[u8], file: &File, deleted: Option<i64>) -> Value {
    let mut fields = file.details.document.clone();
    let text = |text: String| Value::String(text);
    fields.insert("name".to_owned(), text(String::from_utf8_lossy(name).into_owned()));
    fields.insert("generation".to_owned(), text(file.number.to_string()));
    fields.insert("size".to_owned(), text(file.bytes.len().to_string()));
    fields.insert("timeCreated".to_owned(), text(file.modified_iso()));
    fields.insert("md5Hash".to_owned(), text(BASE64.encode(super::md5(&file.bytes))));
    fields.extend(deleted.map(|number| ("timeDeleted".to_owned(), text(iso_time(number)))));
    fields.entry("storageClass").or_insert_with(|| "STANDARD".into());
    fields.entry("contentType").or_insert_with(|| "application/octet-stream".into());
    Value::Object(fields)
}

fn object(files: &mut Files, asked: &Asked, name: &[u8]) -> Answered {
    match asked.method.as_str() {
        "GET" => {
            let (file, deleted) = find(files, asked, name)?;
            if asked.word("alt") == Some("media") {
                let answer = content::read(asked, &file, asked.header("range"));
                return Ok(answer.with("x-goog-generation", &file.number.to_string()));
            }
            Ok(told(&resource(name, &file, deleted), asked))
        }
        "PATCH" => amend(files, asked, name),
        "DELETE" => {
            find(files, asked, name)?;
            files.hide(&path_of(name));
            Ok(Answer::plain(StatusCode::NO_CONTENT))
        }
        _ => Err(failure(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", "This stand-in does not know that.")),
    }
}

/// The generation that is asked for, under the condition of the request, and what took its place.
fn find(files: &Files, asked: &Asked, name: &[u8]) -> Result<(File, Option<i64>), Box<Answer>> {
    let path = path_of(name);
    let found = match number(asked, "generation") {
        Some(wanted) => generations(files, &path).into_iter().find(|(_, file, _)| file.number == wanted),
        None => files.file(&path).map(|file| (name.to_vec(), file.clone(), None)),
    };
    let (_, file, deleted) = found.ok_or_else(no_object)?;
    match number(asked, "ifGenerationMatch") {
        Some(wanted) if wanted != file.number => Err(condition_not_met()),
        _ => Ok((file, deleted)),
    }
}

/// All generations of the names that begin so, each with the number of the write that took its place: by name, oldest first.
fn generations(files: &Files, prefix: &[u8]) -> Vec<(Vec<u8>, File, Option<i64>)> {
    let mut all: Vec<(Vec<u8>, File, Option<i64>)> = Vec::new();
    let mut newer: Option<(&[u8], i64)> = None;
    for (path, version) in files.versions(prefix) {
        let deleted = newer.filter(|(of, _)| *of == path).map(|(_, number)| number);
        newer = Some((path, version.number));
        if let Some(file) = &version.file {
            all.push((path.strip_prefix(ROOT).unwrap_or(path).to_vec(), file.clone(), deleted));
        }
    }
    all.sort_by(|(a, one, _), (b, other, _)| a.cmp(b).then(one.number.cmp(&other.number)));
    all
}

fn list(files: &Files, asked: &Asked, paging: Paging) -> Answered {
    let max = asked.word("maxResults").and_then(|max| max.parse().ok()).unwrap_or(PAGE_OBJECTS_MAX);
    let prefix = asked.parameter("prefix").unwrap_or_default();
    let fields = asked.word("fields").unwrap_or_default();
    let fields = fields.split_once("items(").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(all, _)| all);
    let (mut items, mut folders) = (Vec::new(), Vec::new());
    let next = if asked.word("versions") == Some("true") {
        let passed = asked.word("pageToken").and_then(|token| token.parse().ok()).unwrap_or(0_usize);
        let size = max.min(PAGE_OBJECTS_MAX).min(paging.most.unwrap_or(usize::MAX));
        let all = generations(files, &path_of(prefix));
        let page = all.iter().skip(passed).take(size);
        items.extend(page.map(|(name, file, deleted)| partial(&resource(name, file, *deleted), fields)));
        let behind = passed.saturating_add(size);
        (behind < all.len()).then(|| behind.to_string())
    } else {
        let question = Question {
            root: ROOT,
            prefix,
            is_folded: asked.has("delimiter"),
            start_after: b"",
            token: asked.word("pageToken"),
            max: max.min(PAGE_OBJECTS_MAX),
        };
        let page = listing::page(files, &question, paging).ok_or_else(|| invalid("The page token was never given."))?;
        let offset = asked.parameter("startOffset").unwrap_or_default();
        for Item { name, file } in page.items.iter().filter(|item| item.name.as_slice() >= offset) {
            match file {
                Some(file) => items.push(partial(&resource(name, file, None), fields)),
                None => folders.push(String::from_utf8_lossy(name).into_owned()),
            }
        }
        page.next
    };
    let mut listed =
        Map::from_iter([("kind".to_owned(), "storage#objects".into()), ("items".to_owned(), items.into())]);
    listed.extend((!folders.is_empty()).then(|| ("prefixes".to_owned(), json!(folders))));
    listed.extend(next.map(|token| ("nextPageToken".to_owned(), token.into())));
    Ok(document(&Value::Object(listed)))
}

/// Changes fields of a generation; a lock that holds is not shortened.
fn amend(files: &mut Files, asked: &Asked, name: &[u8]) -> Answered {
    let (file, _) = find(files, asked, name)?;
    let wished: Map<String, Value> = serde_json::from_slice(&asked.body).map_err(|_| invalid("Parse Error"))?;
    let end = |fields: &Map<String, Value>| {
        let until = fields.get("retention")?.get("retainUntilTime")?.as_str()?;
        until.parse::<jiff::Timestamp>().ok()
    };
    if end(&file.details.document).is_some_and(|there| end(&wished).is_none_or(|wished| wished < there)) {
        return Err(failure(StatusCode::FORBIDDEN, "forbidden", "A locked retention cannot be shortened."));
    }
    files.amend(&path_of(name), |details| details.document.extend(wished.clone()));
    let (file, deleted) = find(files, asked, name)?;
    Ok(told(&resource(name, &file, deleted), asked))
}

/// That an upload may begin or end under the condition it was begun with.
fn demand(files: &Files, name: &[u8], condition: Option<i64>) -> Result<(), Box<Answer>> {
    let live = files.file(&path_of(name)).map_or(0, |file| file.number);
    if condition.is_none_or(|wanted| wanted == live) { Ok(()) } else { Err(condition_not_met()) }
}

fn begin(files: &mut Files, asked: &Asked) -> Answered {
    let name = asked.word("name").filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
    let name = name.ok_or_else(|| invalid("Invalid argument: a name is 1 to 1,024 bytes of UTF-8."))?;
    let condition = number(asked, "ifGenerationMatch");
    demand(files, name.as_bytes(), condition)?;
    if asked.word("uploadType") == Some("media") {
        let file = files.put(&path_of(name.as_bytes()), asked.body.clone());
        return Ok(told(&resource(name.as_bytes(), &file, None), asked));
    }
    let document = serde_json::from_slice(&asked.body).map_err(|_| invalid("Parse Error"))?;
    // What the upload was begun with is its id, so that nothing else need be kept; no two are alike.
    let fields = asked.word("fields").unwrap_or_default();
    let begun = json!({"name": name, "if": condition, "fields": fields, "number": files.count()});
    let id = begun.to_string();
    let details = Details { document, ..Details::default() };
    let parts = [(String::new(), Bytes::new())].into();
    files.staged.insert(id.as_bytes().to_vec(), Staged { details, parts });
    let location = format!(
        "https://storage.googleapis.com/{}?uploadType=resumable&upload_id={}",
        String::from_utf8_lossy(UPLOADS),
        encode(id.as_bytes()).replace('/', "%2F")
    );
    Ok(Answer::plain(StatusCode::OK).with("location", &location))
}

/// Takes bytes of an upload; without a range they are all. What has become an object stays known, and has no parts.
fn go_on(files: &mut Files, asked: &Asked) -> Answered {
    let id = asked.parameter("upload_id").unwrap_or_default().to_vec();
    let begun: Value = serde_json::from_slice(&id).unwrap_or_default();
    let gone = || failure(StatusCode::NOT_FOUND, "notFound", "There is no such upload.");
    let staged = files.staged.get_mut(&id).ok_or_else(gone)?;
    let fields = begun.get("fields").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(arrived) = staged.parts.get_mut("") else {
        return Ok(document(&partial(&Value::Object(staged.details.document.clone()), &fields)));
    };
    let range = asked.header("content-range").and_then(|range| range.strip_prefix("bytes "));
    let total = match range {
        None => {
            *arrived = asked.body.clone();
            Some(arrived.len())
        }
        Some(range) => extend(arrived, range, &asked.body).ok_or_else(|| invalid("Failed to parse Content-Range."))?,
    };
    if total != Some(arrived.len()) {
        let answer = Answer::plain(StatusCode::PERMANENT_REDIRECT);
        let last = arrived.len().checked_sub(1);
        return Ok(last.iter().fold(answer, |answer, last| answer.with("range", &format!("bytes=0-{last}"))));
    }
    let (bytes, details) = (arrived.clone(), staged.details.clone());
    let name = begun.get("name").and_then(Value::as_str).unwrap_or_default().as_bytes();
    let stated = details.document.get("md5Hash").and_then(Value::as_str);
    if stated.is_some_and(|stated| stated != BASE64.encode(super::md5(&bytes))) {
        return Err(invalid("The bytes do not have the MD5 that is stated."));
    }
    demand(files, name, begun.get("if").and_then(Value::as_i64))?;
    let file = files.put_with(&path_of(name), bytes, details);
    let made = resource(name, &file, None);
    let document_of_it = made.as_object().cloned().unwrap_or_default();
    let details = Details { document: document_of_it, ..Details::default() };
    files.staged.insert(id, Staged { details, ..Staged::default() });
    Ok(document(&partial(&made, &fields)))
}

/// Adds a part to what has arrived, and tells the length of the whole where that is said; bytes that are there already are passed over.
fn extend(arrived: &mut Bytes, range: &str, body: &Bytes) -> Option<Option<usize>> {
    let (part, total) = range.split_once('/')?;
    let total: Option<usize> = total.parse().ok();
    if let Some((first, last)) = part.split_once('-') {
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        let is_whole = last.checked_add(1)?.checked_sub(first)? == body.len();
        let known = arrived.len().checked_sub(first)?;
        if !is_whole || total.is_none() && !body.len().is_multiple_of(PART_UNIT) {
            return None;
        }
        *arrived = [arrived, body.get(known..).unwrap_or_default()].concat().into();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn ask(files: &mut Files, line: &str, range: Option<&str>, body: &[u8]) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        range.iter().for_each(|range| drop(headers.insert("content-range", range.parse().unwrap())));
        let asked =
            Asked::new(method.parse().unwrap(), &target.parse().unwrap(), headers, Bytes::copy_from_slice(body));
        answer(files, &asked, Paging::default())
    }

    fn value(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    const O: &str = "/storage/v1/b/kit/o";
    const U: &str = "/upload/storage/v1/b/kit/o";

    #[test]
    fn an_object_is_written_under_conditions_read_by_its_generation_and_deleted() {
        let mut files = Files::default();
        let put = |condition: &str| format!("POST {U}?uploadType=media&name=a%2Fb&fields=generation{condition}");
        let first = ask(&mut files, &put("&ifGenerationMatch=0"), None, b"1");
        let id = value(&first)["generation"].as_str().unwrap().to_owned();
        assert_eq!(value(&first), json!({"generation": id}), "no more than was asked for");
        assert_eq!(ask(&mut files, &put("&ifGenerationMatch=0"), None, b"2").status, 412);
        assert_eq!(ask(&mut files, &put(""), None, b"2").status, 200);
        assert_eq!(ask(&mut files, &format!("GET {O}/a%2Fb?alt=media"), None, b"").body, "2");
        assert_eq!(ask(&mut files, &format!("GET {O}/a%2Fb?alt=media&generation={id}"), None, b"").body, "1");
        assert_eq!(ask(&mut files, &format!("DELETE {O}/a%2Fb"), None, b"").status, 204);
        let gone = ask(&mut files, &format!("GET {O}/a%2Fb?fields=name"), None, b"");
        assert_eq!((gone.status.as_u16(), &value(&gone)["error"]["errors"][0]["reason"]), (404, &json!("notFound")));
        let listed = ask(&mut files, &format!("GET {O}?versions=true&fields=items(generation,timeDeleted)"), None, b"");
        let items = value(&listed)["items"].as_array().cloned().unwrap();
        assert!(items.len() == 2 && items.iter().all(|item| item["timeDeleted"].is_string()), "{items:?}");
    }

    #[test]
    fn an_upload_goes_on_in_parts_and_knows_what_it_has() {
        let mut files = Files::default();
        let begun = ask(
            &mut files,
            &format!("POST {U}?uploadType=resumable&name=big&fields=size"),
            None,
            b"{\"contentType\":\"x/y\"}",
        );
        let to = begun.headers["location"].to_str().unwrap().strip_prefix("https://storage.googleapis.com").unwrap();
        let put = format!("PUT {to}");
        let part = vec![7; PART_UNIT];
        assert_eq!(ask(&mut files, &put, Some("bytes 0-9/*"), &[7; 10]).status, 400, "no multiple of 256 KiB");
        for _ in 0..2 {
            let more = ask(&mut files, &put, Some(&format!("bytes 0-{}/*", PART_UNIT - 1)), &part);
            assert_eq!((more.status.as_u16(), more.headers["range"].to_str().unwrap()), (308, "bytes=0-262143"));
        }
        let last = format!("bytes {PART_UNIT}-{PART_UNIT}/{}", PART_UNIT + 1);
        for _ in 0..2 {
            assert_eq!(value(&ask(&mut files, &put, Some(&last), b"7")), json!({"size": "262145"}));
        }
        let told = value(&ask(&mut files, &format!("GET {O}/big?fields=contentType"), None, b""));
        assert_eq!(told, json!({"contentType": "x/y"}));
        assert_eq!(ask(&mut files, &format!("DELETE {to}"), None, b"").status.as_u16(), 499);
        assert_eq!(ask(&mut files, &put, None, b"").status, 404);
    }
}
