//! Arrays: jobs that Kubernetes, Slurm or AWS Batch start many times over, each time with another number.
//!
//! Owned here: which process of an array this one is, by the variables that these set. Refused here: what it takes for that
//! (`credenza_engine::shards`). Called by `cli`.

use crate::environment::variable;

/// A process of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 0.
    pub number: u32,
    /// What tells the array from others; Kubernetes does not say it.
    pub array: Option<String>,
}

/// This process, if it is one of an array.
#[must_use]
pub fn member() -> Option<Member> {
    member_by(&|name| variable(name).and_then(|value| value.into_string().ok()))
}

fn member_by(variable: &dyn Fn(&str) -> Option<String>) -> Option<Member> {
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u32>().ok());
    if let Some(number) = number("JOB_COMPLETION_INDEX") {
        return Some(Member { number, array: None });
    }
    if let Some(number) = number("AWS_BATCH_JOB_ARRAY_INDEX") {
        // A child is called `PARENT:NUMBER`.
        let job = variable("AWS_BATCH_JOB_ID");
        let parent = job.and_then(|id| id.split_once(':').map(|(parent, _)| format!("aws-batch-{parent}")));
        return Some(Member { number, array: parent });
    }
    let id = number("SLURM_ARRAY_TASK_ID")?;
    let number = id.checked_sub(number("SLURM_ARRAY_TASK_MIN").unwrap_or(0))?;
    Some(Member { number, array: variable("SLURM_ARRAY_JOB_ID").map(|id| format!("slurm-{id}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Member> {
        member_by(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_process_learns_its_number_from_whoever_started_it() {
        let member = |number, array: Option<&str>| Some(Member { number, array: array.map(str::to_owned) });
        assert_eq!(with(&[("JOB_COMPLETION_INDEX", "3")]), member(3, None));
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "7"), ("AWS_BATCH_JOB_ID", "ab-cd:7")];
        assert_eq!(with(&batch), member(7, Some("aws-batch-ab-cd")));
        let slurm = [("SLURM_ARRAY_TASK_ID", "5"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_JOB_ID", "99")];
        assert_eq!(with(&slurm), member(4, Some("slurm-99")));
        assert_eq!(with(&[("SLURM_ARRAY_TASK_ID", "x")]), None);
        assert_eq!(with(&[]), None);
    }
}
