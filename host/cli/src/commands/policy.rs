//! `policy`: which snapshots `prune` keeps when it is reported nothing else. It lives in the repository, so that every machine has it.

use std::fmt::{self, Display};

use clap::{Args, Subcommand, ValueEnum};
use credenza_format::{Grouping, Policy};
use serde::Serialize;

use super::Session;
use super::sizes::parse_span;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Which snapshots to keep: a snapshot is kept when any rule wants it, and the newest without errors and the one made last of each group in any case.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct KeepRules {
    /// Keep the newest N.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_last: u32,
    /// Keep the newest of each of the last N hours that have snapshots.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_hourly: u32,
    /// Keep the newest of each of the last N days; where that has errors, the newest without beside it, as for hours and so on.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_daily: u32,
    /// Keep the newest of each of the last N weeks.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_weekly: u32,
    /// Keep the newest of each of the last N months.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_monthly: u32,
    /// Keep the newest of each of the last N years.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_yearly: u32,
    /// Keep all that are at most so much older than the newest: a number and h, d, w, m (30 days) or y.
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    keep_within: Option<u64>,
    /// Keep all with this tag; may be given several times.
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,
    /// What makes snapshots belong together; each group is judged by itself [default: source,host].
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    group_by: Vec<GroupBy>,
}

/// What makes snapshots belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GroupBy {
    Source,
    Host,
    Tags,
}

impl From<GroupBy> for Grouping {
    fn from(group_by: GroupBy) -> Self {
        match group_by {
            GroupBy::Source => Self::Source,
            GroupBy::Host => Self::Host,
            GroupBy::Tags => Self::Tags,
        }
    }
}

impl KeepRules {
    /// The policy that the options make; `None` when no rule keeps anything.
    pub(super) fn policy(&self) -> Option<Policy> {
        let mut policy = Policy {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within_seconds: self.keep_within,
            tags: self.keep_tag.clone(),
            ..Policy::default()
        };
        if !self.group_by.is_empty() {
            policy.group_by = self.group_by.iter().copied().map(Grouping::from).collect();
        }
        (!policy.is_empty()).then_some(policy)
    }
}

/// Say, set or clear which snapshots `prune` keeps.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy of the repository.
    Show,
    /// Keep a policy in the repository, for every machine that prunes it.
    Set(KeepRules),
    /// Take the policy out of the repository.
    Clear,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "policy")]
struct PolicyLine<'a> {
    policy: Option<&'a Policy>,
}

impl Display for PolicyLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(policy) = self.policy else { return f.write_str("no policy") };
        let mut words: Vec<String> = policy.counts().map(|(name, count)| format!("--keep-{name} {count}")).collect();
        words.extend(policy.within_seconds.map(|seconds| format!("--keep-within {}h", seconds / 3600)));
        words.extend(policy.tags.iter().map(|tag| format!("--keep-tag {}", printable(tag))));
        let groups: Vec<&str> = policy.group_by.iter().map(|grouping| word(*grouping)).collect();
        write!(f, "{} --group-by {}", words.join(" "), groups.join(","))
    }
}

const fn word(grouping: Grouping) -> &'static str {
    match grouping {
        Grouping::Source => "source",
        Grouping::Host => "host",
        Grouping::Tags => "tags",
    }
}

impl PolicyCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let policy = match self {
            Self::Show => {
                let open = session.open_for_reading().await?;
                session.reporter.result(&PolicyLine { policy: open.repository.config().policy.as_ref() })?;
                return Ok(Exit::Done);
            }
            Self::Set(rules) => Some(rules.policy().ok_or(credenza_app::Error::NoPolicy)?),
            Self::Clear => None,
        };
        let open = session.open_for_writing().await?;
        open.repository.set_policy(policy.clone()).await?;
        session.reporter.result(&PolicyLine { policy: policy.as_ref() })?;
        Ok(Exit::Done)
    }
}
