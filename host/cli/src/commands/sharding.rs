//! Which of many processes that share a task this one is.
//!
//! Owned here: the option for that, and where its number comes from. Refused here: what a process takes for it. Called by whatever can be shared.

use std::fmt::{self, Display};

use credenza_app::array::{self, Member};
use credenza_engine::Share;
use credenza_engine::shards::{SHARDS_MAX, Shard, group_of};

use crate::failure::Failure;

/// A share as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardWord {
    /// From 0; none where whoever started the process says it.
    number: Option<u32>,
    of: u32,
}

/// `I/N`, or `/N`.
pub(crate) fn parse_shard(text: &str) -> Result<ShardWord, String> {
    let wanted = || "write it as I/N, the first of four being 0/4; or as /N in a job of an array".to_owned();
    let (number, of) = text.split_once('/').ok_or_else(wanted)?;
    let of = of.parse().ok().filter(|of| (1..=SHARDS_MAX).contains(of)).ok_or_else(wanted)?;
    let number = match number {
        "" => None,
        number => Some(number.parse().map_err(|_| wanted())?),
    };
    match number {
        Some(number) if number >= of => Err(format!("the numbers of {of} begin with 0 and end with {}", of - 1)),
        number => Ok(ShardWord { number, of }),
    }
}

/// Demands that a share stood where the options of a command are: behind `--` it would be taken for something else.
pub(crate) fn require_share(shard: Option<ShardWord>) -> Result<(), Failure> {
    match shard {
        Some(_) => Ok(()),
        None => {
            Err(Failure::usage("the command has a `--` before its last words, where no --shard can be written behind")
                .hint("leave that `--` out"))
        }
    }
}

impl Display for ShardWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{number}/{}", self.of),
            None => write!(f, "/{}", self.of),
        }
    }
}

impl ShardWord {
    /// The share of a backup; `group` names the backup.
    pub(crate) fn of_backup(self, group: Option<&str>) -> Result<Shard, Failure> {
        let member = array::member();
        let array = member.as_ref().and_then(|member| member.array.clone());
        let group = group.map(str::to_owned).or(array).ok_or_else(|| {
            Failure::usage("--shard without --group, and nothing here says which array of jobs this is")
                .hint("give all of them one name that no other backup has, such as --group 2026-01-31")
        })?;
        Ok(Shard { group: group_of(&group), number: self.number(member)?, of: self.of })
    }

    /// The share of anything else.
    pub(crate) fn share(self) -> Result<Share, Failure> {
        Ok(Share { number: self.number(array::member())?, of: self.of })
    }

    fn number(self, member: Option<Member>) -> Result<u32, Failure> {
        let number = self.number.or_else(|| member.map(|member| member.number)).ok_or_else(|| {
            let what = "--shard /N without a number, and none of JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX and SLURM_ARRAY_TASK_ID is set";
            Failure::usage(what).hint(format!("say which of them this is: --shard 0/{}", self.of))
        })?;
        match number < self.of {
            true => Ok(number),
            false => {
                Err(Failure::usage(format!("this is number {number} of an array, and --shard speaks of {}", self.of))
                    .hint("let the array have as many processes as there are shards, numbered from 0"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_of_how_many() {
        assert_eq!(parse_shard("0/4"), Ok(ShardWord { number: Some(0), of: 4 }));
        assert_eq!(parse_shard("/4"), Ok(ShardWord { number: None, of: 4 }));
        for word in ["0/4", "/4"] {
            assert_eq!(parse_shard(word).map(|shard| shard.to_string()), Ok(word.to_owned()));
        }
        for none in ["", "4", "4/4", "-1/4", "1/0", "a/b", "1/4/8"] {
            assert!(parse_shard(none).is_err(), "{none}");
        }
    }
}
