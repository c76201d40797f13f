//! Google Cloud Storage in memory, as its documentation has the JSON API: what no emulator of the registries does, that is conditions, generations,
//! pages, `fields`, offsets, retention, and uploads that go on.
//!
//! It is strict: a name is one segment, a part that is not the last is a multiple of 256 KiB, a field that was not asked for is not reported. Pages are short, and its clock
//! goes on by a second with each change.

#![allow(clippy::result_large_err, reason = "a failure of the server is an answer like any other")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Most of a page, whatever is asked for.
const PAGE_MAX: usize = 7;
const PART_UNIT: usize = 256 * 1024;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, Pending>,
    /// Of the clock, and of generations.
    ticks: u64,
    asked: Vec<String>,
}

#[derive(Default)]
struct Bucket {
    keeps_generations: bool,
    objects: BTreeMap<(String, u64), Generation>,
}

#[derive(Clone)]
struct Generation {
    bytes: Bytes,
    resource: Map<String, Value>,
}

/// An upload that goes on.
struct Pending {
    bucket: String,
    name: String,
    condition: Option<u64>,
    fields: String,
    resource: Map<String, Value>,
    bytes: Vec<u8>,
    made: Option<Value>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { host, state, _runtime: runtime }
    }

    pub(crate) fn make_bucket(&self, name: &str, keeps_generations: bool) {
        lock(&self.state).buckets.insert(name.to_owned(), Bucket { keeps_generations, ..Bucket::default() });
    }

    pub(crate) fn put(&self, bucket: &str, name: &str, bytes: Bytes, resource: Value) {
        let resource = resource.as_object().cloned().unwrap_or_default();
        lock(&self.state).create(bucket, name, bytes, resource);
    }

    pub(crate) fn get(&self, bucket: &str, name: &str) -> Option<(Bytes, Value)> {
        let state = lock(&self.state);
        let (_, live) = state.buckets.get(bucket)?.live(name)?;
        Some((live.bytes.clone(), Value::Object(live.resource.clone())))
    }

    /// Uploads that were begun and neither completed nor given up.
    pub(crate) fn uploads_left(&self) -> usize {
        lock(&self.state).uploads.values().filter(|upload| upload.made.is_none()).count()
    }

    /// Method and target of every request since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).asked)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bucket {
    fn live(&self, name: &str) -> Option<(u64, &Generation)> {
        let all = self.objects.range((name.to_owned(), 0)..=(name.to_owned(), u64::MAX));
        let live = all.map(|((_, id), generation)| (*id, generation));
        { live }.find(|(_, generation)| !generation.resource.contains_key("timeDeleted"))
    }
}

impl State {
    /// The time of that tick.
    fn time(tick: u64) -> String {
        format!("2026-01-01T{:02}:{:02}:{:02}.000Z", tick / 3600, tick / 60 % 60, tick % 60)
    }

    fn create(&mut self, bucket: &str, name: &str, bytes: Bytes, mut resource: Map<String, Value>) -> Value {
        self.retire(bucket, name);
        self.ticks += 1;
        let (generation, time) = (self.ticks, Self::time(self.ticks));
        resource.insert("name".to_owned(), name.into());
        resource.insert("generation".to_owned(), generation.to_string().into());
        resource.insert("metageneration".to_owned(), "1".into());
        resource.insert("size".to_owned(), bytes.len().to_string().into());
        resource.insert("timeCreated".to_owned(), time.into());
        resource.entry("storageClass").or_insert("STANDARD".into());
        resource.entry("contentType").or_insert("application/octet-stream".into());
        let made = Value::Object(resource.clone());
        let objects = &mut self.buckets.get_mut(bucket).unwrap().objects;
        objects.insert((name.to_owned(), generation), Generation { bytes, resource });
        made
    }

    /// Makes the live generation of a name one that is not. Whether there was one.
    fn retire(&mut self, bucket: &str, name: &str) -> bool {
        let time = Self::time(self.ticks + 1);
        let bucket = self.buckets.get_mut(bucket).unwrap();
        let Some((id, _)) = bucket.live(name) else { return false };
        let key = (name.to_owned(), id);
        if bucket.keeps_generations {
            let generation = bucket.objects.get_mut(&key).unwrap();
            generation.resource.insert("timeDeleted".to_owned(), time.into());
        } else {
            bucket.objects.remove(&key);
        }
        self.ticks += 1;
        true
    }

