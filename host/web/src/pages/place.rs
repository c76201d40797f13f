//! A place of the configuration: its settings, a check of it step by step, and for a repository that is not there yet, making it.

use std::time::Duration;

use askama::Template;
use credenza_app::passphrase::require_strength;
use credenza_app::{Configuration, Error as AppError, Kind, Place, PlaceName, SecretText, Settings, usual_options};
use credenza_engine::Secret;
use http::StatusCode;
use zeroize::Zeroizing;

use super::Asked;
use super::frame::{Frame, Link, of_place};
use super::new::kind;
use super::places::of_repository;
use super::problem::{Problem, render};
use crate::access::Action;
use crate::form::Fields;
use crate::reply::{self, Reply};
use crate::repositories;
use crate::shown;
use crate::site::Site;

/// How long a check may go on; a connector has its own bounds below it.
const CHECK_MAX: Duration = Duration::from_mins(2);
/// Findings that are shown.
const FINDINGS_MAX: usize = 100;
/// What is typed twice.
const PASSPHRASE: &str = "passphrase";
const AGAIN: &str = "again";
/// Whether the passphrase is kept in the configuration.
const KEEP: &str = "keep";

#[derive(Template)]
#[template(path = "place.html")]
struct Page {
    frame: Frame,
    here: String,
    kind: String,
    name: String,
    file: String,
    settings: Vec<(String, Option<String>)>,
    findings: Option<Vec<Finding>>,
    failed: Option<String>,
}

/// What a step of a check has found.
struct Finding {
    name: String,
    is_good: bool,
    said: String,
}

#[derive(Template)]
#[template(path = "create.html")]
struct Create {
    frame: Frame,
    here: String,
    location: String,
    /// Whether the configuration says already what opens it.
    is_provided: bool,
    failed: Option<String>,
}

pub(super) fn show(site: &Site, asked: &Asked, word: &str, name: &str) -> Result<Reply, Problem> {
    page(site, asked, (kind(word)?, name), None, None)
}

/// Reaches the place step by step.
pub(super) async fn check(site: &Site, asked: &Asked, word: &str, name: &str) -> Result<Reply, Problem> {
    let kind = kind(word)?;
    let place = place(site, kind, name)?;
    let _reading = site.reader().ok_or_else(|| super::download::too_many(site))?;
    let mut findings = Vec::new();
    let app = site.repositories.app().clone().with_stop(site.stop.child());
    let mut steps = app.check_place(kind, &place);
    let all = async {
        while let Some(check) = steps.next().await? {
            let is_good = check.outcome.is_ok();
            let said = check.outcome.unwrap_or_else(|error| error.to_string());
            findings.push(Finding { name: shown::text(&check.name), is_good, said: shown::text(&said) });
            if findings.len() == FINDINGS_MAX {
                break;
            }
        }
        Ok::<_, AppError>(())
    };
    let went = tokio::select! {
        went = all => went.map_err(|error| Problem::from(error).said()),
        () = site.clock.wait(CHECK_MAX) => Err(format!("it was not over after {} s", CHECK_MAX.as_secs())),
    };
    let failed = match (went, findings.iter().filter(|finding| !finding.is_good).count()) {
        (Err(why), _) => Some(format!("The check was given up: {why}.")),
        (Ok(()), 0) => None,
        (Ok(()), failed) => Some(format!("{} failed.", shown::count(failed as u64, "step", "steps"))),
    };
    page(site, asked, (kind, name), Some(findings), failed)
}

/// Where a place of the configuration is.
pub(super) fn place(site: &Site, kind: Kind, name: &str) -> Result<Place, Problem> {
    let name = PlaceName::new(kind, name)?;
    Ok(Place::named(kind, &name, Settings::new(), &site.repositories.app().configuration()?)?)
}

