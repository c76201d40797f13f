//! The pages: which one an address means, what all have in common, and one file for each.
//!
//! Owned here: what is shown, and in which words. Refused here: whether whoever asks may (`guard`), and what is true (`credenza-app`, `credenza-engine`).
//! Every page works without scripts: what does something is a link or a form.

mod about;
mod activity;
mod archive;
mod browse;
mod calendar;
mod care;
mod confirm;
mod connectors;
mod diff;
mod download;
mod enter;
mod file;
mod find;
mod finding;
mod frame;
mod growth;
mod guard;
mod history;
mod home;
mod jobs;
mod login;
mod mirrors;
mod new;
mod oidc;
mod place;
mod places;
mod problem;
mod promises;
mod proof;
mod protected;
mod raster;
mod replication;
mod repository;
mod restore;
mod run;
mod sources;
mod space;
mod standing;

use std::sync::Arc;

use credenza_app::environment;
use http::StatusCode;

use crate::access::{self, Action};
use crate::activity::{Entry, Who};
use crate::assets;
use crate::door::Refusal;
use crate::form::Fields;
use crate::reply::Reply;
use crate::runs::Room;
use crate::session::Session;
use crate::site::Site;

pub(crate) use problem::refused_form;

use problem::Problem;

/// A request that was let through.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Fields,
    /// The form that was sent; only with POST.
    pub(crate) form: Option<Fields>,
    pub(crate) session: Option<Session>,
    /// What the cookie of this server holds.
    pub(crate) secret: Option<String>,
    /// The address of whoever asks; empty where nobody knows it.
    pub(crate) from: String,
    /// What the cookie of a login holds that is under way at an identity provider.
    pub(crate) login: Option<String>,
    /// Who asks, as far as guesses are counted.
    pub(crate) address: String,
}

impl Asked {
    /// Whose page it is: what its forms carry, and what may be asked for there.
    fn token(&self) -> Option<Session> {
        self.session.clone()
    }

    /// Why whoever asks may not do something, where that is so.
    fn refusal(&self, action: Action) -> Option<String> {
        self.session.as_ref().and_then(|session| session.refusal(action))
    }

    /// Stands for the session where something is kept for it.
    fn session_token(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.token)
    }

    /// Who asks, for whoever reads it later. A link lets in whoever runs the server.
    fn who(&self) -> Who {
        let user = self.session.as_ref().and_then(|session| session.user.as_ref());
        Who { name: user.map_or_else(environment::user_name, |user| user.name.clone()), from: self.from.clone() }
    }

    /// Puts on the log what was done at once.
    fn note(&self, site: &Site, name: &str, what: &str, result: &str) {
        self.log(site, &self.who(), (name, what), result);
    }

    /// Puts an attempt to log in on the log, under the name of the user that it is about.
    fn note_login(&self, site: &Site, user: &str, result: &str) {
        let by = Who { name: user.to_owned(), from: self.from.clone() };
        self.log(site, &by, ("", "Log in"), result);
    }

    /// Puts on the log that somebody has not got in of whom nothing is known, the first of each minute.
    fn note_refused(&self, site: &Site, what: &str, result: &str) {
        if let Some(result) = site.refusals.note(result, site.clock.now()) {
            let by = Who { name: "somebody".to_owned(), from: self.from.clone() };
            self.log(site, &by, ("", what), &result);
        }
    }

    fn log(&self, site: &Site, by: &Who, (name, what): (&str, &str), result: &str) {
        let entry = Entry::begun(by, name, what, site.clock.now().wall);
        site.activity.done(&Entry { result: Some(result.to_owned()), ..entry });
    }

    /// Refuses an action that the role of whoever asks does not have.
    fn require(&self, action: Action) -> Result<(), Problem> {
        match self.refusal(action) {
            None => Ok(()),
            Some(why) => Err(Problem::new(StatusCode::FORBIDDEN, "You may not do that here").because(why).next(
                "Ask somebody with that role, or whoever runs `credenza ui` for it: credenza ui user role NAME ROLE",
            )),
        }
    }
}

/// The answer to a request. What changes anything is a form, and nothing else is.
pub(crate) async fn answer(site: &Arc<Site>, asked: &Asked) -> Reply {
    let segments: Vec<&str> = asked.path.split('/').skip(1).collect();
    let answered = match permitted(asked, &segments) {
        Ok(()) => page(site, asked, &segments).await,
        Err(refused) => Err(refused),
    };
    answered.unwrap_or_else(|problem| problem.reply(asked.token()))
}

/// Refuses what is no page, and what whoever asks may not ask for.
fn permitted(asked: &Asked, segments: &[&str]) -> Result<(), Problem> {
    let route = access::route(asked.form.is_some(), segments).ok_or_else(no_page)?;
    route.action.map_or(Ok(()), |action| asked.require(action))
}

