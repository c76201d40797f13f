//! The wire of the S3 library over the connections of the host, without a sandbox between them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use credenza_connect::Body;
use credenza_model::Timestamp;
use credenza_sandbox::{Egress, EgressError, GuestRequest};
use credenza_sdk::http::Request;
use credenza_sdk::wire::{Answer, Headers, Wire};
use credenza_sdk::{Error, ErrorClass, Result};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;

use crate::convert;

/// Sends what the library asks for. Calls block, so they must not come from a thread of the runtime.
#[derive(Clone)]
pub(crate) struct NativeWire {
    egress: Arc<Egress>,
    runtime: Handle,
}

/// A body that is read once: by the library, or by the engine.
pub(crate) struct NativeBody(RefCell<Body>);

impl NativeWire {
    pub(crate) fn new(egress: Arc<Egress>) -> Self {
        Self { egress, runtime: Handle::current() }
    }
}

impl NativeBody {
    pub(crate) fn into_body(self) -> Body {
        self.0.into_inner()
    }

    fn take(&self) -> Body {
        self.0.replace(Body::from_bytes(Bytes::new()))
    }
}

impl Wire for NativeWire {
    type Body = NativeBody;

    fn send(&self, request: Request, body: Option<NativeBody>) -> Result<Answer<NativeBody>> {
        let Request { method, endpoint, target, headers } = request;
        let request = GuestRequest { method, label: endpoint, target, headers };
        let sent = self.runtime.block_on(async {
            let payload = match body {
                Some(body) => Some(body.into_body().read_all(u64::MAX).await.map_err(convert::sdk_error)?.into()),
                None => None,
            };
            self.egress.send(request, payload).await.map_err(failure)
        });
        let mut response = sent?;
        let headers = Headers(std::mem::take(&mut response.headers));
        Ok(Answer { status: response.status, headers, body: NativeBody(RefCell::new(response.into_body())) })
    }

    fn now_seconds(&self) -> i64 {
        Timestamp::from_system(SystemTime::now()).seconds
    }

    /// Nothing is written here: the time is word enough.
    fn unique_word(&self) -> String {
        let now = Timestamp::from_system(SystemTime::now());
        format!("{}n{}", now.seconds, now.nanoseconds)
    }

    fn body_of(&self, bytes: Vec<u8>) -> NativeBody {
        NativeBody(RefCell::new(Body::from_bytes(bytes.into())))
    }

    fn read_up_to(&self, body: &NativeBody, bytes_max: usize) -> Result<(Vec<u8>, bool)> {
        let mut pieces = body.take().into_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = self.runtime.block_on(pieces.try_next()).map_err(convert::sdk_error)? {
            let room = bytes_max.saturating_sub(bytes.len());
            bytes.extend(piece.iter().take(room));
            if piece.len() > room {
                return Ok((bytes, false));
            }
        }
        Ok((bytes, true))
    }

    fn length(&self, body: &NativeBody) -> Option<u64> {
        body.0.borrow().length
    }
}

fn failure(error: EgressError) -> Error {
    let message = error.to_string();
    let (class, reason) = match error {
        EgressError::Refused { reason, .. } => (ErrorClass::Denied, reason),
        EgressError::Unreachable { reason, .. }
        | EgressError::NeverAnswered { reason, .. }
        | EgressError::Interrupted { reason, .. } => (ErrorClass::Transient, reason),
    };
    Error::new(class, reason, message)
}