    fn find(&self, bucket: &str, name: &str, query: &Query) -> Result<Generation, Answer> {
        let bucket = self.buckets.get(bucket).ok_or_else(no_bucket)?;
        let missing = || failure(404, "notFound", &format!("No such object: {name}"));
        let (id, found) = match query.number("generation") {
            Some(id) => (id, bucket.objects.get(&(name.to_owned(), id)).ok_or_else(missing)?),
            None => bucket.live(name).ok_or_else(missing)?,
        };
        match query.number("ifGenerationMatch") {
            Some(wanted) if wanted != id => Err(condition_not_met()),
            _ => Ok(found.clone()),
        }
    }

    /// That the condition of an upload holds.
    fn demand(&self, bucket: &str, name: &str, condition: Option<u64>) -> Result<(), Answer> {
        let live = self.buckets.get(bucket).ok_or_else(no_bucket)?.live(name).map_or(0, |(id, _)| id);
        if condition.is_none_or(|wanted| wanted == live) { Ok(()) } else { Err(condition_not_met()) }
    }
}

type Answer = Response<Full<Bytes>>;

fn with_body(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let answer = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("content-type", kind);
    answer.body(Full::new(body.into())).unwrap()
}

fn document(value: &Value) -> Answer {
    with_body(200, "application/json; charset=UTF-8", value.to_string())
}

fn failure(status: u16, reason: &str, message: &str) -> Answer {
    let error = json!({"code": status, "message": message, "errors": [{"domain": "global", "reason": reason, "message": message}]});
    with_body(status, "application/json; charset=UTF-8", json!({ "error": error }).to_string())
}

fn no_bucket() -> Answer {
    failure(404, "notFound", "The specified bucket does not exist.")
}

fn condition_not_met() -> Answer {
    failure(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
}

/// The parameters of a query, decoded.
struct Query(BTreeMap<String, String>);

impl Query {
    fn of(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(n, v)| (n.to_owned(), decode(v)))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .split_at_checked(2)
            .filter(|_| *first == b'%')
            .and_then(|(code, after)| Some((u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?, after)));
        let (byte, after) = code.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".to_owned())
}

/// Of a document the fields that were asked for.
fn partial(value: &Value, fields: &str) -> Value {
    let fields: Vec<&str> = fields.split(',').collect();
    let object = value.as_object().cloned().unwrap_or_default();
    Value::Object(object.into_iter().filter(|(name, _)| fields.contains(&name.as_str())).collect())
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let mut state = lock(&state);
            state.asked.push(format!(
                "{} {}",
                head.method,
                head.uri.path_and_query().map_or("", |target| target.as_str())
            ));
            let mut answered = answer(&mut state, &head, &body).unwrap_or_else(|failure| failure);
            let tick = state.ticks;
            let date = format!("Thu, 01 Jan 2026 {:02}:{:02}:{:02} GMT", tick / 3600, tick / 60 % 60, tick % 60);
            answered.headers_mut().insert("date", date.parse().unwrap());
            Ok::<_, Infallible>(answered)
        }
    });
    // A connection that breaks off is the client's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

fn answer(state: &mut State, head: &http::request::Parts, body: &Bytes) -> Result<Answer, Answer> {
    let query = Query::of(head.uri.query());
    let segments: Vec<String> = head.uri.path().split('/').skip(1).map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (head.method.as_str(), segments.as_slice()) {
        ("GET", ["storage", "v1", "b", bucket]) => {
            let found = state.buckets.get(*bucket).ok_or_else(no_bucket)?;
            let all = json!({"versioning": {"enabled": found.keeps_generations}, "labels": {"of": "a test"}});
            Ok(document(&partial(&all, query.text("fields").unwrap_or_default())))
        }
        ("GET", ["storage", "v1", "b", _, "iam"]) => {
            Ok(document(&json!({"kind": "storage#policy", "bindings": [{"role": "roles/storage.objectUser"}]})))
        }
        ("GET", ["storage", "v1", "b", bucket, "o"]) => list(state, bucket, &query),
        ("GET", ["storage", "v1", "b", bucket, "o", name]) => {
            let found = state.find(bucket, name, &query)?;
            match query.text("alt") {
                Some("media") => read(&found, &head.headers),
                _ => Ok(document(&partial(&Value::Object(found.resource), query.text("fields").unwrap_or_default()))),
            }
        }
        ("PATCH", ["storage", "v1", "b", bucket, "o", name]) => patch(state, bucket, name, &query, body),
        ("DELETE", ["storage", "v1", "b", bucket, "o", name]) => {
            state.buckets.get(*bucket).ok_or_else(no_bucket)?;
            match state.retire(bucket, name) {
                true => Ok(with_body(204, "text/plain", "")),
                false => Err(failure(404, "notFound", "No such object")),
            }
        }
        ("POST", ["upload", "storage", "v1", "b", bucket, "o"]) => begin(state, bucket, &query, body),
        ("PUT", ["upload", "storage", "v1", "b", _, "o"]) => go_on(state, &query, &head.headers, body),
        ("DELETE", ["upload", "storage", "v1", "b", _, "o"]) => {
            state.uploads.remove(query.text("upload_id").unwrap_or_default());
            Ok(with_body(499, "text/plain", ""))
        }
        _ => Err(with_body(404, "text/html", "<html><title>Error 404 (Not Found)!!1</title>\n</html>")),
    }
}

