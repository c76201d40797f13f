//! Asking again before what cannot be undone: the passphrase of the repository wherever one opens it, however it was opened here; else the password of the
//! user who asks; and only where there is neither, the name of the repository.
//!
//! A page that does such a thing calls [`ask`] first, in the answer to its form, and goes on where that gives no reply. The question repeats the fields of
//! the form and sends them to the same address, so that nothing is remembered between the two and it works without scripts. Whoever finds a browser that
//! somebody has left open can look, and removes nothing.

use askama::Template;
use credenza_app::users::User;
use http::StatusCode;
use zeroize::Zeroizing;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_repository, title};
use super::problem::{Problem, render};
use crate::form::TOKEN;
use crate::reply::Reply;
use crate::repositories::Repository;
use crate::shown::count;
use crate::site::Site;
use crate::throttle::Guess;

/// The field of what is typed.
const CONFIRM: &str = "confirm";

/// What a person is to agree to.
pub(super) struct Question {
    /// What is done, as a heading and on the button: `Remove 3 snapshots`.
    pub(super) title: String,
    /// What goes by it, a sentence each.
    pub(super) says: Vec<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    frame: Frame,
    says: Vec<String>,
    path: String,
    fields: Vec<(String, String)>,
    /// The user whose password is to be typed, where no passphrase opens the repository.
    user: Option<String>,
    /// The name to type, where there is neither.
    name: Option<String>,
    failed: Option<&'static str>,
    back: String,
}

/// What shows that whoever asks is who has entered.
enum Proof<'a> {
    /// The passphrase of the repository.
    Passphrase,
    /// The password of this user.
    Password(&'a User),
    /// The name of the repository, which everybody sees: it shows that it was meant, and no more.
    Name,
}

impl<'a> Proof<'a> {
    /// The strongest that there is.
    async fn of(asked: &'a Asked, open: &Repository) -> Result<Self, Problem> {
        let has_passphrase = open.open.repository.has_passphrase().await;
        if has_passphrase.map_err(|error| Problem::of(&error.into(), None))? {
            return Ok(Self::Passphrase);
        }
        let user = asked.session.as_ref().and_then(|session| session.user.as_ref());
        Ok(user.filter(|user| user.has_password()).map_or(Self::Name, Self::Password))
    }

    /// Whether it is what was typed.
    async fn is(&self, site: &Site, asked: &Asked, name: &str, typed: &[u8]) -> Result<bool, Problem> {
        match self {
            Self::Passphrase => {
                let guess = [Guess::Opens(name)];
                attempt(site, &guess)?;
                let proven = site.repositories.proves(name, Zeroizing::new(typed.to_vec())).await;
                let is_proven = proven.map_err(|error| Problem::of(&error, None))?;
                if is_proven {
                    site.throttle.forgive(&guess);
                }
                Ok(is_proven)
            }
            Self::Password(user) => {
                let door = site.door.users().ok_or_else(super::no_page)?;
                let guesses = site.throttle.at_password(&user.name, &asked.address);
                attempt(site, &guesses)?;
                let proven = door.proven(&user.name, typed).await.map_err(|error| {
                    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The password could not be checked")
                        .because(error.to_string())
                })?;
                let is_proven = proven.as_ref() == Some(*user);
                if is_proven {
                    site.throttle.forgive(&guesses);
                }
                Ok(is_proven)
            }
            Self::Name => Ok(typed == name.as_bytes()),
        }
    }

    /// What the log and the page say where it is not.
    const fn missed(&self) -> (&'static str, &'static str) {
        match self {
            Self::Passphrase => ("Wrong passphrase", "This passphrase does not open the repository. Nothing was done."),
            Self::Password(_) => ("Wrong password", "This is not your password. Nothing was done."),
            Self::Name => ("Wrong name", "This is not the name of the repository. Nothing was done."),
        }
    }
}

/// Asks again for what shows that whoever asks is who has entered; no reply where the form has it, and the action may go on.
///
/// # Errors
/// When the repository cannot be opened, or the form cannot be repeated.
pub(super) async fn ask(site: &Site, asked: &Asked, name: &str, question: Question) -> Result<Option<Reply>, Problem> {
    let open = site.repositories.open(name).await.map_err(|error| Problem::of(&error, None))?;
    let proof = Proof::of(asked, &open).await?;
    let typed = asked.form.as_ref().and_then(|form| form.bytes(CONFIRM));
    let failed = match typed {
        None => None,
        Some(typed) => {
            if proof.is(site, asked, name, typed).await? {
                return Ok(None);
            }
            let (noted, failed) = proof.missed();
            asked.note(site, name, &question.title, noted);
            Some(failed)
        }
    };
    let label = open.label();
    let page = Page {
        frame: Frame::new(question.title, asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))]),
        says: question.says,
        path: asked.path.clone(),
        fields: fields(asked)?,
        user: match &proof {
            Proof::Password(user) => Some(crate::shown::text(&user.name)),
            Proof::Passphrase | Proof::Name => None,
        },
        name: matches!(proof, Proof::Name).then(|| name.to_owned()),
        failed,
        back: of_repository(name),
    };
    let status = if failed.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    render(status, &page).map(Some)
}

/// Takes down a guess at a passphrase or a password, or refuses it for a while.
pub(super) fn attempt(site: &Site, guesses: &[Guess<'_>]) -> Result<(), Problem> {
    site.throttle.attempt(guesses).map_err(|wait| {
        let seconds = count(wait.as_secs().max(1), "second", "seconds");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "There were too many attempts")
            .because("none of the last was right")
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
