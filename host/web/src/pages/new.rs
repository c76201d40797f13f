//! A new place for the configuration, and other settings for one that is there: a form made from the manifest of its connector.
//!
//! Secrets go to the configuration and never come back. What names a command, a file or a component of this machine is in no form (`credenza-app`).

use std::collections::BTreeMap;

use askama::Template;
use credenza_app::{Configuration, Field, FilledIn, Input, Kind, Offer, PlaceName, SecretText};
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link, of_place};
use super::problem::{Problem, render};
use crate::command;
use crate::form::Fields;
use crate::reply::{self, Reply};
use crate::shown;
use crate::site::Site;

/// The field of the name, and what is before the names of settings.
const NAME: &str = "name";
const SETTING: &str = "setting.";

#[derive(Template)]
#[template(path = "offers.html")]
struct Offers {
    frame: Frame,
    kind: String,
    offers: Vec<Offered>,
}

struct Offered {
    href: String,
    title: String,
    summary: String,
}

#[derive(Template)]
#[template(path = "new.html")]
struct Form {
    frame: Frame,
    path: String,
    /// The name, where it is to be given; empty before it is.
    name: Option<String>,
    button: String,
    fields: Vec<Shown>,
    advanced: Vec<Shown>,
    failed: Option<String>,
}

/// A field as it is shown; its texts were a connector's.
struct Shown {
    id: String,
    name: String,
    help: String,
    value: String,
    example: String,
    is_required: bool,
    input: Input,
    min: String,
    max: String,
}

/// A kind of place by its word in an address.
pub(super) fn kind(word: &str) -> Result<Kind, Problem> {
    let kinds = [Kind::Repository, Kind::Source, Kind::Destination];
    kinds.into_iter().find(|kind| kind.name() == word).ok_or_else(super::no_page)
}

pub(super) fn choose(site: &Site, asked: &Asked, word: &str) -> Result<Reply, Problem> {
    let kind = kind(word)?;
    let offers = site.repositories.app().offers(kind).map_err(|error| Problem::of(&error, None))?;
    let offered = |Offer { name, summary, schemes }: Offer| Offered {
        href: format!("/new/{kind}/{name}"),
        title: match schemes.is_empty() {
            true => "Folder".to_owned(),
            false => shown::text(&format!("{name}: {}://", schemes.join("://, "))),
        },
        summary: shown::text(&summary),
    };
    let frame = Frame::new(format!("Add a {kind}"), asked.token())
        .way(vec![Link::new("/", "Your backups")])
        .command(format!("credenza {kind} add NAME LOCATION"));
    render(StatusCode::OK, &Offers { frame, kind: kind.to_string(), offers: offers.into_iter().map(offered).collect() })
}

pub(super) fn ask(site: &Site, asked: &Asked, word: &str, connector: &str) -> Result<Reply, Problem> {
    new(site, asked, (kind(word)?, connector), None)
}

pub(super) fn add(
    site: &Site,
    asked: &Asked,
    (word, connector): (&str, &str),
    sent: &Fields,
) -> Result<Reply, Problem> {
    let kind = kind(word)?;
    match keep(site, kind, connector, sent) {
        Ok(name) => {
            asked.note(site, "", &format!("The {kind} {} was added", name.as_str()), "Done");
            Ok(reply::see(&of_place(kind, name.as_str())))
        }
        Err(problem) => new(site, asked, (kind, connector), Some(problem.said())),
    }
}

fn keep(site: &Site, kind: Kind, connector: &str, sent: &Fields) -> Result<PlaceName, Problem> {
    let app = site.repositories.app();
    let name = PlaceName::new(kind, &sent.text(NAME))?;
    let settings = app.filled(kind, connector, values(sent))?;
    Configuration::edit(app.configuration_folder()?, |configuration| {
        configuration.create(kind, &name)?;
        Ok::<_, Problem>(app.keep_settings(configuration, (kind, &name), settings)?)
    })?;
    Ok(name)
}

/// The settings of a form.
fn values(sent: &Fields) -> BTreeMap<String, SecretText> {
    let settings = sent.pairs().filter_map(|(name, value)| Some((name.strip_prefix(SETTING)?, value)));
    settings.map(|(name, value)| (name.to_owned(), SecretText::new(String::from_utf8_lossy(value)))).collect()
}

