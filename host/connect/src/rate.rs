//! A bound on bytes a second, shared by all that pass bytes under it.
//!
//! Bytes pass when those before them have had their time. Nothing is saved up in a pause, so that no more than one piece is ever ahead of the
//! bound: whoever sends cuts pieces that are small against it ([`Rate::piece_bytes`]). Those who wait pass in the order in which they came.
//!
//! Owned here: whose turn it is when. Refused here: where bytes pass (`wrap::Throttle`, the sandbox's connections).

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::Body;

/// Pieces of a second: what is cut for a slow line keeps a connection alive.
const PIECES_A_SECOND: u64 = 4;
/// Smallest piece that is worth a packet.
const PIECE_BYTES_MIN: u64 = 256;

/// A bound on bytes a second, or none. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Rate(Option<Arc<Bound>>);

/// What may pass in each direction.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Towards remote places, and into a store.
    pub upload: Rate,
    /// From them.
    pub download: Rate,
}

impl Rates {
    /// Whether there is a bound in any direction.
    #[must_use]
    pub fn are_bounded(&self) -> bool {
        self.upload.is_bounded() || self.download.is_bounded()
    }
}

#[derive(Debug)]
struct Bound {
    /// 0 for none.
    bytes_a_second: AtomicU64,
    /// When all that was let through has had its time.
    free_at: Mutex<Option<Instant>>,
}

impl Rate {
    /// So many bytes a second.
    #[must_use]
    pub fn of(bytes_a_second: NonZeroU64) -> Self {
        Self::adjustable(Some(bytes_a_second))
    }

    /// A bound that may be [set](Self::set) while bytes pass; none for now where there is no number.
    #[must_use]
    pub fn adjustable(bytes_a_second: Option<NonZeroU64>) -> Self {
        let bytes_a_second = AtomicU64::new(bytes_a_second.map_or(0, NonZeroU64::get));
        Self(Some(Arc::new(Bound { bytes_a_second, free_at: Mutex::new(None) })))
    }

    /// Bounds what passes from now on; nothing happens to one that was never bounded.
    pub fn set(&self, bytes_a_second: Option<NonZeroU64>) {
        if let Some(bound) = &self.0 {
            bound.bytes_a_second.store(bytes_a_second.map_or(0, NonZeroU64::get), Ordering::Relaxed);
        }
    }

    /// Whether there is a bound, or may be one.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.0.is_some()
    }

    /// The bound as it is now.
    fn bytes_a_second(&self) -> Option<u64> {
        self.0.as_ref().map(|bound| bound.bytes_a_second.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// The largest piece that is to be passed at once, `max` at most.
    #[must_use]
    pub fn piece_bytes(&self, max: usize) -> usize {
        let Some(bytes_a_second) = self.bytes_a_second() else { return max };
        let piece = (bytes_a_second / PIECES_A_SECOND).max(PIECE_BYTES_MIN);
        usize::try_from(piece).map_or(max, |piece| piece.min(max))
    }

    /// Takes a turn for so many bytes, and tells when it is; nothing where it is now. A turn that is not used is lost.
    #[must_use]
    pub fn turn(&self, bytes: u64) -> Option<Instant> {
        let bound = self.0.as_ref()?;
        let bytes_a_second = self.bytes_a_second()?;
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_a_second);
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let now = Instant::now();
        let mut free_at = bound.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = turn.checked_add(time).or(Some(turn));
        Some(turn).filter(|turn| *turn > now)
    }

    /// Waits until so many bytes may pass.
    pub async fn pass(&self, bytes: u64) {
        if let Some(turn) = self.turn(bytes) {
            tokio::time::sleep_until(turn).await;
        }
    }

    /// The same body, each piece of which waits for its turn.
    #[must_use]
    pub fn paced(&self, body: Body) -> Body {
        if !self.is_bounded() {
            return body;
        }
        let (length, rate) = (body.length, self.clone());
        let paced = body.into_stream().then(move |piece| {
            let rate = rate.clone();
            async move {
                rate.pass(piece.as_ref().map_or(0, |bytes| bytes.len() as u64)).await;
                piece
            }
        });
        Body::from_stream(length, paced)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn rate(bytes_a_second: u64) -> Rate {
        Rate::of(NonZeroU64::new(bytes_a_second).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_share_a_rate_pass_no_more_than_it_says_and_one_piece() {
        let (rate, begin) = (rate(1000), Instant::now());
        let passes = (0..20).map(|_| {
            let rate = rate.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    rate.pass(100).await;
                }
            })
        });
        for pass in passes.collect::<Vec<_>>() {
            pass.await.unwrap();
        }
        assert_eq!(begin.elapsed().as_millis(), 9_900, "10,000 bytes, of which the first 100 wait for nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_saved_up_in_a_pause() {
        let rate = rate(1000);
        rate.pass(1000).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = Instant::now();
        for _ in 0..3 {
            rate.pass(1000).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_paced_and_whole() {
        let begin = Instant::now();
        let pieces = futures_util::stream::iter([b"abc", b"def"].map(|piece| Ok(Bytes::from_static(piece))));
        let body = rate(1).paced(Body::from_stream(Some(6), pieces));
        assert_eq!(body.read_all(100).await.unwrap(), "abcdef");
        assert_eq!(begin.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nobody_waits() {
        let begin = Instant::now();
        Rate::default().pass(u64::MAX).await;
        assert_eq!((Rate::default().turn(u64::MAX), begin.elapsed()), (None, Duration::ZERO));
    }

    #[test]
    fn pieces_are_small_against_the_rate_and_never_nothing() {
        assert_eq!(Rate::default().piece_bytes(1000), 1000);
        assert_eq!((rate(400_000).piece_bytes(1 << 20), rate(400_000).piece_bytes(1000)), (100_000, 1000));
        assert_eq!(rate(1).piece_bytes(1 << 20), 256);
    }
}
