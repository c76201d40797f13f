//! The page in a real browser, over a repository on a real S3 server and one in a folder: each screen, each action to its lasting result, by mouse, by
//! keyboard and without scripts, in all looks, and against what is hostile.
//!
//! One browser and one server for all, because each start takes seconds. A scenario leaves the browser where it likes; it begins with an address.
//! With `CREDENZA_PICTURES=1` the pictures of the guide are made again, `docs/guide/pictures`, and nothing else is run.

mod beginning;
mod hostile;
mod jobs;
mod keyboard;
mod looking;
mod looks;
mod pages;
mod replication;
mod restoring;
mod screens;
mod stand;

use anyhow::Result;
use credenza_e2e::Report;
use credenza_e2e::browser::Scheme;

use stand::Stand;

/// What is done in the browser.
type Scenario = fn(&mut Stand) -> Result<()>;

/// Scenarios by name, in the order in which they are run.
const SCENARIOS: &[(&str, Scenario)] = &[
    ("a file is reached by links and downloaded as it was", screens::a_file_is_reached_and_downloaded),
    ("a folder is had as an archive", screens::a_folder_is_had_as_an_archive),
    ("a check runs to its end, and its report outlives a reload", screens::a_check_runs_to_its_end),
    ("a backup from the page makes a snapshot that the command line lists", screens::a_backup_makes_a_snapshot),
    (
        "a locked repository opens by its passphrase alone, and is locked again",
        screens::a_repository_is_unlocked_and_locked,
    ),
    (
        "with nothing but the page, from nothing to a file that came back, by a folder",
        beginning::from_nothing_into_a_folder,
    ),
    ("the same by a bucket, whose keys a profile has", beginning::from_nothing_into_a_bucket),
    ("the versions of a path lead to the one that is wanted", looking::versions_lead_to_the_one_that_is_wanted),
    ("two snapshots, and a snapshot and what is there now, are compared", looking::snapshots_and_sources_are_compared),
    ("a source is looked into, checked and backed up", looking::a_source_is_looked_into_checked_and_backed_up),
    ("what takes the space leads down to the file", looking::what_takes_the_space_leads_to_the_file),
    ("growth is drawn for each source", looking::growth_is_drawn),
    ("a file is found by its size", looking::a_file_is_found_by_its_size),
    ("a picture is shown, and one that is none is not", looking::a_picture_is_shown),
    ("a folder of 100,000 names is gone through", looking::a_folder_of_many_names_is_gone_through),
    ("a file is found and downloaded by the keyboard alone", keyboard::a_file_is_found_by_keyboard),
    ("the same with scripts off", keyboard::a_file_is_found_without_scripts),
    (
        "what was picked of two snapshots is previewed and restored",
        restoring::a_basket_of_two_snapshots_is_previewed_and_restored,
    ),
    ("a file is found and restored by the keyboard alone", restoring::a_file_is_restored_by_keyboard),
    ("a file is found and restored with scripts off", restoring::a_file_is_restored_without_scripts),
    ("a tag is added and shown", restoring::a_tag_is_added_and_shown),
    ("a line that looks into a snapshot is copied", looking::a_line_to_type_is_copied),
    ("no page asks any other host for anything", hostile::nothing_else_is_asked),
    (
        "axe-core has nothing to say against any page in either scheme, forced colours leave its controls, and none scrolls sideways at 320 pixels",
        looks::every_page_is_accessible_in_all_schemes_and_narrow,
    ),
    (
        "forced colours leave states and the focus to be seen",
        looks::forced_colours_leave_states_and_the_focus_to_be_seen,
    ),
    ("hostile contents do nothing", hostile::hostile_contents_do_nothing),
    ("another origin on this machine gets nothing and starts nothing", hostile::another_origin_gets_nothing),
    (
        "snapshots are pruned by a plan and the passphrase, and space is asked back",
        restoring::snapshots_are_pruned_by_a_plan_and_the_passphrase,
    ),
    ("a job is run from the page to its record", jobs::a_job_is_run_to_its_record),
    ("a job is paused by the keyboard, and resumed", jobs::a_job_is_paused_by_keyboard_and_resumed),
    ("a job is run and cancelled with scripts off", jobs::a_job_is_run_and_cancelled_without_scripts),
    (
        "a file of jobs with faults, and none at all, teach what to do",
        jobs::a_file_with_faults_and_none_teach_what_to_do,
    ),
    ("a daemon serves the page, and its runs are cancelled there", jobs::a_daemon_serves_the_page),
    ("a copy is carried, and promoted after the passphrase", replication::a_copy_is_carried_and_promoted),
    ("a mirror is run, planned, and rolled back", replication::a_mirror_is_run_planned_and_rolled_back),
    ("who leaves sees nothing more", screens::who_leaves_sees_nothing),
];

#[test]
fn the_page_works_in_a_real_browser() -> Result<()> {
    let mut stand = Stand::new()?;
    if std::env::var_os("CREDENZA_PICTURES").is_some() {
        return looks::make_pictures(&mut stand);
    }
    let mut report = Report::default();
    for (name, run) in SCENARIOS {
        report.scenario(name, || {
            stand.browser.set_scheme(Scheme::Light)?;
            run(&mut stand)
        });
    }
    report.finish();
    Ok(())
}
