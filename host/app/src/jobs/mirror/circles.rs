//! Circles: policies of mirrors that would feed each other for ever, or write over each other.
//!
//! Places are compared as their locations are written when names and settings are resolved; one lies in another where it is the same or lies below it. Two
//! names of one server are not known to be one: then the marker at the target tells (`credenza_engine::mirror`).
//!
//! Owned here: finding them. Called by `preflight` and before a run.

use std::ffi::OsStr;

use super::super::sections::mirror::{Route, short};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::error::Result;

/// Why a mirror cannot be meant so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Circle {
    /// The target lies in the source, or the source in the target.
    #[error(
        "{target} and what is mirrored to it, {source_place}, lie in each other: each run would mirror what the last has written"
    )]
    Itself {
        /// The source.
        source_place: String,
        /// The target.
        target: String,
    },
    /// Policies lead from the target back to the source.
    #[error("mirrors lead in a circle, {}: what is changed anywhere would go round for ever", policies.join(" to "))]
    Round {
        /// The policies, the first one again at the end.
        policies: Vec<String>,
    },
    /// Two policies write one place.
    #[error("{other} mirrors to {target}, too: each would take for a stranger's what the other writes")]
    OneTarget {
        /// The other policy.
        other: String,
        /// The place.
        target: String,
    },
}

/// The places of a mirror, resolved.
struct Places {
    name: String,
    from: String,
    to: Vec<String>,
}

/// What is wrong with a mirror beside the others; the first of it.
///
/// # Errors
/// When a place of this mirror is none. Those of others that are none are passed over: they are told of by themselves.
pub fn circle(app: &App, mirror: &Route, all: &[Route]) -> Result<Option<Circle>> {
    let own = places(app, mirror)?;
    let others: Vec<Places> =
        all.iter().filter(|other| other.name != mirror.name).filter_map(|other| places(app, other).ok()).collect();
    Ok(found(&own, &others))
}

fn places(app: &App, mirror: &Route) -> Result<Places> {
    let text = |kind, word: &str| Ok(app.place(kind, OsStr::new(word), Settings::new())?.text());
    let to: Result<Vec<String>> = mirror.to.iter().map(|word| text(Kind::Destination, word)).collect();
    Ok(Places { name: short(&mirror.name).to_owned(), from: text(Kind::Source, &mirror.from)?, to: to? })
}

fn found(own: &Places, others: &[Places]) -> Option<Circle> {
    if let Some(target) = own.to.iter().find(|target| overlap(target, &own.from)) {
        return Some(Circle::Itself { source_place: own.from.clone(), target: target.clone() });
    }
    for other in others {
        let both = own.to.iter().find(|target| other.to.iter().any(|theirs| overlap(theirs, target)));
        if let Some(target) = both {
            return Some(Circle::OneTarget { other: other.name.clone(), target: target.clone() });
        }
    }
    // A way from the own targets through the sources of others back to the own source.
    let mut ways: Vec<Vec<&Places>> = vec![vec![own]];
    while let Some(way) = ways.pop() {
        let Some(last) = way.last() else { continue };
        let feeds = |next: &Places| last.to.iter().any(|target| overlap(target, &next.from));
        if way.len() > 1 && feeds(own) {
            let policies = way.iter().map(|places| places.name.clone()).chain([own.name.clone()]).collect();
            return Some(Circle::Round { policies });
        }
        for next in others.iter().filter(|next| feeds(next)) {
            if !way.iter().any(|passed| passed.name == next.name) {
                ways.push(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// Whether one place lies in the other.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('/'), other.trim_end_matches('/'));
    let lies_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    lies_in(one, other) || lies_in(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, from: &str, to: &[&str]) -> Places {
        Places { name: name.to_owned(), from: from.to_owned(), to: to.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn circles_are_found_through_any_number_of_policies_and_through_prefixes() {
        let a = policy("a", "s3://h/one", &["s3://h/two"]);
        assert_eq!(found(&a, &[policy("b", "s3://h/two", &["s3://h/three"])]), None);
        let round =
            |policies: &[&str]| Some(Circle::Round { policies: policies.iter().map(ToString::to_string).collect() });
        assert_eq!(found(&a, &[policy("b", "s3://h/two", &["s3://h/one"])]), round(&["a", "b", "a"]));
        let others = [policy("b", "s3://h/two/deep", &["az://x/c"]), policy("c", "az://x/c/", &["s3://h/one/below"])];
        assert_eq!(found(&a, &others), round(&["a", "b", "c", "a"]));
        // A circle of others is told of by those.
        let others = [policy("b", "s3://h/x", &["s3://h/y"]), policy("c", "s3://h/y", &["s3://h/x"])];
        assert_eq!(found(&a, &others), None);
    }

    #[test]
    fn a_target_in_its_source_and_one_target_of_two_policies_are_refused() {
        let itself =
            |from: &str, to: &str| matches!(found(&policy("a", from, &[to]), &[]), Some(Circle::Itself { .. }));
        assert!(itself("/srv/a", "/srv/a") && itself("/srv/a", "/srv/a/copy") && itself("/srv/a/b", "/srv"));
        assert!(!itself("/srv/a", "/srv/ab") && !itself("s3://h/one", "s3://h/one-copy"));
        let two = found(&policy("a", "/x", &["/copy"]), &[policy("b", "/y", &["/copy/of/y"])]);
        assert_eq!(two, Some(Circle::OneTarget { other: "b".to_owned(), target: "/copy".to_owned() }));
    }
}