async fn page(site: &Arc<Site>, asked: &Asked, segments: &[&str]) -> Result<Reply, Problem> {
    match (&asked.form, segments) {
        (None, ["assets", ..]) => assets::at(&asked.path).ok_or_else(no_page),
        (None, [""]) => home::show(site, asked).await,
        (None, ["login"]) => login::ask(site),
        (Some(form), ["login"]) => login::log_in(site, asked, form).await,
        (Some(_), ["login", "oidc"]) => oidc::begin(site).await,
        (None, ["login", "oidc", "callback"]) => oidc::back(site, asked),
        (Some(form), ["login", "oidc", "finish"]) => oidc::finish(site, asked, form).await,
        (None, ["enter"]) => enter::ask(site, asked),
        (None, ["activity"]) => activity::show(site, asked),
        (Some(form), ["enter"]) => enter::enter(site, asked, form),
        (Some(_), ["leave"]) => enter::leave(site, asked),
        (None, ["connectors"]) => connectors::show(site, asked),
        (None, ["new", kind]) => new::choose(site, asked, kind),
        (None, ["new", kind, connector]) => new::ask(site, asked, kind, connector),
        (Some(form), ["new", kind, connector]) => new::add(site, asked, (kind, connector), form),
        (None, ["place", "repository", name, "create"]) => place::ask_create(site, asked, name).await,
        (Some(form), ["place", "repository", name, "create"]) => place::create(site, asked, name, form).await,
        (None, ["place", kind, name, "settings"]) => new::ask_other(site, asked, (kind, name)),
        (Some(form), ["place", kind, name, "settings"]) => new::change(site, asked, (kind, name), form).await,
        (None, ["place", kind, name]) => place::show(site, asked, kind, name),
        (Some(_), ["place", kind, name, "check"]) => place::check(site, asked, kind, name).await,
        (None, ["r", name]) => repository::show(site, asked, name).await,
        (Some(form), ["r", name, "unlock"]) => repository::unlock(site, asked, name, form).await,
        (Some(_), ["r", name, "lock"]) => repository::lock(site, asked, name).await,
        (Some(form), ["r", name, "run"]) => run::start(site, asked, name, form).await,
        (None, ["r", name, "run", id]) => run::show(site, asked, Room::Repository, name, id),
        (Some(_), ["r", name, "run", id, "cancel"]) => run::cancel(site, asked, Room::Repository, name, id),
        (Some(_), ["r", name, "run", id, "apply"]) => run::apply(site, asked, name, id).await,
        (None, ["r", name, "run", id, "events"]) => run::events(site, Room::Repository, name, id),
        (None, ["r", name, "care"]) => care::show(site, asked, name).await,
        (None, ["r", name, "restore"]) => restore::show(site, asked, name).await,
        (Some(form), ["r", name, "restore", "add"]) => restore::add(site, asked, name, form).await,
        (Some(form), ["r", name, "restore", "take"]) => Ok(restore::take(site, asked, name, form)),
        (Some(_), ["r", name, "restore", "clear"]) => Ok(restore::clear(site, asked, name)),
        (Some(form), ["r", name, "restore", "preview"]) => restore::preview(site, asked, name, form).await,
        (None, ["r", name, "restore", "archive"]) => restore::archive(site, asked, name).await,
        (None, ["sources"]) => sources::list(site, asked),
        (None, ["sources", name]) => sources::show(site, asked, name).await,
        (None, ["guard"]) => guard::show(site, asked).await,
        (None, ["promises"]) => promises::show(site, asked).await,
        (None, ["replication"]) => replication::show(site, asked).await,
        (None, ["calendar"]) => calendar::show(site, asked).await,
        (None, ["jobs"]) => jobs::list(site, asked).await,
        (None, ["jobs", name]) => jobs::show(site, asked, name).await,
        (Some(_), ["jobs", name, "run"]) => jobs::run(site, asked, name).await,
        (Some(_), ["jobs", name, "plan"]) => mirrors::plan(site, asked, name).await,
        (Some(form), ["jobs", name, "back"]) => mirrors::roll_back(site, asked, name, form).await,
        (Some(form), ["jobs", name, "pause"]) => jobs::pause(site, asked, name, form).await,
        (Some(_), ["jobs", name, "resume"]) => jobs::resume(site, asked, name).await,
        (None, ["jobs", name, "past", began]) => jobs::past(site, asked, name, began).await,
        (None, ["jobs", name, "run", id]) => run::show(site, asked, Room::Job, name, id),
        (Some(_), ["jobs", name, "run", id, "cancel"]) => run::cancel(site, asked, Room::Job, name, id),
        (None, ["jobs", name, "run", id, "events"]) => run::events(site, Room::Job, name, id),
        (None, ["r", name, "growth"]) => growth::show(site, asked, name).await,
        (None, ["r", name, "history"]) => history::show(site, asked, name).await,
        (None, ["r", name, "diff"]) => diff::show(site, asked, name).await,
        (None, ["r", name, "find"]) => find::show(site, asked, name).await,
        (None, ["r", name, "s", id]) => browse::show(site, asked, name, id).await,
        (None, ["r", name, "s", id, "about"]) => about::show(site, asked, name, id).await,
        (None, ["r", name, "s", id, "file"]) => file::show(site, asked, name, id).await,
        (None, ["r", name, "s", id, "space"]) => space::show(site, asked, name, id).await,
        (None, ["r", name, "s", id, "raster"]) => raster::send(site, asked, name, id).await,
        (None, ["r", name, "s", id, "download"]) => download::send(site, asked, name, id).await,
        (None, ["r", name, "s", id, "archive"]) => archive::send(site, asked, name, id).await,
        _ => Err(no_page()),
    }
}

/// What is said to a request that is not let through. Who has not logged in can do so there and then.
pub(crate) fn refused(site: &Site, refusal: Refusal) -> Reply {
    match refusal {
        Refusal::NotLoggedIn => {
            login::form(site, StatusCode::UNAUTHORIZED, "", None).unwrap_or_else(|problem| problem.reply(None))
        }
        refusal => problem::refused(refusal),
    }
}

fn no_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such page")
}
