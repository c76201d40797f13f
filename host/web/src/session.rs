//! Who may ask: a link that can be used once, soon, and the browsers that have used one.
//!
//! Owned here: links and sessions, by digest alone, so that the time of a comparison tells nothing. Refused here: cookies and requests (`guard`).
//!
//! Bound: one link, and as many sessions as [`Limits`](crate::Limits) says; each some 200 bytes.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blake3::Hash;
use credenza_app::users::Role;
use credenza_engine::{Clock, Moment};

use crate::access::Action;
use crate::error::Result;

/// How long a link can be used.
pub(crate) const LINK_MAX: Duration = Duration::from_secs(60);
/// How long a browser stays in without asking for anything.
pub(crate) const IDLE_MAX: Duration = Duration::from_hours(12);
/// The parameter of a link.
pub(crate) const KEY: &str = "key";

/// A browser that has entered.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What each of its forms carries, so that no other page can send one in its name.
    pub(crate) token: String,
    /// What it may do.
    pub(crate) role: Role,
}

/// Why nobody enters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The link was used, is too old, or never was one.
    Link,
    /// As many browsers are in as may be.
    Full,
}

struct State {
    link: Option<(Hash, Moment)>,
    sessions: HashMap<Hash, (Session, Moment)>,
}

/// Links and sessions of one server.
pub(crate) struct Sessions {
    clock: Arc<dyn Clock>,
    max: usize,
    state: Mutex<State>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>, max: usize) -> Self {
        Self { clock, max, state: Mutex::new(State { link: None, sessions: HashMap::new() }) }
    }

    /// The secret of a new link; the one before it can no longer be used.
    pub(crate) fn new_key(&self) -> Result<String> {
        let key = random()?;
        self.lock().link = Some((digest(&key), self.clock.now()));
        Ok(key)
    }

    /// Lets a browser in by the secret of a link, which is used up. What is handed back is the browser's own secret.
    pub(crate) fn enter(&self, key: &str) -> Result<Result<String, Refused>> {
        let (secret, token) = (random()?, random()?);
        let now = self.clock.now();
        let mut state = self.lock();
        state.sessions.retain(|_, (_, seen)| !has_passed(*seen, now, IDLE_MAX));
        let is_link = state.link.is_some_and(|(link, made)| link == digest(key) && !has_passed(made, now, LINK_MAX));
        if !is_link {
            return Ok(Err(Refused::Link));
        }
        if state.sessions.len() >= self.max {
            return Ok(Err(Refused::Full));
        }
        state.link = None;
        state.sessions.insert(digest(&secret), (Session { token, role: Role::Admin }, now));
        Ok(Ok(secret))
    }

    /// The session of a browser.
    pub(crate) fn get(&self, secret: &str) -> Option<Session> {
        let now = self.clock.now();
        let mut state = self.lock();
        let (session, seen) =
            state.sessions.get_mut(&digest(secret)).filter(|(_, seen)| !has_passed(*seen, now, IDLE_MAX))?;
        *seen = now;
        Some(session.clone())
    }

    /// Ends the session of a browser.
    pub(crate) fn leave(&self, secret: &str) {
        self.lock().sessions.remove(&digest(secret));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Why it may not do something, where it may not.
    pub(crate) fn refusal(&self, action: Action) -> Option<String> {
        let least = action.least();
        (self.role < least).then(|| format!("that takes the role {least}, and yours is {}", self.role))
    }

    /// Whether a form carries what it must.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        digest(given) == digest(&self.token)
    }
}

/// Makes links to a server, for as long as it is there.
#[derive(Clone)]
pub struct Links {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) address: SocketAddr,
}

impl Links {
    /// A link that lets one browser in, once, within 60 seconds. It takes the place of the one before.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn make(&self) -> Result<String> {
        Ok(format!("http://{}/enter?{KEY}={}", self.address, self.sessions.new_key()?))
    }
}

/// Whether so much time has passed by either clock: one stands still in sleep, the other may be set.
fn has_passed(since: Moment, now: Moment, max: Duration) -> bool {
    let slept = now.wall.seconds.saturating_sub(since.wall.seconds);
    let awake = now.monotonic.saturating_sub(since.monotonic);
    awake >= max || u64::try_from(slept).is_ok_and(|slept| slept >= max.as_secs())
}

fn digest(text: &str) -> Hash {
    blake3::hash(text.as_bytes())
}

/// 256 random bits, in hexadecimal digits.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
