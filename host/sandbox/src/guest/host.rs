//! The functions that a guest may call: bodies, http, log, task. Nothing else of the host is in reach.

use std::time::Instant;

use credenza_connect::{Error, ErrorClass};
use wasmtime::component::Resource;

use super::bindings::credenza::host::{bodies, http, log, task};
use super::bindings::{settings, types};
use super::limits::{LINE_BYTES_MAX, RANDOM_BYTES_MAX, READ_BYTES_MAX};
use super::state::{BodyHandle, State};
use crate::egress::{Arriving, EgressError, GuestRequest, Response};

impl types::Host for State {}
impl settings::Host for State {}
impl bodies::Host for State {}

impl bodies::HostBody for State {
    fn from_bytes(&mut self, data: Vec<u8>) -> wasmtime::Result<Resource<BodyHandle>> {
        self.egress.traffic().count_made_by_guest(data.len());
        let payload = self.hold(data)?;
        self.push(BodyHandle::made(payload))
    }

    fn length(&mut self, this: Resource<BodyHandle>) -> wasmtime::Result<Option<u64>> {
        Ok(match self.table.get(&this)? {
            BodyHandle::Memory { payload, .. } => Some(payload.length()),
            BodyHandle::Remote(arriving) => arriving.length(),
            BodyHandle::Gone => None,
        })
    }

    async fn read(
        &mut self,
        this: Resource<BodyHandle>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, bodies::IoError>> {
        let max = max.min(READ_BYTES_MAX) as usize;
        let piece = match self.table.get_mut(&this)? {
            BodyHandle::Memory { payload, read, .. } => {
                let piece = payload.slice(*read, max as u64).to_bytes();
                *read = read.saturating_add(piece.len() as u64);
                piece
            }
            BodyHandle::Remote(arriving) => {
                self.clock.pause(Instant::now());
                let piece = arriving.read_veiled(max).await;
                self.clock.resume(Instant::now());
                match piece {
                    Ok(piece) => piece,
                    Err(e) => return Ok(Err(bodies::IoError { reason: e.reason, message: e.message })),
                }
            }
            BodyHandle::Gone => return Ok(Err(gone())),
        };
        self.egress.traffic().count_read_by_guest(piece.len());
        Ok(Ok(Vec::from(piece)))
    }

    fn slice(
        &mut self,
        this: Resource<BodyHandle>,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<Resource<BodyHandle>, bodies::IoError>> {
        let refused = |message: String| Ok(Err(bodies::IoError { reason: "body.slice".to_owned(), message }));
        match self.table.get(&this)? {
            BodyHandle::Remote(_) => refused("a body that is still arriving cannot be sliced".to_owned()),
            BodyHandle::Gone => Ok(Err(gone())),
            BodyHandle::Memory { payload, is_lent, .. } => {
                let total = payload.length();
                if offset.checked_add(length).is_none_or(|end| end > total) {
                    return refused(format!(
                        "{length} bytes from {offset} reach past the end of a body of {total} bytes"
                    ));
                }
                let slice = BodyHandle::Memory { payload: payload.slice(offset, length), read: 0, is_lent: *is_lent };
                self.push(slice).map(Ok)
            }
        }
    }

    fn drop(&mut self, this: Resource<BodyHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl http::Host for State {
    async fn send(
        &mut self,
        request: http::Request,
        data: Option<Resource<BodyHandle>>,
    ) -> wasmtime::Result<Result<Resource<Response>, http::Failure>> {
        let payload = match data.map(|data| self.table.delete(data)).transpose()? {
            None => None,
            Some(BodyHandle::Memory { payload, .. }) => Some(payload),
            Some(unsendable) => {
                let what = if matches!(unsendable, BodyHandle::Gone) {
                    "was lent for an earlier call"
                } else {
                    "is still arriving"
                };
                let message = format!("a body that {what} cannot be sent");
                return self.failure(EgressError::Refused { reason: "egress.body", message }).map(Err);
            }
        };
        self.count_request()?;
        let http::Request { method, endpoint, target, headers } = request;
        let request = GuestRequest { method, label: endpoint, target, headers };
        self.clock.pause(Instant::now());
        let answer = self.egress.send(request, payload).await;
        self.clock.resume(Instant::now());
        match answer {
            Ok(response) => {
                self.never_answered = None;
                self.clock_skew = self.clock_skew.take().or_else(|| response.clock_skew.clone());
                self.push(response).map(Ok)
            }
            Err(error) => self.failure(error).map(Err),
        }
    }
}

impl State {
    fn failure(&mut self, error: EgressError) -> wasmtime::Result<http::Failure> {
        let message = self.masker.clean(error.to_string(), LINE_BYTES_MAX);
        let (kind, reason) = match error {
            EgressError::Refused { reason, .. } => {
                self.refusal = Some((reason, message.clone()));
                self.count_refusal()?;
                (http::FailureKind::Refused, reason)
            }
            EgressError::NeverAnswered { reason, again_in, .. } => {
                let class = if again_in.is_some() { ErrorClass::Transient } else { ErrorClass::Configuration };
                let error = Error { retry_after: again_in, ..Error::new(class, reason, message.clone()) };
                self.never_answered = Some(error);
                (http::FailureKind::Unreachable, reason)
            }
            EgressError::Unreachable { reason, .. } => (http::FailureKind::Unreachable, reason),
            EgressError::Interrupted { reason, .. } => (http::FailureKind::Interrupted, reason),
        };
        Ok(http::Failure { kind, reason: reason.to_owned(), message })
    }
}

fn gone() -> bodies::IoError {
    let message = "a body that was lent for an earlier call was used again".to_owned();
    bodies::IoError { reason: "body.gone".to_owned(), message }
}

impl http::HostResponse for State {
    fn status(&mut self, this: Resource<Response>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&this)?.status)
    }

    fn header(&mut self, this: Resource<Response>, name: String) -> wasmtime::Result<Option<String>> {
        let headers = &self.table.get(&this)?.headers;
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name)).map(|(_, value)| value.clone());
        Ok(found.map(|value| self.masker.mask(value)))
    }

