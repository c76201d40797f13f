//! What went wrong: what happened, why, and what to do.

use askama::Template;
use credenza_app::{ConfigurationError, Error as AppError, Kind, PlaceError, PlaceLabel};
use credenza_engine::Error as EngineError;
use http::StatusCode;

use super::frame::{Frame, Link, of_place};
use crate::command;
use crate::door::Refusal;
use crate::form::{self, FORM_BYTES_MAX};
use crate::reply::{self, Reply};
use crate::session::Session;
use crate::shown;

/// Something went wrong, or was refused.
#[derive(Debug)]
pub(super) struct Problem(Box<Details>);

/// What is said of it. It is larger than most answers, and rarer.
#[derive(Debug)]
struct Details {
    status: StatusCode,
    /// One sentence without a full stop.
    what: String,
    why: Option<String>,
    next: Option<String>,
    command: Option<String>,
    /// The page that says what to do, where another does.
    see: Option<String>,
    /// Where what to do next is done.
    link: Option<Link>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page {
    frame: Frame,
    why: Option<String>,
    next: Option<String>,
    link: Option<Link>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, what: impl Into<String>) -> Self {
        let what = what.into();
        Self(Box::new(Details { status, what, why: None, next: None, command: None, see: None, link: None }))
    }

    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.0.why = Some(why.into());
        self
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(next.into());
        self
    }

    /// Where what to do next is done.
    pub(super) fn link(mut self, href: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.link = Some(Link::new(href, text));
        self
    }

    /// Another page is shown instead.
    pub(super) fn see(path: impl Into<String>) -> Self {
        let mut other = Self::new(StatusCode::SEE_OTHER, "");
        other.0.see = Some(path.into());
        other
    }

    /// A limit of this server was met.
    pub(super) fn limit(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what).because(why)
    }

    /// What an error says of itself, and what can be done about it in a repository.
    pub(super) fn of(error: &AppError, repository: Option<&PlaceLabel>) -> Self {
        let (status, next, words) = advice(error);
        let mut why = shown::causes(error);
        let what = why.remove(0);
        let command = words.zip(repository).map(|(words, repository)| command::at(repository, words));
        let why = Some(why.join(": ")).filter(|why| !why.is_empty());
        let next = next.map(str::to_owned);
        let link = repository.and_then(|label| label.name.as_deref()).map(|name| {
            Link::new(
                of_place(Kind::Repository, name),
                "The settings of the repository, and a check of its place step by step",
            )
        });
        Self(Box::new(Details { status, what, why, next, command, see: None, link }))
    }

    /// What happened, without why.
    pub(super) fn what(&self) -> String {
        shown::text(&self.0.what)
    }

    /// What happened and why, in a line.
    pub(super) fn said(&self) -> String {
        match &self.0.why {
            Some(why) => shown::text(&format!("{}: {why}", self.0.what)),
            None => self.what(),
        }
    }

    pub(super) fn reply(self, token: Option<Session>) -> Reply {
        let Details { status, what, why, next, command, see, link } = *self.0;
        if let Some(path) = see {
            return reply::see(&path);
        }
        let mut frame = Frame::new(shown::sentence(&shown::text(&what)), token);
        frame.commands.extend(command);
        let page = Page { frame, why: why.map(|why| shown::text(&why)), next, link };
        match page.render() {
            Ok(html) => reply::page(status, html),
            Err(_) => reply::text(status, "text/plain; charset=utf-8", what),
        }
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        Self::of(&error, None)
    }
}

impl From<ConfigurationError> for Problem {
    fn from(error: ConfigurationError) -> Self {
        Self::of(&error.into(), None)
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        Self::of(&error.into(), None)
    }
}

/// A page of HTML.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Result<Reply, Problem> {
    template.render().map(|html| reply::page(status, html)).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made").because(error.to_string())
    })
}

/// The error of the engine in one of the app.
pub(super) fn engine(error: &AppError) -> Option<&EngineError> {
    error.engine()
}

/// The status of an error, what to do, and the command for it.
fn advice(error: &AppError) -> (StatusCode, Option<&'static str>, Option<&'static str>) {
    const MISSING: StatusCode = StatusCode::NOT_FOUND;
    const BEHIND: StatusCode = StatusCode::BAD_GATEWAY;
    const DAMAGE: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
    match (error, engine(error)) {
        (AppError::NotInSnapshot { .. } | AppError::SnapshotName(_), _)
        | (_, Some(EngineError::NoEntry { .. } | EngineError::NoSnapshot { .. })) => (MISSING, None, None),
        (
            AppError::Configuration(ConfigurationError::Unknown { .. } | ConfigurationError::Name { .. })
            | AppError::Place(PlaceError::Configuration(
                ConfigurationError::Unknown { .. } | ConfigurationError::Name { .. },
            )),
            _,
        ) => (MISSING, Some("The overview lists the repositories of the configuration."), None),
        (AppError::NoRepository { .. }, _) => (
            MISSING,
            Some("Connect the disk, or say where the repository is now; the command makes a new one."),
            Some("create"),
        ),
        (_, Some(EngineError::Damage(_) | EngineError::NewestUnreadable { .. })) => {
            (DAMAGE, Some("Find out how far the damage goes before anything else."), Some("check"))
        }
        (_, Some(EngineError::Connector { .. })) => {
            (BEHIND, Some("See to it that the place can be reached, and load the page again."), Some("ls"))
        }
        _ => (BEHIND, None, None),
    }
}

/// What is said to a request that is not let through.
pub(super) fn refused(refusal: Refusal) -> Reply {
    let problem = match refusal {
        Refusal::Host => Problem::new(StatusCode::MISDIRECTED_REQUEST, "Another server was asked for")
            .because("this one answers to the name that it was started for, so that no other can be made to point here")
            .next("Use the address that `credenza ui` has printed: its name is new at each start. For others it is started with the name that they ask for: credenza ui --listen ADDRESS:PORT --host NAME …"),
        Refusal::Method => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Pages are asked for with GET, and forms are sent with POST")
        }
        Refusal::Foreign => Problem::new(StatusCode::FORBIDDEN, "The request was refused")
            .because("the browser does not say that it is from a page of this server")
            .next("Open the page by itself, not from within another, and send the form from there."),
        Refusal::NotProxy => Problem::new(StatusCode::FORBIDDEN, "This did not come through the proxy")
            .because("the proxy in front of this server proves itself with each request, by the header X-Credenza-Proxy-Secret")
            .next("Ask for the page at the proxy's address. If this came from there, have it send what the file of --proxy-secret-file holds."),
        Refusal::NotLoggedIn => Problem::new(StatusCode::UNAUTHORIZED, "You have not logged in yet"),
        Refusal::NoSession => Problem::new(StatusCode::UNAUTHORIZED, "You have not entered yet")
            .because("a browser enters by a link, and is out again when `credenza ui` ends, or after 12 hours without a request")
            .next("Open the link that `credenza ui` has printed: it can be used once, within 60 seconds. Press Enter in that terminal for a new one."),
    };
    problem.reply(None)
}

/// What is said to a form that is not taken.
pub(crate) fn refused_form(refused: form::Refused) -> Reply {
    let problem = match refused {
        form::Refused::Body => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The form was not read")
            .because(format!("a form has {FORM_BYTES_MAX} bytes at most, and ends where it says")),
        form::Refused::Token => Problem::new(StatusCode::FORBIDDEN, "The form was refused")
            .because("it is from another page, or one that was opened before you entered")
            .next("Load the page again, and send the form from there."),
    };
    problem.reply(None)
}
