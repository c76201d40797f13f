//! What was asked for, what the server holds of it, what came back and what was reported: they must add up.

use crate::fill::Refused;
use crate::observed::{CHECKSUM, ETAG, Facts, Observed, Seen, wished};
use crate::samples::{Sample, Step};
use std::collections::{BTreeMap, BTreeSet};

const TYPE: &str = "http.content-type";

/// How many entries lack an attribute, by its name.
pub(crate) type Losses = BTreeMap<String, u64>;

/// One round trip.
#[derive(Debug)]
pub(crate) struct Trip {
    pub(crate) samples: Vec<Sample>,
    pub(crate) refused: Refused,
    /// The source, read right after it was filled.
    pub(crate) held: Observed,
    /// Keys of the snapshot with the attributes that it has of them.
    pub(crate) kept: BTreeMap<String, Facts>,
    /// Keys that the backup said something of: what the server holds as it was put is not among them.
    pub(crate) named: BTreeSet<String>,
    pub(crate) copy: Observed,
    /// Keys that the restore said that the server refused.
    pub(crate) failed: BTreeSet<String>,
    /// What the restore said that it lost.
    pub(crate) reported: Losses,
}

/// What became of a sample.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server holds it, and so does the copy.
    Kept,
    /// The server itself holds it not, or otherwise: why.
    NotHeld(String),
    /// The copy lacks these attributes.
    Lost(Vec<String>),
}

impl Trip {
    pub(crate) fn verdict(&self, sample: &Sample) -> Verdict {
        if let Some(why) = self.not_held(sample) {
            return Verdict::NotHeld(why);
        }
        if self.failed.contains(&sample.key) {
            return Verdict::Lost(vec!["the object, which the server refused".to_owned()]);
        }
        let held = self.held.get(&sample.key).map(Vec::as_slice).unwrap_or_default();
        let copy = self.copy.get(&sample.key).map(Vec::as_slice).unwrap_or_default();
        let wishes = sample.steps.iter().map(wishes_of);
        let lost = held.iter().zip(copy).zip(wishes).flat_map(|((held, copy), wished)| {
            let lost = lost_between(held, copy);
            lost.into_iter().filter(move |name| wished.iter().any(|wish| wish == name)).collect::<Vec<_>>()
        });
        let lost: Vec<String> = lost.collect();
        if lost.is_empty() { Verdict::Kept } else { Verdict::Lost(lost) }
    }

    /// Why the server does not hold what it was given, if so.
    fn not_held(&self, sample: &Sample) -> Option<String> {
        if let Some(answer) = self.refused.get(&sample.key) {
            return Some(format!("refused: {answer}"));
        }
        let Some(held) = self.held.get(&sample.key) else { return Some("taken, and not there".to_owned()) };
        if held.len() != sample.steps.len() {
            return Some(format!("{} versions of {}", held.len(), sample.steps.len()));
        }
        sample.steps.iter().zip(held).find_map(|(step, seen)| difference(step, seen))
    }

    /// Whether the snapshot has all of a sample that the server holds.
    pub(crate) fn is_backed_up(&self, sample: &Sample) -> bool {
        self.not_held(sample).is_none() && self.kept.contains_key(&sample.key)
    }

    /// All that does not add up: other keys or bodies, a loss that is not reported, one that is reported and is none.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let extra = self.copy.keys().filter(|key| !self.held.contains_key(*key));
        failures.extend(extra.map(|key| format!("{key:?} is too many")));
        for (key, held) in self.held.iter().filter(|(key, _)| !self.failed.contains(*key)) {
            failures.extend(content_failure(key, held, self.copy.get(key)));
        }
        let named = self.samples.iter().filter(|sample| self.named.contains(&sample.key));
        let sound = named.filter(|sample| self.not_held(sample).is_none());
        failures.extend(sound.map(|sample| format!("{:?} is sound, and the backup says it is not", sample.key)));
        let lost = self.losses();
        for name in lost.keys().chain(self.reported.keys().filter(|name| !lost.contains_key(*name))) {
            let count = |losses: &Losses| losses.get(name).copied().unwrap_or(0);
            let (found, reported) = (count(&lost), count(&self.reported));
            if found != reported {
                failures
                    .push(format!("{name}: {found} entries lost it, {reported} are reported{}", self.example(name)));
            }
        }
        failures
    }

    fn losses(&self) -> Losses {
        let mut losses = Losses::new();
        for (key, held, copy) in self.pairs() {
            let lost = lost_between(held, copy).into_iter().filter(|name| name != TYPE || self.has_type(key));
            lost.for_each(|name| *losses.entry(name).or_default() += 1);
        }
        losses
    }

    /// Whether an object was given its type: otherwise the server guesses one, not always the same.
    fn has_type(&self, key: &str) -> bool {
        let steps = self.samples.iter().filter(|sample| sample.key == key).flat_map(|sample| &sample.steps);
        steps.map(wishes_of).any(|wishes| wishes.iter().any(|wish| wish == TYPE))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &Seen, &Seen)> {
        let restored = self.held.iter().filter(|(key, _)| !self.failed.contains(*key));
        restored.flat_map(|(key, held)| {
            held.iter().zip(self.copy.get(key).into_iter().flatten()).map(|(held, copy)| (key.as_str(), held, copy))
        })
    }

    fn example(&self, name: &str) -> String {
        let facts = |seen: &Seen| match seen {
            Seen::Object { facts, .. } => facts.get(name).cloned(),
            _ => None,
        };
        let mut pairs = self.pairs().map(|(_, held, copy)| (facts(held), facts(copy)));
        let found = pairs.find(|(held, copy)| held != copy);
        found.map_or_else(String::new, |(held, copy)| format!(", as {held:?} became {copy:?}"))
    }
}

