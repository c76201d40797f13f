//! A repository that is full for a day, and one that answers for a day that it may work later: what the daemon of `weeks` makes of them.

use credenza_model::Timestamp;

use super::super::file::JobsFile;
use super::super::outcome::Ending;
use super::super::tests::Bed;
use super::ear::Ear;
use super::weeks::{BEGIN, set_up, world_of};
use super::world::{Event, HOUR, World, event, expect_each_said_once_and_all_well};
use crate::trouble::Trouble;

fn troubles() -> Vec<Event> {
    let begin = |world: &World, trouble| world.here.app.troubles().begin(world.root.join("near"), trouble);
    let end = |world: &World| world.here.app.troubles().end(&world.root.join("near"));
    vec![
        event(60, "the near repository is full, for a day", move |world| begin(world, Trouble::Full)),
        event(84, "there is space again", move |world| end(world)),
        event(132, "the near repository answers 503, for a day", move |world| begin(world, Trouble::Unavailable)),
        event(156, "it answers again", move |world| end(world)),
        event(215, "nine days have passed", |world| world.here.stop.request()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_full_for_a_day_and_one_that_answers_503_are_told_once_and_made_up_for_once() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    set_up(&bed, &ear).await;
    let world = world_of(&bed, troubles());
    let lines = world.live().await;
    let told: Vec<String> = lines.iter().filter_map(|line| Some(line.split_once("--> ")?.1.to_owned())).collect();
    let heard: Vec<String> = ear.words().into_iter().filter(|word| word != "digest").collect();
    let words =
        |told: &[String]| told.iter().map(|told| told.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(heard, words(&told));
    expect_each_said_once_and_all_well(&lines);
    // Of each day the same is told, once: what is full can be read, and grows older all the same.
    let days = lines.split(|line| line.contains("***")).enumerate().filter(|(number, _)| matches!(number, 1 | 3));
    for (number, day) in days {
        let count = |what: &str| day.iter().filter(|line| line.contains(what)).count();
        let broken = ["shop", "home"].map(|job| count(&format!("promise-broken: the promise of `{job}`")));
        assert_eq!((count("failed: the job"), broken), (1, [1, 1]), "{number}: {day:?}");
        assert_eq!(count("`mail`"), 0, "the far repository is well: {day:?}");
    }
    // No run is lost from the record, and none is done twice: each due time has one run that stands for it.
    let past = world.here.state.log().past(None, 1000).unwrap();
    assert!(past.iter().all(|past| !matches!(past.ending, None | Some(Ending::Lost))), "{past:?}");
    let file = JobsFile::read(&world.root.join("jobs.toml"), jiff::Timestamp::UNIX_EPOCH).unwrap();
    for job in ["shop", "home", "mail"] {
        let done = past.iter().rev().filter(|past| past.job == job && past.ending == Some(Ending::Done));
        let (dues, missed): (Vec<Timestamp>, Vec<u32>) = done.filter_map(|past| Some((past.due?, past.missed))).unzip();
        assert!(dues.is_sorted_by(|a, b| a < b), "{job}: {dues:?}");
        let stood_for = u32::try_from(dues.len()).unwrap() + missed.iter().sum::<u32>();
        let [begin, end] =
            [BEGIN, BEGIN + 215 * HOUR].map(|at| jiff::Timestamp::from_second(at.cast_signed()).unwrap());
        assert_eq!(stood_for, file.jobs[job].schedule.count(begin, end), "{job}: {dues:?} {missed:?}");
        let made_up = missed.iter().filter(|missed| **missed > 0).count();
        assert!(made_up <= 2, "each day is made up for once, {job}: {missed:?}");
    }
}