fn page(
    site: &Site,
    asked: &Asked,
    (kind, name): (Kind, &str),
    findings: Option<Vec<Finding>>,
    failed: Option<String>,
) -> Result<Reply, Problem> {
    let app = site.repositories.app();
    let configuration = app.configuration()?;
    let settings = configuration.settings(kind, &PlaceName::new(kind, name)?)?;
    let file = configuration.path().display().to_string();
    let hidden = app.hidden_settings(&settings);
    let text = |(setting, value): (&String, &SecretText)| {
        let value = (!hidden.contains(setting)).then(|| shown::text(value.expose()));
        (shown::text(setting), value)
    };
    let page = Page {
        frame: Frame::new(format!("The {kind} {}", shown::text(name)), asked.token())
            .way(vec![Link::new("/", "Your backups")])
            .command(format!("credenza {kind} show {name}"))
            .command(format!("credenza {kind} check {name}"))
            .command(format!("credenza {kind} set {name} SETTING VALUE")),
        here: of_place(kind, name),
        kind: kind.to_string(),
        name: name.to_owned(),
        file: shown::text(&file),
        settings: settings.iter().map(text).collect(),
        findings,
        failed,
    };
    render(StatusCode::OK, &page)
}

pub(super) async fn ask_create(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    create_page(site, asked, name, StatusCode::OK, None).await
}

async fn create_page(
    site: &Site,
    asked: &Asked,
    name: &str,
    status: StatusCode,
    failed: Option<String>,
) -> Result<Reply, Problem> {
    let place = place(site, Kind::Repository, name)?;
    let provided =
        repositories::provided(None, place.settings.clone()).await.map_err(|error| Problem::of(&error.into(), None))?;
    let here = of_place(Kind::Repository, name);
    let page = Create {
        frame: Frame::new(format!("Make the repository {}", shown::text(name)), asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new(here.as_str(), shown::text(name))])
            .command(format!("credenza at @{name} create")),
        location: shown::text(&place.text()),
        here,
        is_provided: !matches!(provided, Secret::None),
        failed,
    };
    render(status, &page)
}

pub(super) async fn create(site: &Site, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let place = place(site, Kind::Repository, name)?;
    let provided =
        repositories::provided(None, place.settings.clone()).await.map_err(|error| Problem::of(&error.into(), None))?;
    let typed = Zeroizing::new(form.bytes(PASSPHRASE).unwrap_or_default().to_vec());
    let refused = match &provided {
        Secret::None if form.bytes(AGAIN) != Some(typed.as_slice()) => Some("the two passphrases differ".to_owned()),
        Secret::None => require_strength(&typed).err().map(|why| format!("the passphrase is too weak: {why}")),
        _ => None,
    };
    if refused.is_some() {
        return create_page(site, asked, name, StatusCode::UNPROCESSABLE_ENTITY, refused).await;
    }
    let is_kept = form.bytes(KEEP).is_some() && matches!(provided, Secret::None);
    let secret = match provided {
        Secret::None => Secret::Passphrase(typed.clone()),
        provided => provided,
    };
    let made = async {
        let app = site.repositories.app();
        app.create_repository(&place, &usual_options(secret.clone()), false).await?;
        if is_kept {
            keep_passphrase(site, name, &typed)?;
        }
        site.repositories.unlock(name, secret).await?;
        Ok::<_, Problem>(())
    };
    let made = made.await;
    asked.note(site, name, "The repository is made", if made.is_ok() { "Done" } else { "Failed" });
    match made {
        Ok(()) => Ok(reply::see(&of_repository(name))),
        Err(problem) => create_page(site, asked, name, StatusCode::UNPROCESSABLE_ENTITY, Some(problem.said())).await,
    }
}

/// So that runs without a person can open it.
fn keep_passphrase(site: &Site, name: &str, passphrase: &[u8]) -> Result<(), Problem> {
    let name = PlaceName::new(Kind::Repository, name)?;
    let passphrase = SecretText::new(String::from_utf8_lossy(passphrase));
    let app = site.repositories.app();
    Configuration::edit(app.configuration_folder()?, |configuration| {
        Ok(app.keep_settings(configuration, (Kind::Repository, &name), [(PASSPHRASE.to_owned(), passphrase)])?)
    })
}