fn wishes_of(step: &Step) -> Vec<String> {
    match step {
        Step::Delete => Vec::new(),
        Step::Put { parts, headers } => {
            let etag = (parts.len() > 1).then(|| ETAG.to_owned());
            wished(headers).into_keys().chain(etag).collect()
        }
    }
}

/// How the server's object differs from the one that it was given.
fn difference(step: &Step, seen: &Seen) -> Option<String> {
    match (step, seen) {
        (Step::Delete, Seen::DeleteMarker) => None,
        (Step::Put { parts, headers }, Seen::Object { body, facts }) => {
            if *body != parts.concat() {
                return Some("it has another body".to_owned());
            }
            let etag = facts.get(ETAG).map(String::as_str).unwrap_or_default();
            if parts.len() > 1 && !etag.ends_with(&format!("-{}", parts.len())) {
                return Some(format!("its ETag is {etag}"));
            }
            let wished = wished(headers);
            let is_so = |name: &str, value: &str| {
                let of_algorithm = |now: &str| name == CHECKSUM && now.split(' ').next() == Some(value);
                facts.get(name).is_some_and(|now| now == value || of_algorithm(now))
            };
            let mut others = wished.iter().filter(|(name, value)| !is_so(name, value));
            others.next().map(|(name, _)| match facts.get(name) {
                None => format!("{name} is dropped"),
                Some(now) => format!("{name} becomes {now:?}"),
            })
        }
        (_, Seen::Unreadable(status)) => Some(format!("listed, and reading it answers {status}")),
        _ => Some("a delete marker for an object, or the other way".to_owned()),
    }
}

fn content_failure(key: &str, held: &[Seen], copy: Option<&Vec<Seen>>) -> Option<String> {
    let copy = copy.map(Vec::as_slice).unwrap_or_default();
    let is_readable = |seen: &&Seen| !matches!(seen, Seen::Unreadable(_));
    let contents = |all: &[Seen]| -> Vec<_> {
        let readable = all.iter().filter(is_readable);
        readable.map(|seen| if let Seen::Object { body, .. } = seen { Some(body.clone()) } else { None }).collect()
    };
    let (ours, theirs) = (contents(held), contents(copy));
    let lengths = |all: &[Option<bytes::Bytes>]| {
        all.iter().map(|body| body.as_ref().map_or("marker".to_owned(), |b| b.len().to_string())).collect::<Vec<_>>()
    };
    // Of what was written in one second no listing tells whether a delete marker came before or after a version.
    let reported = |all: &[Option<bytes::Bytes>]| {
        let bodies: Vec<_> = all.iter().flatten().cloned().collect();
        (bodies, all.len(), all.last().cloned())
    };
    (reported(&ours) != reported(&theirs))
        .then(|| format!("{key:?} is {:?} bytes and becomes {:?}", lengths(&ours), lengths(&theirs)))
}

/// The names of facts in which two versions differ. A lock demands a checksum, which the original need not have had.
fn lost_between(held: &Seen, copy: &Seen) -> Vec<String> {
    let (Seen::Object { facts: held, .. }, Seen::Object { facts: copy, .. }) = (held, copy) else { return Vec::new() };
    let names = held.keys().chain(copy.keys().filter(|name| !held.contains_key(*name) && *name != CHECKSUM));
    names.filter(|name| held.get(*name) != copy.get(*name)).cloned().collect()
}
