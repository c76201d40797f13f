//! Snapshots as buckets of an S3 server that is read only.
//!
//! Signatures, XML and parameters are those of `s3s`. One pair of keys, made anew for each run, lets in; who has it can read all that is shown.
//! Whatever would change something is answered with 405.
//!
//! Owned here: which operations there are. What they answer is in `list`, `versions` and `read`, of which buckets in `buckets`. Called by `cli`.
//!
//! Bound: what `listen` and `entry` state, and one page of a listing for each request.

mod buckets;
mod list;
mod names;
mod object;
mod read;
mod versions;

use std::sync::{Arc, Mutex, PoisonError};

use credenza_engine::{Error as EngineError, Stop};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use self::buckets::{Bucket, Buckets};
use crate::Result;
use crate::entry::{Readers, Trouble};
use crate::listen::{Answering, Listening, Reach};
use crate::random::random_hex;
use crate::shelf::{Shelf, Standing};

/// Bytes of the id of a pair of keys, and of its secret, before they are written in hexadecimal.
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 20;
/// What is answered to all that would change something.
const REFUSAL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>MethodNotAllowed</Code><Message>Snapshots can only be read.</Message></Error>";

/// The pair of keys that lets in.
#[derive(Clone)]
pub struct S3Keys {
    /// The access key.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl S3Keys {
    /// Makes a new pair.
    ///
    /// # Errors
    /// [`Error::Random`](crate::Error::Random).
    pub fn random() -> Result<Self> {
        Ok(Self { id: random_hex::<ID_BYTES>()?.to_uppercase(), secret: random_hex::<SECRET_BYTES>()? })
    }
}

/// An S3 server that listens, and answers as soon as it is [run](Self::run).
pub struct S3Front {
    listening: Listening,
    door: Door,
    bucket: &'static str,
}

impl S3Front {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::Listen`](crate::Error::Listen), [`Error::NotLoopback`](crate::Error::NotLoopback).
    pub async fn bind(reach: &Reach, shelf: Shelf, keys: &S3Keys, trouble: Trouble) -> Result<Self> {
        let listening = Listening::at(reach).await?;
        let is_chosen = shelf.standing().await.alone.is_some() && !shelf.follows();
        let bucket = if is_chosen { buckets::CHOSEN } else { buckets::LATEST };
        Ok(Self { listening, door: Door::new(shelf, keys, trouble), bucket })
    }

    /// Where it is asked for, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.listening.origin().url()
    }

    /// The bucket to look into first.
    #[must_use]
    pub const fn bucket(&self) -> &'static str {
        self.bucket
    }

    /// Answers until it is asked to stop.
    pub async fn run(self, stop: &Stop) {
        self.listening.run(self.door, stop).await;
    }
}

/// Lets through what only reads.
struct Door {
    service: S3Service,
}

impl Door {
    fn new(shelf: Shelf, keys: &S3Keys, trouble: Trouble) -> Self {
        let storage = Storage { shelf, buckets: Mutex::default(), readers: Readers::new(trouble) };
        let mut builder = S3ServiceBuilder::new(storage);
        builder.set_auth(SimpleAuth::from_single(keys.id.as_str(), keys.secret.as_str()));
        Self { service: builder.build() }
    }

    /// The answer to a request without a body.
    async fn asked(&self, request: Request<s3s::Body>) -> Response<s3s::Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refused();
        }
        match self.service.call(request).await {
            // Something that S3 has and snapshots do not.
            Ok(answer) if answer.status() == StatusCode::NOT_IMPLEMENTED => refused(),
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!("a request of S3 could not be answered: {error:?}");
                let mut answer = Response::new(s3s::Body::empty());
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        }
    }
}

impl Answering for Door {
    type Answer = Answer;

    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        self.asked(request.map(s3s::Body::from)).await.map(Answer)
    }
}

fn refused() -> Response<s3s::Body> {
    let mut answer = Response::new(s3s::Body::from(REFUSAL.to_owned()));
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// The body of an answer, whose errors have a type.
struct Answer(s3s::Body);

/// A body broke off.
#[derive(Debug, thiserror::Error)]
#[error("an answer broke off: {0}")]
struct BrokenOff(String);

impl http_body::Body for Answer {
    type Data = bytes::Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<http_body::Frame<bytes::Bytes>, BrokenOff>>> {
        let frame = std::pin::Pin::new(&mut self.0).poll_frame(context);
        frame.map_err(|cause| BrokenOff(cause.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// What the operations answer from.
struct Storage {
    shelf: Shelf,
    /// The buckets of what was shown last.
    buckets: Mutex<Option<(Arc<Standing>, Arc<Buckets>)>>,
    readers: Readers,
}

impl Storage {
    /// The buckets of what is shown now.
    async fn buckets(&self) -> Arc<Buckets> {
        let standing = self.shelf.standing().await;
        let mut kept = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, buckets)) if Arc::ptr_eq(of, &standing) => Arc::clone(buckets),
            _ => {
                let buckets = Arc::new(Buckets::of(&standing, self.shelf.follows()));
                *kept = Some((standing, Arc::clone(&buckets)));
                buckets
            }
        }
    }

    async fn bucket(&self, name: &str) -> S3Result<Bucket> {
        let found = self.buckets().await.by_name.get(name).cloned();
        found.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    /// Tells of an error, and what the reader gets for it.
    fn broken(&self, cause: &EngineError) -> S3Error {
        self.readers.tell(cause);
        read::broken(cause)
    }

    async fn list_buckets(&self, input: ListBucketsInput) -> S3Result<S3Response<ListBucketsOutput>> {
        let prefix = input.prefix.unwrap_or_default();
        let all = self.buckets().await;
        let buckets = all.by_name.iter().filter(|(name, _)| name.starts_with(&prefix));
        let buckets = buckets.map(|(name, bucket)| s3s::dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(object::time(bucket.time())),
            ..Default::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() }))
    }

    async fn head_bucket(&self, input: HeadBucketInput) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        input: GetBucketLocationInput,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&input.bucket).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn get_bucket_versioning(
        &self,
        input: GetBucketVersioningInput,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let bucket = self.bucket(&input.bucket).await?;
        let enabled = || BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
        let status = bucket.keeps_versions.then(enabled);
        Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
    }
}

/// Joins the operations to the methods of [`Storage`] that have their names.
macro_rules! join {
    ($(async fn $name:ident($input:ty) -> $output:ty;)*) => {
        #[async_trait::async_trait]
        impl S3 for Storage {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Storage::$name(self, request.input).await
            })*
        }
    };
}

join! {
    async fn get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    async fn get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    async fn get_object(GetObjectInput) -> GetObjectOutput;
    async fn get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput;
    async fn get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    async fn head_bucket(HeadBucketInput) -> HeadBucketOutput;
    async fn head_object(HeadObjectInput) -> HeadObjectOutput;
    async fn list_buckets(ListBucketsInput) -> ListBucketsOutput;
    async fn list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    async fn list_objects(ListObjectsInput) -> ListObjectsOutput;
    async fn list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
}
