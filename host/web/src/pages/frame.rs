//! What stands around each page.

use credenza_app::Kind;

use crate::access::Action;
use crate::assets;
use crate::session::Session;

/// A word that leads somewhere.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) href: String,
    pub(super) text: String,
}

impl Link {
    pub(super) fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into() }
    }
}

/// The page of a place of the configuration.
pub(super) fn of_place(kind: Kind, name: &str) -> String {
    format!("/place/{kind}/{name}")
}

/// What stands around a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// The way here.
    pub(super) way: Vec<Link>,
    /// What says the same on the command line.
    pub(super) commands: Vec<String>,
    /// Whose page it is: what each form carries, and what may be asked for; none for who has not entered.
    pub(super) token: Option<Session>,
}

impl Frame {
    pub(super) fn new(title: impl Into<String>, token: Option<Session>) -> Self {
        Self { title: title.into(), way: Vec::new(), commands: Vec::new(), token }
    }

    pub(super) fn way(self, way: Vec<Link>) -> Self {
        Self { way, ..self }
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    pub(super) fn style(&self) -> &str {
        &assets::STYLE.path
    }

    pub(super) fn script(&self) -> &str {
        &assets::SCRIPT.path
    }

    pub(super) fn icon(&self) -> &str {
        &assets::ICON.path
    }

    /// The token in a form; empty for who has none, and then there is no form.
    pub(super) fn token(&self) -> &str {
        self.token.as_ref().map_or("", |session| &session.token)
    }

    /// Why something cannot be done here by whoever looks; what is shown for it is disabled, with this beside it.
    pub(super) fn refusal(&self, action: Action) -> Option<String> {
        self.token.as_ref()?.refusal(action)
    }
}
