//! Asking again before what cannot be undone: the passphrase of the repository, or its name where no passphrase opens it.
//!
//! A page that does such a thing calls [`ask`] first, in the answer to its form, and goes on where that gives no reply. The question repeats the fields of
//! the form and sends them to the same address, so that nothing is remembered between the two and it works without scripts. Whoever finds a browser that
//! somebody has left open can look, and removes nothing.

use askama::Template;
use credenza_engine::Secret;
use http::StatusCode;
use zeroize::Zeroizing;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_repository, title};
use super::problem::{Problem, render};
use crate::form::TOKEN;
use crate::reply::Reply;
use crate::shown::count;
use crate::site::Site;
use crate::throttle::Guess;

/// The field of what is typed.
const CONFIRM: &str = "confirm";

/// What a person is to agree to.
pub(super) struct Question {
    /// What is done, as a heading: `Remove 3 snapshots`.
    pub(super) title: String,
    /// What goes by it, a sentence each.
    pub(super) says: Vec<String>,
    /// The word on the button.
    pub(super) button: &'static str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    frame: Frame,
    says: Vec<String>,
    button: &'static str,
    path: String,
    fields: Vec<(String, String)>,
    /// The name to type, where there is no passphrase.
    name: Option<String>,
    failed: Option<&'static str>,
    back: String,
}

/// Asks for the passphrase of a repository again; no reply where the form has it, and the action may go on.
///
/// # Errors
/// When the repository cannot be opened, or the form cannot be repeated.
pub(super) async fn ask(site: &Site, asked: &Asked, name: &str, question: Question) -> Result<Option<Reply>, Problem> {
    let open = site.repositories.open(name).await.map_err(|error| Problem::of(&error, None))?;
    let by_passphrase = matches!(open.open.secret, Secret::Passphrase(_));
    let typed = asked.form.as_ref().and_then(|form| form.bytes(CONFIRM));
    let failed = match typed {
        None => None,
        Some(typed) if by_passphrase => {
            let typed = Zeroizing::new(typed.to_vec());
            let guess = [Guess::Opens(name)];
            attempt(site, &guess)?;
            let proven = site.repositories.proves(name, typed).await.map_err(|error| Problem::of(&error, None))?;
            if proven {
                site.throttle.forgive(&guess);
                return Ok(None);
            }
            Some("This passphrase does not open the repository. Nothing was done.")
        }
        Some(typed) if typed == name.as_bytes() => return Ok(None),
        Some(_) => Some("This is not the name of the repository. Nothing was done."),
    };
    let label = open.label();
    let page = Page {
        frame: Frame::new(question.title, asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))]),
        says: question.says,
        button: question.button,
        path: asked.path.clone(),
        fields: fields(asked)?,
        name: (!by_passphrase).then(|| name.to_owned()),
        failed,
        back: of_repository(name),
    };
    let status = if failed.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    render(status, &page).map(Some)
}

/// Takes down a guess at a passphrase, or refuses it for a while.
pub(super) fn attempt(site: &Site, guesses: &[Guess<'_>]) -> Result<(), Problem> {
    site.throttle.attempt(guesses).map_err(|wait| {
        let seconds = count(wait.as_secs().max(1), "second", "seconds");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "There were too many attempts")
            .because("none of the last passphrases was right")
            .next(format!("Go back and try again in {seconds}."))
    })
}

/// What the form had beside what this page asks for.
fn fields(asked: &Asked) -> Result<Vec<(String, String)>, Problem> {
    let pairs = asked.form.iter().flat_map(|form| form.pairs()).filter(|(name, _)| ![TOKEN, CONFIRM].contains(name));
    let text = |(name, value): (&str, &[u8])| Some((name.to_owned(), std::str::from_utf8(value).ok()?.to_owned()));
    pairs.map(text).collect::<Option<Vec<_>>>().ok_or_else(|| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The form cannot be asked about")
            .because("a value in it is no text in UTF-8")
    })
}