fn list(state: &State, bucket: &str, query: &Query) -> Result<Answer, Answer> {
    let bucket = state.buckets.get(bucket).ok_or_else(no_bucket)?;
    let text = |name| query.text(name).unwrap_or_default();
    let (prefix, offset, is_all) = (text("prefix"), text("startOffset"), text("versions") == "true");
    let folded = |name: &str| {
        let delimiter = query.text("delimiter")?;
        let end = name.get(prefix.len()..)?.find(delimiter)?;
        name.get(..prefix.len() + end + delimiter.len()).map(str::to_owned)
    };
    let wanted = bucket.objects.iter().filter(|((name, _), generation)| {
        name.starts_with(prefix)
            && name.as_str() >= offset
            && (is_all || !generation.resource.contains_key("timeDeleted"))
    });
    let mut reported: BTreeMap<(String, u64), Option<&Generation>> = BTreeMap::new();
    for ((name, id), generation) in wanted {
        match folded(name) {
            Some(folder) => reported.insert((folder, u64::MAX), None),
            None => reported.insert((name.clone(), *id), Some(generation)),
        };
    }
    let from: Option<(String, u64)> = query.text("pageToken").map(|token| serde_json::from_str(token).unwrap());
    let most = query.number("maxResults").unwrap_or(1000).clamp(1, PAGE_MAX as u64) as usize;
    let mut rest = reported.into_iter().filter(|(key, _)| from.as_ref().is_none_or(|from| key > from));
    let page: Vec<_> = rest.by_ref().take(most).collect();
    let fields = text("fields");
    let of_items = fields.split_once("items(").and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
    let items = page
        .iter()
        .filter_map(|(_, generation)| generation.map(|g| partial(&Value::Object(g.resource.clone()), of_items)));
    let mut answer = json!({"kind": "storage#objects", "items": items.collect::<Vec<_>>()});
    let folders: Vec<&str> =
        page.iter().filter(|(_, found)| found.is_none()).map(|((name, _), _)| name.as_str()).collect();
    let last = page.last().filter(|_| rest.next().is_some()).map(|(key, _)| serde_json::to_string(key).unwrap());
    if let Some(object) = answer.as_object_mut() {
        object.extend((!folders.is_empty()).then(|| ("prefixes".to_owned(), json!(folders))));
        object.extend(last.map(|token| ("nextPageToken".to_owned(), token.into())));
    }
    Ok(document(&answer))
}

fn read(found: &Generation, headers: &HeaderMap) -> Result<Answer, Answer> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_gzip = found.resource.get("contentEncoding") == Some(&"gzip".into());
    if is_gzip && header("accept-encoding") != Some("gzip") {
        let mut decoded = with_body(200, "text/plain", "what it was before it was packed");
        decoded.headers_mut().insert("x-guploader-response-body-transformations", "gunzipped".parse().unwrap());
        return Ok(decoded);
    }
    let length = found.bytes.len();
    let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let mut answer = match range {
        None => with_body(200, "application/octet-stream", found.bytes.clone()),
        Some((first, last)) => {
            let first: usize = first.parse().unwrap();
            let end = last.parse().map_or(length, |last: usize| length.min(last + 1));
            if first >= length {
                return Err(with_body(416, "text/html", "The requested range cannot be satisfied."));
            }
            let mut part = with_body(206, "application/octet-stream", found.bytes.slice(first..end));
            let stated = format!("bytes {first}-{}/{length}", end - 1);
            part.headers_mut().insert("content-range", stated.parse().unwrap());
            part
        }
    };
    let generation = found.resource.get("generation").and_then(Value::as_str).unwrap_or_default();
    answer.headers_mut().insert("x-goog-generation", generation.parse().unwrap());
    Ok(answer)
}

