//! `jobs units --kubernetes` and the like: one job on many machines at once.
//!
//! Owned here: the options. Refused here: the texts (`credenza_app::jobs::arrays`). Called by `jobs units`.

use clap::Args;
use credenza_app::jobs::JobsFile;
use credenza_app::jobs::arrays::{Array, Platform, array};
use credenza_app::jobs::units::Unit;
use credenza_engine::shards::SHARDS_MAX;

use crate::failure::Failure;
use crate::report::printable;

/// Who starts a job on many machines.
#[derive(Debug, Args)]
pub(super) struct Together {
    /// Two Jobs of Kubernetes that run this job once, by as many pods as --shards says. The configuration is a ConfigMap `credenza`, the passphrase
    /// and other variables are a Secret `credenza`.
    #[arg(long, value_name = "JOB", requires_all = ["image", "group"], conflicts_with_all = ["timers", "slurm", "aws_batch"])]
    kubernetes: Option<String>,

    /// A script that submits this job once to Slurm, as an array, and the merge behind it.
    #[arg(long, value_name = "JOB", requires = "group", conflicts_with_all = ["timers", "aws_batch"])]
    slurm: Option<String>,

    /// What `aws batch` registers and submits to run this job once, as an array, in the queue `credenza`. The merge is submitted with
    /// `--depends-on jobId=` and the id of the array.
    #[arg(long, value_name = "JOB", requires_all = ["image", "group"], conflicts_with = "timers")]
    aws_batch: Option<String>,

    /// How many machines share the job.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=i64::from(SHARDS_MAX)))]
    shards: u32,

    /// What the run is called, such as 2027-01: lower case letters, digits and dashes. No other run may be called so.
    #[arg(long, value_name = "NAME", value_parser = parse_group)]
    group: Option<String>,

    /// The image of a container that runs credenza.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// A name that Kubernetes takes as part of one.
fn parse_group(text: &str) -> Result<String, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match (1..=32).contains(&text.len()) && is_plain && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err("it has one to 32 lower case letters, digits and dashes, and no dash at its end"),
    }
}

impl Together {
    /// The texts, if any platform is named.
    pub(super) fn units(&self, file: &JobsFile) -> Result<Option<Vec<Unit>>, Failure> {
        let named = [
            (Platform::Kubernetes, &self.kubernetes),
            (Platform::Slurm, &self.slurm),
            (Platform::AwsBatch, &self.aws_batch),
        ];
        let Some((platform, name)) = named.into_iter().find_map(|(platform, name)| Some((platform, name.as_ref()?)))
        else {
            return Ok(None);
        };
        let Some(job) = file.jobs.get(name) else {
            let what = format!("there is no job `{}` in {}", printable(name), file.path.display());
            return Err(Failure::usage(what).hint("see which there are: credenza jobs list"));
        };
        let (group, image) = (self.group.as_deref().unwrap_or_default(), self.image.as_deref().unwrap_or_default());
        let units = array(platform, Array { job, of: self.shards, group, image });
        let refused = |reason| Failure::usage(format!("job `{name}` cannot be run by many machines: {reason}"));
        units.map(Some).map_err(|reason| refused(reason).hint("write a job of its own that the many machines can run"))
    }
}
