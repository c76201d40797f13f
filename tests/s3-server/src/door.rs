//! The door between the wire and `s3s`: counts every request and acts out the faults that show on the wire.
//!
//! Called by [`crate::server`] for each request of each connection. What a fault does to stored objects is not
//! decided here: see [`crate::faults`].

use crate::faults::Quirks;
use crate::policy::{Asking, CurrentPolicy, actions};
use crate::{Fault, Faults, Log, Operation};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Ends a connection without an answer: what `hyper` does with a service that fails.
#[derive(Debug)]
pub(crate) struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection ends here, as a fault demands")
    }
}

impl std::error::Error for HungUp {}

/// What a request is about, told before its signature is looked at.
#[derive(Debug, Clone)]
struct Subject {
    bucket: String,
    key: String,
    operation: Operation,
}

/// Counts, faults and the service behind them.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) service: s3s::service::S3Service,
    pub(crate) log: Log,
    pub(crate) faults: Faults,
    pub(crate) policy: CurrentPolicy,
    /// Host name whose sub-domains are buckets.
    pub(crate) domain: String,
}

impl Door {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Answer>, HungUp> {
        let subject = self.subject(&request);
        let line = format!("{} {}", request.method(), request.uri());
        self.log.add(&subject.bucket, subject.operation, |count| count.requests = count.requests.saturating_add(1));
        if let Some(region) = signed_region(&request) {
            self.log.signed_for(&subject.bucket, region);
        }
        let _in_flight = self.log.arrive(&subject.bucket, subject.operation);
        let fault = match self.policy.allows(&self.asked(&request, &subject)) {
            true => self.faults.strike(subject.operation, &subject.bucket, &subject.key),
            false => Some(Fault::AccessDenied),
        };
        let answer = self.answer_with(request, &subject, fault.as_ref()).await;
        let end = answer.as_ref().map_or("hung up".to_owned(), |answer| answer.status().as_u16().to_string());
        let because = fault.map(|fault| format!(" because of {fault:?}")).unwrap_or_default();
        self.log.line(format!("{line} -> {end}{because}"));
        answer
    }

    async fn answer_with(
        &self,
        request: Request<Incoming>,
        subject: &Subject,
        fault: Option<&Fault>,
    ) -> Result<Response<Answer>, HungUp> {
        if fault == Some(&Fault::Reset) {
            return Err(HungUp);
        }
        let has_checksum = request.headers().keys().any(|name| name.as_str().ends_with("-checksum-algorithm"));
        let canned = fault.filter(|fault| **fault != Fault::ChecksumsRefused || has_checksum).and_then(canned);
        if let Some(canned) = canned {
            self.drain(request, subject).await?;
            return Ok(canned.map(|text| self.meter(s3s::Body::from(Bytes::from(text)), subject, Cut::None)));
        }
        match fault {
            Some(Fault::Late { ms }) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Some(Fault::Held(hold)) => hold.pass().await,
            _ => {}
        }
        let (parts, body) = request.into_parts();
        let counted = self.count_in(body, subject);
        let mut request = Request::from_parts(parts, s3s::Body::http_body(counted));
        request.extensions_mut().insert(Quirks::of(fault));
        let response = self.service.call(request).await.map_err(|_| HungUp)?;
        if let Some(Fault::AnswerHeld(hold)) = fault {
            hold.pass().await;
        }
        match fault {
            Some(Fault::LostAnswer) => Err(HungUp),
            Some(Fault::Truncated { keep_bytes }) => Ok(self.cut(response, subject, Cut::End(*keep_bytes))),
            Some(Fault::Stalled { keep_bytes }) => Ok(self.cut(response, subject, Cut::Stall(*keep_bytes))),
            Some(Fault::Flipped) => Ok(response.map(|body| self.meter(body, subject, Cut::Flip))),
            _ => Ok(response.map(|body| self.meter(body, subject, Cut::None))),
        }
    }

    /// Keeps the promise of a length while the body will not.
    fn cut(&self, mut response: Response<s3s::Body>, subject: &Subject, cut: Cut) -> Response<Answer> {
        if let Some(bytes) = response.body().size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
        }
        response.map(|body| self.meter(body, subject, cut))
    }

    fn meter(&self, body: s3s::Body, subject: &Subject, cut: Cut) -> Answer {
        let (log, Subject { bucket, operation, .. }) = (self.log.clone(), subject.clone());
        let count = move |bytes: u64| {
            log.add(&bucket, operation, |count| count.bytes_out = count.bytes_out.saturating_add(bytes));
        };
        Answer { body, cut, count: Box::new(count), passed: 0 }
    }

    fn count_in(&self, body: Incoming, subject: &Subject) -> Asked {
        let (log, Subject { bucket, operation, .. }) = (self.log.clone(), subject.clone());
        let count = move |bytes: u64| {
            log.add(&bucket, operation, |count| count.bytes_in = count.bytes_in.saturating_add(bytes));
        };
        Asked { body, count: Box::new(count) }
    }

    /// Reads a request to its end, so that the connection stays usable for the answer.
    async fn drain(&self, request: Request<Incoming>, subject: &Subject) -> Result<(), HungUp> {
        let mut body = self.count_in(request.into_body(), subject);
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| HungUp)?;
        }
        Ok(())
    }

    /// The request as a policy sees it.
    fn asked(&self, request: &Request<Incoming>, subject: &Subject) -> Asking {
        let has = |name: &str| request.headers().contains_key(name);
        Asking {
            actions: actions(
                subject.operation,
                request.uri().query().unwrap_or_default(),
                has("x-amz-object-lock-mode"),
            ),
            bucket: subject.bucket.clone(),
            key: subject.key.clone(),
            creates_only: has("if-none-match"),
        }
    }

    fn subject(&self, request: &Request<Incoming>) -> Subject {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = request.uri().path().trim_start_matches('/');
        let (bucket, key) = match bucket_of_host(host, &self.domain) {
            Some(bucket) => (bucket.to_owned(), path),
            None => path.split_once('/').map_or((path.to_owned(), ""), |(bucket, key)| (bucket.to_owned(), key)),
        };
        let copies = request.headers().contains_key("x-amz-copy-source");
        let query = request.uri().query().unwrap_or_default();
        let operation = Operation::of(request.method(), !key.is_empty(), query, copies);
        Subject { bucket, key: key.to_owned(), operation }
    }
}

