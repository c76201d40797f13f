//! A body that breaks off goes on where it stopped.
//!
//! Only streams are watched; a local reader passes as it is, so that it can be read without a detour. Each piece that
//! arrives renews the tries: a slow, stumbling transfer of a large object ends, one that makes no progress is given up.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::try_unfold;
use futures_util::{Stream, StreamExt};

use super::{Patience, Tries};
use crate::{Body, BodyReader, Error, ErrorClass, Result};

/// Opens the body again from so many bytes on.
pub(super) type Reopen = Box<dyn Fn(u64) -> BoxFuture<'static, Result<Body>> + Send>;

struct Transfer {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    received: u64,
    length: Option<u64>,
    patience: Patience,
    tries: Tries,
    reopen: Reopen,
}

/// The same body, resumed through `reopen` when it breaks off.
pub(super) fn resumed(body: Body, patience: Patience, reopen: Reopen) -> Body {
    let length = body.length;
    match body.reader {
        BodyReader::Blocking(_) => body,
        BodyReader::Stream(pieces) => {
            let tries = Tries::new(&patience);
            let transfer = Transfer { pieces, received: 0, length, patience, tries, reopen };
            Body::from_stream(length, try_unfold(transfer, next_piece))
        }
    }
}

async fn next_piece(mut transfer: Transfer) -> Result<Option<(Bytes, Transfer)>> {
    loop {
        match transfer.pieces.next().await {
            Some(Ok(piece)) => {
                transfer.received = transfer.received.saturating_add(piece.len() as u64);
                transfer.tries = Tries::new(&transfer.patience);
                return Ok(Some((piece, transfer)));
            }
            Some(Err(error)) => transfer.go_on(error).await?,
            None if transfer.length.is_some_and(|length| transfer.received < length) => {
                let error = broken_off(transfer.received, transfer.length);
                transfer.go_on(error).await?;
            }
            None => return Ok(None),
        }
    }
}

fn broken_off(received: u64, length: Option<u64>) -> Error {
    Error::new(
        ErrorClass::Transient,
        "body.too-short",
        format!("an answer broke off after {received} of {} bytes", length.unwrap_or(0)),
    )
}

impl Transfer {
    /// Opens the rest; `error` is why.
    async fn go_on(&mut self, mut error: Error) -> Result<()> {
        loop {
            self.tries.pause_after(error).await?;
            if self.length == Some(self.received) {
                self.pieces = Box::pin(futures_util::stream::empty());
                return Ok(());
            }
            error = match (self.reopen)(self.received).await {
                Ok(body) => return self.take_up(body),
                Err(error) => error,
            };
        }
    }

    fn take_up(&mut self, rest: Body) -> Result<()> {
        let left = self.length.map(|length| length.saturating_sub(self.received));
        if let (Some(left), Some(rest)) = (left, rest.length)
            && left != rest
        {
            return Err(Error::new(
                ErrorClass::Corrupt,
                "body.resume",
                format!("{left} bytes were left of an answer that broke off, but the remote now offers {rest}"),
            ));
        }
        self.pieces = rest.into_stream();
        Ok(())
    }
}
