//! Who may ask: a link that can be used once, soon, and the browsers that have entered by one, or as a user.
//!
//! Owned here: links and sessions, by digest alone, so that the time of a comparison tells nothing. Refused here: cookies and requests (`guard`).
//!
//! Bound: one link, and as many sessions as [`Limits`](crate::Limits) says, of one user [`EACH_MAX`]; each some 300 bytes.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blake3::Hash;
use credenza_app::users::{Role, User};
use credenza_engine::{Clock, Moment};

use crate::access::Action;
use crate::error::Result;

/// How long a link can be used.
pub(crate) const LINK_MAX: Duration = Duration::from_secs(60);
/// Sessions of one user; one more ends the one that was idle longest.
pub(crate) const EACH_MAX: usize = 8;

/// How long a browser stays in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    /// Without asking for anything.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) whole: Duration,
}

impl Stay {
    /// Of a browser on this machine.
    pub(crate) const HERE: Self = Self { idle: Duration::from_hours(12), whole: Duration::from_hours(7 * 24) };
    /// Of a user.
    pub(crate) const USER: Self = Self { idle: Duration::from_hours(1), whole: Duration::from_hours(12) };
}

/// The parameter of a link.
pub(crate) const KEY: &str = "key";

/// A browser that has entered.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What each of its forms carries, so that no other page can send one in its name.
    pub(crate) token: String,
    /// What it may do.
    pub(crate) role: Role,
    /// Who has logged in; nobody where a link has let in.
    pub(crate) user: Option<User>,
    /// Where the login ends by which an identity provider has let in.
    pub(crate) leave: Option<String>,
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
    sessions: HashMap<Hash, Kept>,
}

/// A session, and when it began and was seen last.
struct Kept {
    session: Session,
    began: Moment,
    seen: Moment,
}

/// Links and sessions of one server.
pub(crate) struct Sessions {
    clock: Arc<dyn Clock>,
    max: usize,
    stay: Stay,
    state: Mutex<State>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>, max: usize, stay: Stay) -> Self {
        Self { clock, max, stay, state: Mutex::new(State { link: None, sessions: HashMap::new() }) }
    }

    /// The secret of a new link; the one before it can no longer be used.
    pub(crate) fn new_key(&self) -> Result<String> {
        let key = random()?;
        self.lock().link = Some((digest(&key), self.clock.now()));
        Ok(key)
    }

    /// Lets a browser in by the secret of a link, which is used up. What is handed back is the browser's own secret.
    pub(crate) fn enter(&self, key: &str) -> Result<Result<String, Refused>> {
        let session = Session { token: random()?, role: Role::Admin, user: None, leave: None };
        let now = self.clock.now();
        let mut state = self.lock();
        let is_link = state.link.is_some_and(|(link, made)| link == digest(key) && !has_passed(made, now, LINK_MAX));
        if !is_link {
            return Ok(Err(Refused::Link));
        }
        let entered = self.begin(&mut state, session)?;
        if entered.is_ok() {
            state.link = None;
        }
        Ok(entered)
    }

    /// Lets a user in, for whom an identity provider has vouched where there is an address to leave that at. What is handed back is the browser's own
    /// secret.
    pub(crate) fn log_in(&self, user: User, leave: Option<String>) -> Result<Result<String, Refused>> {
        let session = Session { token: random()?, role: user.role, user: Some(user.clone()), leave };
        let mut state = self.lock();
        let is_own = |kept: &Kept| kept.session.user.as_ref().is_some_and(|other| other.name == user.name);
        let own = state.sessions.iter().filter(|(_, kept)| is_own(kept));
        let mut own: Vec<(Duration, Hash)> = own.map(|(secret, kept)| (kept.seen.monotonic, *secret)).collect();
        own.sort_by_key(|(seen, _)| *seen);
        let surplus = (own.len() + 1).saturating_sub(EACH_MAX);
        for (_, secret) in own.into_iter().take(surplus) {
            state.sessions.remove(&secret);
        }
        self.begin(&mut state, session)
    }

    fn begin(&self, state: &mut State, session: Session) -> Result<Result<String, Refused>> {
        let secret = random()?;
        let now = self.clock.now();
        state.sessions.retain(|_, kept| !self.is_over(kept, now));
        if state.sessions.len() >= self.max {
            return Ok(Err(Refused::Full));
        }
        state.sessions.insert(digest(&secret), Kept { session, began: now, seen: now });
        Ok(Ok(secret))
    }

    fn is_over(&self, kept: &Kept, now: Moment) -> bool {
        has_passed(kept.seen, now, self.stay.idle) || has_passed(kept.began, now, self.stay.whole)
    }

    /// The session of a browser that asks for something.
    pub(crate) fn get(&self, secret: &str) -> Option<Session> {
        self.find(secret, true)
    }

    /// The session of a browser, `is_use` where that counts as asking for something.
    pub(crate) fn find(&self, secret: &str, is_use: bool) -> Option<Session> {
        let now = self.clock.now();
        let mut state = self.lock();
        let kept = state.sessions.get_mut(&digest(secret)).filter(|kept| !self.is_over(kept, now))?;
        if is_use {
            kept.seen = now;
        }
        Some(kept.session.clone())
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
    /// The name under which the server is asked for.
    pub(crate) host: String,
}

impl Links {
    /// A link that lets one browser in, once, within 60 seconds. It takes the place of the one before.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn make(&self) -> Result<String> {
        Ok(format!("http://{}/enter?{KEY}={}", self.host, self.sessions.new_key()?))
    }
}

/// Whether so much time has passed by either clock: one stands still in sleep, the other may be set.
pub(crate) fn has_passed(since: Moment, now: Moment, max: Duration) -> bool {
    let slept = now.wall.seconds.saturating_sub(since.wall.seconds);
    let awake = now.monotonic.saturating_sub(since.monotonic);
    awake >= max || u64::try_from(slept).is_ok_and(|slept| slept >= max.as_secs())
}

fn digest(text: &str) -> Hash {
    blake3::hash(text.as_bytes())
}

/// Random bytes of the system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// 256 random bits, in hexadecimal digits.
fn random() -> Result<String> {
    Ok(hexadecimal(&random_bytes::<32>()?))
}

/// Bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