fn patch(state: &mut State, bucket: &str, name: &str, query: &Query, body: &Bytes) -> Result<Answer, Answer> {
    let found = state.find(bucket, name, query)?;
    let id = found.resource.get("generation").and_then(Value::as_str).and_then(|id| id.parse().ok()).unwrap();
    let wished: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| failure(400, "parseError", "Parse Error"))?;
    let end = |fields: &Map<String, Value>| {
        let retention = fields.get("retention")?;
        Some(retention.get("retainUntilTime")?.as_str()?.trim_end_matches('Z').trim_end_matches(".000").to_owned())
    };
    if end(&found.resource).is_some_and(|there| end(&wished).is_none_or(|wished| wished < there)) {
        return Err(failure(403, "forbidden", "A locked retention cannot be shortened."));
    }
    let generation = state.buckets.get_mut(bucket).and_then(|b| b.objects.get_mut(&(name.to_owned(), id))).unwrap();
    generation.resource.extend(wished);
    let resource = Value::Object(generation.resource.clone());
    Ok(document(&partial(&resource, query.text("fields").unwrap_or_default())))
}

fn begin(state: &mut State, bucket: &str, query: &Query, body: &Bytes) -> Result<Answer, Answer> {
    let name = query.text("name").filter(|name| !name.is_empty() && name.len() <= 1024 && !name.contains('\u{fffd}'));
    let name = name.ok_or_else(|| failure(400, "invalid", "Invalid argument."))?.to_owned();
    let condition = query.number("ifGenerationMatch");
    state.demand(bucket, &name, condition)?;
    let fields = query.text("fields").unwrap_or_default().to_owned();
    match query.text("uploadType") {
        Some("media") => {
            let made = state.create(bucket, &name, body.clone(), Map::new());
            Ok(document(&partial(&made, &fields)))
        }
        Some("resumable") => {
            let resource: Map<String, Value> =
                serde_json::from_slice(body).map_err(|_| failure(400, "parseError", "Parse Error"))?;
            state.ticks += 1;
            let id = format!("upload/{}-_", state.ticks);
            let location = format!(
                "https://storage.googleapis.com/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id=upload%2F{}-_",
                state.ticks
            );
            let bucket = bucket.to_owned();
            state
                .uploads
                .insert(id, Pending { bucket, name, condition, fields, resource, bytes: Vec::new(), made: None });
            let mut answer = with_body(200, "text/plain", "");
            answer.headers_mut().insert("location", location.parse().unwrap());
            Ok(answer)
        }
        _ => Err(failure(400, "invalid", "Bad uploadType")),
    }
}

fn go_on(state: &mut State, query: &Query, headers: &HeaderMap, body: &Bytes) -> Result<Answer, Answer> {
    let id = query.text("upload_id").unwrap_or_default().to_owned();
    let range = headers.get("content-range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes "));
    let pending = state.uploads.get_mut(&id).ok_or_else(|| with_body(404, "text/plain", "Not Found"))?;
    if let Some(made) = &pending.made {
        return Ok(document(made));
    }
    let invalid = || failure(400, "invalid", "Failed to parse Content-Range header.");
    let total = match range {
        None => {
            pending.bytes = body.to_vec();
            Some(body.len())
        }
        Some(range) => {
            let (part, total) = range.split_once('/').ok_or_else(invalid)?;
            let total: Option<usize> = total.parse().ok();
            if let Some((first, last)) = part.split_once('-') {
                let (first, last): (usize, usize) =
                    (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
                let is_right = last + 1 - first == body.len() && first <= pending.bytes.len();
                if !is_right || (total.is_none() && !body.len().is_multiple_of(PART_UNIT)) {
                    return Err(invalid());
                }
                // Bytes that are there already are passed over.
                pending.bytes.extend(body.iter().skip(pending.bytes.len() - first));
            }
            total
        }
    };
    if total != Some(pending.bytes.len()) {
        let mut answer = with_body(308, "text/plain", "");
        if let Some(last) = pending.bytes.len().checked_sub(1) {
            answer.headers_mut().insert("range", format!("bytes=0-{last}").parse().unwrap());
        }
        return Ok(answer);
    }
    let (bucket, name, condition) = (pending.bucket.clone(), pending.name.clone(), pending.condition);
    let (bytes, resource, fields) =
        (std::mem::take(&mut pending.bytes), pending.resource.clone(), pending.fields.clone());
    state.demand(&bucket, &name, condition)?;
    let made = partial(&state.create(&bucket, &name, bytes.into(), resource), &fields);
    if let Some(pending) = state.uploads.get_mut(&id) {
        pending.made = Some(made.clone());
    }
    Ok(document(&made))
}
