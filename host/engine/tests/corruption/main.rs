//! The corruption campaign: every object of a repository is injured in every way. Each injury is named and none is invented, nothing
//! wrong is ever restored, and how far each reaches is a table in the README, which this test keeps true.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

#[path = "../common/mod.rs"]
mod common;
mod injury;
mod parity;
mod subject;
mod table;
mod verdict;

use injury::{Injury, Way, kind};
use subject::Subject;
use table::Table;
use verdict::{Witness, judge};

/// What nobody can name, because a repository may rightly look so. It costs no file.
const UNSEEN: [(&str, Way); 8] = [
    // What has served its time: a run withdraws its intents, the index forgets condemned packs.
    ("intent", Way::Deleted),
    ("condemned", Way::Deleted),
    // What somebody left for others.
    ("note", Way::Deleted),
    ("connector", Way::Deleted),
    // Segments that were merged, and packs and lists that nothing needs any longer.
    ("index", Way::PutBack),
    ("meta", Way::PutBack),
    ("data", Way::PutBack),
    ("usage", Way::PutBack),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_injury_is_named_none_is_invented_and_nothing_wrong_is_restored() {
    let subject = Subject::build().await;
    let mut table = Table::new(&subject);
    let mut failures = Vec::new();
    for injury in injury::all(&subject) {
        match judge(&subject, &injury).await {
            Ok(verdict) => {
                let is_harmless = verdict.snapshots == subject.snapshots.len();
                let may_be_unseen = is_harmless && UNSEEN.contains(&(kind(&injury.object), injury.way));
                if verdict.witness == Witness::Nobody && !may_be_unseen {
                    failures.push(format!("{}: nobody names it ({verdict:?})", injury.text));
                }
                table.add(&injury, &verdict);
            }
            Err(cause) => failures.push(format!("{}: {cause}", injury.text)),
        }
    }
    println!("{}", table.markdown());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    table.expect_in_readme();
}

#[tokio::test]
async fn a_healthy_repository_has_no_findings_and_restores() {
    let subject = Subject::build().await;
    let nothing = Injury::none(subject.objects.keys().next().unwrap());
    let verdict = judge(&subject, &nothing).await.unwrap();
    assert_eq!((verdict.witness, verdict.audited), (Witness::Nobody, false));
    assert_eq!(verdict.snapshots, subject.snapshots.len());
}