    fn headers(&mut self, this: Resource<Response>) -> wasmtime::Result<Vec<(String, String)>> {
        let headers = self.table.get(&this)?.headers.clone();
        Ok(headers.into_iter().map(|(name, value)| (name, self.masker.mask(value))).collect())
    }

    fn into_body(&mut self, this: Resource<Response>) -> wasmtime::Result<Resource<BodyHandle>> {
        let response = self.table.delete(this)?;
        self.push(BodyHandle::Remote(Box::new(Arriving::new(response.body, &self.masker))))
    }

    fn drop(&mut self, this: Resource<Response>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let mut line = message;
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        if matches!(level, log::Level::Error) {
            self.last_error_line = Some(self.masker.clean(line.clone(), LINE_BYTES_MAX));
        }
        let Some(line) = self.admit_line(line) else { return Ok(()) };
        let connector = &self.connector;
        match level {
            log::Level::Trace => tracing::trace!(%connector, "{line}"),
            log::Level::Debug => tracing::debug!(%connector, "{line}"),
            log::Level::Info => tracing::info!(%connector, "{line}"),
            log::Level::Warn => tracing::warn!(%connector, "{line}"),
            log::Level::Error => tracing::error!(%connector, "{line}"),
        }
        Ok(())
    }
}

impl task::Host for State {
    fn status(&mut self, message: String) -> wasmtime::Result<()> {
        if let Some(line) = self.admit_line(message) {
            tracing::info!(connector = %self.connector, "{line}");
        }
        Ok(())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.is_cancelled())
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ms())
    }

    fn random(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; count.min(RANDOM_BYTES_MAX) as usize];
        getrandom::fill(&mut bytes).map_err(|e| wasmtime::format_err!("the system gave no random bytes: {e}"))?;
        Ok(bytes)
    }
}