fn new(site: &Site, asked: &Asked, (kind, connector): (Kind, &str), failed: Option<String>) -> Result<Reply, Problem> {
    let fields = site.repositories.app().fields(kind, connector).map_err(|error| {
        let said = Problem::from(error).said();
        Problem::new(StatusCode::NOT_FOUND, said).next("The page before this one lists what can be chosen.")
    })?;
    let title =
        if connector == "file" { format!("Add a {kind}: a folder") } else { format!("Add a {kind}: {connector}") };
    let frame = Frame::new(title, asked.token())
        .way(vec![Link::new("/", "Your backups"), Link::new(format!("/new/{kind}"), format!("Add a {kind}"))])
        .command(format!("credenza {kind} add NAME LOCATION SETTING=VALUE"))
        .command(format!("credenza connector inspect {}", command::word(connector)));
    let sent = asked.form.as_ref();
    let form = Form {
        frame,
        path: format!("/new/{kind}/{connector}"),
        name: Some(sent.map(|sent| shown::text(&sent.text(NAME))).unwrap_or_default()),
        button: format!("Add the {kind}"),
        fields: Vec::new(),
        advanced: Vec::new(),
        failed,
    };
    let sent = sent.map(filled).unwrap_or_default();
    form.show(fields, &sent)
}

/// What was typed, as text.
fn filled(sent: &Fields) -> BTreeMap<String, String> {
    values(sent).into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
}

/// Asks for other settings of a place that is there.
pub(super) fn ask_other(site: &Site, asked: &Asked, (word, name): (&str, &str)) -> Result<Reply, Problem> {
    other(site, asked, (kind(word)?, name), None)
}

pub(super) async fn change(
    site: &Site,
    asked: &Asked,
    (word, name): (&str, &str),
    sent: &Fields,
) -> Result<Reply, Problem> {
    let kind = kind(word)?;
    let app = site.repositories.app();
    let place = PlaceName::new(kind, name)?;
    let changed = Configuration::edit(app.configuration_folder()?, |configuration| {
        Ok::<_, Problem>(app.change_settings(configuration, (kind, &place), values(sent))?)
    });
    if let Err(problem) = changed {
        return other(site, asked, (kind, name), Some(problem.said()));
    }
    if kind == Kind::Repository {
        // What is open was reached by the settings from before.
        site.repositories.lock(name).await?;
    }
    asked.note(site, "", &format!("The {kind} {name} was given other settings"), "Done");
    Ok(reply::see(&of_place(kind, name)))
}

fn other(site: &Site, asked: &Asked, (kind, name): (Kind, &str), failed: Option<String>) -> Result<Reply, Problem> {
    let app = site.repositories.app();
    let place = PlaceName::new(kind, name)?;
    let here = of_place(kind, name);
    let FilledIn { connector, values } =
        app.filled_in(kind, &app.configuration()?.settings(kind, &place)?).map_err(|error| {
            let said = Problem::from(error).said();
            Problem::new(StatusCode::CONFLICT, "These settings are changed on the command line alone")
                .because(said)
                .next(format!("credenza {kind} set {name} SETTING VALUE"))
                .link(here.as_str(), "Its settings")
        })?;
    let form = Form {
        frame: Frame::new(format!("Other settings of the {kind} {}", shown::text(name)), asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new(here.as_str(), shown::text(name))])
            .command(format!("credenza {kind} set {name} SETTING VALUE")),
        path: format!("{here}/settings"),
        name: None,
        button: "Keep these settings".to_owned(),
        fields: Vec::new(),
        advanced: Vec::new(),
        failed,
    };
    let filled = asked.form.as_ref().map_or(values, filled);
    form.show(app.fields(kind, &connector)?, &filled)
}

impl Form {
    /// The page, with these fields as they are filled in.
    fn show(self, fields: Vec<Field>, filled: &BTreeMap<String, String>) -> Result<Reply, Problem> {
        let (advanced, fields): (Vec<Field>, Vec<Field>) = fields.into_iter().partition(|field| field.is_advanced);
        let shown = |fields: Vec<Field>| fields.into_iter().map(|field| Shown::of(field, filled)).collect();
        let status = if self.failed.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        render(status, &Self { fields: shown(fields), advanced: shown(advanced), ..self })
    }
}

impl Shown {
    /// With what was filled in before, unless it is secret.
    fn of(field: Field, filled: &BTreeMap<String, String>) -> Self {
        let Field { name, help, input, default, examples, is_required, .. } = field;
        let was = filled.get(&name).map(String::as_str).unwrap_or_default();
        let input = match input {
            // What cannot be seen cannot be chosen with open eyes.
            Input::OneOf(choices) => {
                Input::OneOf(choices.into_iter().filter(|choice| choice.chars().all(shown::is_visible)).collect())
            }
            other => other,
        };
        let value = if input == Input::Secret { String::new() } else { shown::text(was) };
        let bound = |bound: Option<i64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
        let (min, max) = match input {
            Input::Number { min, max } => (bound(min), bound(max)),
            _ => (String::new(), String::new()),
        };
        let example = default.or(examples.into_iter().next()).unwrap_or_default();
        Self {
            id: format!("{SETTING}{name}"),
            name: shown::text(&name),
            help: shown::text(&help),
            value,
            example: shown::text(&example),
            is_required,
            input,
            min,
            max,
        }
    }
}
