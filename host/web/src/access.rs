//! What each role may do, and which address asks for what: the one table.
//!
//! An address that is in no line is no page, so that none can be added without saying who may ask for it. What an address alone does not decide, a page
//! asks by its [`Action`]. Refused here: who has which role (`session`).

use credenza_app::users::Role;

/// What can be done with the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Look at what there is, at names, and at what runs.
    Look,
    /// Read contents of files.
    Read,
    /// Restore to a place.
    Restore,
    /// Open a repository by its passphrase.
    Unlock,
    /// Forget the key of a repository, for everybody.
    Lock,
    /// Start or cancel what loses nothing: backups, checks, copies.
    Run,
    /// Remove snapshots, keep fewer, or mend what is damaged.
    Remove,
    /// Change the configuration, and make repositories.
    Configure,
}

impl Action {
    /// The least role that may do it.
    pub(crate) const fn least(self) -> Role {
        match self {
            Self::Look => Role::Viewer,
            Self::Read | Self::Restore | Self::Unlock => Role::Restorer,
            Self::Lock | Self::Run => Role::Operator,
            Self::Remove | Self::Configure => Role::Admin,
        }
    }
}

/// An address, and what it is asked for.
pub(crate) struct Route {
    /// Whether a form is sent there.
    pub(crate) is_form: bool,
    /// Its segments; `*` is any one, `**` all that follow.
    pub(crate) pattern: &'static str,
    /// What is asked for; none where whoever has not entered may ask as well.
    pub(crate) action: Option<Action>,
}

const fn page(pattern: &'static str, action: Action) -> Route {
    Route { is_form: false, pattern, action: Some(action) }
}

const fn form(pattern: &'static str, action: Action) -> Route {
    Route { is_form: true, pattern, action: Some(action) }
}

const fn open(is_form: bool, pattern: &'static str) -> Route {
    Route { is_form, pattern, action: None }
}

/// Every address of the page.
pub(crate) const ROUTES: &[Route] = &[
    open(false, "assets/**"),
    open(false, "enter"),
    open(true, "enter"),
    open(false, "login"),
    open(true, "login"),
    open(true, "login/oidc"),
    open(false, "login/oidc/callback"),
    open(true, "login/oidc/finish"),
    form("leave", Action::Look),
    page("", Action::Look),
    page("connectors", Action::Look),
    page("new/*", Action::Configure),
    page("new/*/*", Action::Configure),
    form("new/*/*", Action::Configure),
    page("place/repository/*/create", Action::Configure),
    form("place/repository/*/create", Action::Configure),
    page("place/*/*/settings", Action::Configure),
    form("place/*/*/settings", Action::Configure),
    page("place/*/*", Action::Look),
    form("place/*/*/check", Action::Run),
    page("activity", Action::Look),
    page("r/*", Action::Look),
    form("r/*/unlock", Action::Unlock),
    form("r/*/lock", Action::Lock),
    form("r/*/run", Action::Run),
    page("r/*/run/*", Action::Look),
    form("r/*/run/*/cancel", Action::Look),
    form("r/*/run/*/apply", Action::Look),
    page("r/*/run/*/events", Action::Look),
    page("r/*/find", Action::Look),
    page("r/*/growth", Action::Look),
    page("r/*/history", Action::Look),
    page("r/*/diff", Action::Look),
    page("r/*/s/*/space", Action::Look),
    page("r/*/s/*/raster", Action::Read),
    page("promises", Action::Look),
    page("calendar", Action::Look),
    page("replication", Action::Look),
    page("guard", Action::Look),
    page("jobs", Action::Look),
    page("jobs/*", Action::Look),
    form("jobs/*/run", Action::Run),
    form("jobs/*/plan", Action::Run),
    form("jobs/*/back", Action::Remove),
    form("jobs/*/pause", Action::Run),
    form("jobs/*/resume", Action::Run),
    page("jobs/*/past/*", Action::Look),
    page("jobs/*/run/*", Action::Look),
    form("jobs/*/run/*/cancel", Action::Run),
    page("jobs/*/run/*/events", Action::Look),
    page("sources", Action::Look),
    page("sources/*", Action::Look),
    page("r/*/care", Action::Look),
    page("r/*/restore", Action::Look),
    form("r/*/restore/add", Action::Restore),
    form("r/*/restore/take", Action::Restore),
    form("r/*/restore/clear", Action::Restore),
    form("r/*/restore/preview", Action::Restore),
    page("r/*/restore/archive", Action::Read),
    page("r/*/s/*", Action::Look),
    page("r/*/s/*/about", Action::Look),
    page("r/*/s/*/file", Action::Look),
    page("r/*/s/*/download", Action::Read),
    page("r/*/s/*/archive", Action::Read),
];

/// The line of an address, if it has one.
pub(crate) fn route(is_form: bool, segments: &[&str]) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.is_form == is_form && fits(route.pattern, segments))
}

fn fits(pattern: &str, segments: &[&str]) -> bool {
    let mut given = segments.iter();
    for part in pattern.split('/') {
        match (part, given.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(segment)) if !segment.is_empty() => {}
            (part, Some(segment)) if part == *segment => {}
            _ => return false,
        }
    }
    given.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_one_line_or_is_none() {
        for (path, action) in [
            ("", Some(Action::Look)),
            ("r/mine", Some(Action::Look)),
            ("r/mine/s/1/download", Some(Action::Read)),
            ("r/", None),
            ("r/mine/", None),
            ("r/mine/s/1/download/x", None),
            ("nowhere", None),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(route(false, &segments).and_then(|route| route.action), action, "{path}");
        }
        for (number, line) in ROUTES.iter().enumerate() {
            let segments: Vec<&str> = line.pattern.split('/').map(|part| part.trim_matches('*')).collect();
            let segments: Vec<&str> =
                segments.into_iter().map(|part| if part.is_empty() { "x" } else { part }).collect();
            if line.pattern.is_empty() {
                continue;
            }
            let first = ROUTES.iter().position(|other| other.is_form == line.is_form && fits(other.pattern, &segments));
            assert_eq!(first, Some(number), "{}", line.pattern);
        }
    }
}