/// The region in the scope `KEY/DATE/REGION/s3/aws4_request` of a signature in the header.
fn signed_region<B>(request: &Request<B>) -> Option<&str> {
    let header = request.headers().get(http::header::AUTHORIZATION)?.to_str().ok()?;
    header.split("Credential=").nth(1)?.split('/').nth(2)
}

/// The bucket that a `Host` header names under `domain`, port left out.
pub(crate) fn bucket_of_host<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let name = host.split(':').next().unwrap_or_default();
    name.strip_suffix(domain)?.strip_suffix('.')
}

/// Answers that are the same whatever was asked.
fn canned(fault: &Fault) -> Option<Response<String>> {
    let (status, text) = match fault {
        Fault::SlowDown { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, error("SlowDown", "Please reduce your request rate."))
        }
        Fault::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, error("InternalError", "Please try again.")),
        Fault::TimeTooSkewed => (
            StatusCode::FORBIDDEN,
            error("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ),
        Fault::AccessDenied => (StatusCode::FORBIDDEN, error("AccessDenied", "Access Denied")),
        Fault::Full => (StatusCode::INSUFFICIENT_STORAGE, error("InsufficientStorage", "There is no space left.")),
        Fault::WrongRegion { .. } => (
            StatusCode::MOVED_PERMANENTLY,
            error("PermanentRedirect", "The bucket you are attempting to access must be addressed elsewhere."),
        ),
        Fault::NoSuchBucket => (StatusCode::NOT_FOUND, error("NoSuchBucket", "The specified bucket does not exist")),
        Fault::ChecksumsRefused => (
            StatusCode::NOT_IMPLEMENTED,
            error("NotImplemented", "A header you provided implies functionality that is not implemented"),
        ),
        Fault::CustomerKey => (
            StatusCode::BAD_REQUEST,
            error(
                "InvalidRequest",
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
            ),
        ),
        Fault::ListingForAnything => (
            StatusCode::OK,
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned(),
        ),
        Fault::Html => (StatusCode::OK, "<!doctype html><html><body>Please sign in</body></html>".to_owned()),
        Fault::MalformedXml => (StatusCode::OK, "<?xml version=\"1.0\"?><ListBucketResult><Contents><Ke".to_owned()),
        Fault::ErrorInOk => (StatusCode::OK, error("InternalError", "We encountered an internal error.")),
        _ => return None,
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = if *fault == Fault::Html { "text/html" } else { "application/xml" };
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    if let Fault::SlowDown { retry_after_s: Some(seconds) } = fault {
        headers.insert(RETRY_AFTER, (*seconds).into());
    }
    if let Fault::WrongRegion { region } = fault
        && let Ok(region) = region.parse()
    {
        headers.insert("x-amz-bucket-region", region);
    }
    Some(response)
}

fn error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>fault</RequestId></Error>"
    )
}

/// The body of a request: counted. It tells its length, because `s3s` refuses a signed body of unknown length.
struct Asked {
    body: Incoming,
    count: Box<dyn Fn(u64) + Send + Sync>,
}

impl Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            (self.count)(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What happens to the body of an answer on its way out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    None,
    /// The connection breaks after so many bytes.
    End(u64),
    /// Nothing more comes after so many bytes.
    Stall(u64),
    /// The first byte has its lowest bit flipped.
    Flip,
}

impl Cut {
    fn limit(self) -> u64 {
        match self {
            Self::End(bytes) | Self::Stall(bytes) => bytes,
            Self::None | Self::Flip => u64::MAX,
        }
    }
}

/// The body of an answer: counted, and cut when a fault demands it.
pub(crate) struct Answer {
    body: s3s::Body,
    cut: Cut,
    count: Box<dyn Fn(u64) + Send + Sync>,
    passed: u64,
}

impl Answer {
    fn pass(&mut self, mut data: Bytes) -> Bytes {
        let room = self.cut.limit().saturating_sub(self.passed);
        data.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        if self.cut == Cut::Flip && self.passed == 0 {
            let mut changed = data.to_vec();
            changed.iter_mut().take(1).for_each(|byte| *byte ^= 1);
            data = changed.into();
        }
        self.passed = self.passed.saturating_add(data.len() as u64);
        (self.count)(data.len() as u64);
        data
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.passed >= self.cut.limit() {
            return match self.cut {
                Cut::Stall(_) => Poll::Pending,
                _ => Poll::Ready(Some(Err(Box::new(HungUp)))),
            };
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|data| self.pass(data)))
    }

    fn is_end_stream(&self) -> bool {
        self.cut == Cut::None && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
