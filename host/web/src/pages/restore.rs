//! The basket: what is to be restored, how much it is, and where it is to go. Whatever is done begins with a preview.

use std::ffi::OsString;
use std::sync::Arc;

use askama::Template;
use credenza_app::patterns::PatternList;
use credenza_app::{Kind, Settings};
use credenza_engine::archive::Chosen;
use credenza_engine::restore::{Deletion, Overwrite};
use credenza_engine::{Part, Parts};
use http::StatusCode;

use super::archive::{self, Wanted};
use super::download::too_many;
use super::frame::{Frame, Link};
use super::places::{Place, of_entry, of_folder, of_repository, open, short, title};
use super::problem::{Problem, render};
use super::{Asked, run};
use crate::access::Action;
use crate::basket::{Basket, ITEMS_MAX, Item, Pick, Unpicked};
use crate::command;
use crate::form::Fields;
use crate::operations::{How, Restore};
use crate::reply::{self, Reply};
use crate::repositories::Look;
use crate::runs::Operation;
use crate::shown;
use crate::site::Site;

/// Entries of a folder that are counted when it is picked.
const COUNTED_MAX: u64 = 20_000;
/// The field of what is picked.
pub(super) const ITEM: &str = "item";

#[derive(Template)]
#[template(path = "restore.html")]
struct Page {
    frame: Frame,
    name: String,
    rows: Vec<Row>,
    sum: String,
    destinations: Vec<String>,
    zip: String,
    tar: String,
    refusal: Option<String>,
}

struct Row {
    href: String,
    path: String,
    snapshot: String,
    entries: String,
    size: String,
    word: String,
}

/// The page of a basket.
pub(super) fn of_basket(name: &str) -> String {
    format!("{}/restore", of_repository(name))
}

/// How many items are picked in a repository, as a link to them; none where none are.
pub(super) fn link(site: &Site, asked: &Asked, name: &str) -> Option<Link> {
    let picked = basket(site, asked, name).items.len() as u64;
    (picked > 0).then(|| Link::new(of_basket(name), format!("To restore: {}", shown::count(picked, "item", "items"))))
}

fn basket(site: &Site, asked: &Asked, name: &str) -> Basket {
    site.baskets.get(asked.session_token(), name)
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let label = open(site, name).await?.label();
    let basket = basket(site, asked, name);
    let (entries, bytes, is_counted) = basket.sum();
    let sum = amount(entries, bytes, is_counted);
    let frame = Frame::new("Restore", asked.token())
        .way(vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))]);
    let commands = trial(&basket, "FOLDER", How::default()).commands();
    let frame = commands.into_iter().fold(frame, |frame, words| frame.command(command::at(&label, &words)));
    let archive = |format: &str| format!("{}/archive?format={format}", of_basket(name));
    let page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        name: name.to_owned(),
        rows: basket.items.iter().map(|item| row(name, item)).collect(),
        sum,
        destinations: site.repositories.destinations().map_err(|error| Problem::of(&error.into(), None))?,
        zip: archive("zip"),
        tar: archive("tar"),
    };
    render(StatusCode::OK, &page)
}

fn amount(entries: u64, bytes: u64, is_counted: bool) -> String {
    let at_least = if is_counted { "" } else { "at least " };
    format!("{at_least}{}, {}", shown::count(entries, "entry", "entries"), shown::size(bytes))
}

fn row(name: &str, item: &Item) -> Row {
    let Item { pick: Pick { snapshot, part }, entries, bytes, is_counted } = item;
    let key = part.key().as_bytes();
    let at_least = if *is_counted { "" } else { "at least " };
    Row {
        href: match part {
            Part::Key(_) => of_entry(name, snapshot, "file", key),
            Part::Under(_) => of_folder(name, snapshot, key),
        },
        path: if key.is_empty() { "the whole snapshot".to_owned() } else { shown::name(key) },
        snapshot: short(snapshot).to_owned(),
        entries: format!("{at_least}{entries}"),
        size: format!("{at_least}{}", shown::size(*bytes)),
        word: item.pick.word(),
    }
}

pub(super) async fn add(site: &Site, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let picks: Option<Vec<Pick>> = form.all(ITEM).map(Pick::parse).collect();
    let picks = picks.filter(|picks| !picks.is_empty()).ok_or_else(|| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was picked")
            .next("Go back, pick the boxes beside what is to be restored, and try again.")
    })?;
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    for pick in picks {
        let place = Place::open(site, name, &pick.snapshot).await?;
        let item = measured(&place, pick).await?;
        site.baskets.add(asked.session_token(), name, item).map_err(|why| unpicked(&why, name))?;
    }
    Ok(reply::see(&of_basket(name)))
}

/// How much something is; an error where nothing is there.
async fn measured(place: &Place, pick: Pick) -> Result<Item, Problem> {
    let parts: Parts = [pick.part.clone()].into_iter().collect();
    if parts.is_all() {
        let statistics = &place.snapshot.snapshot.statistics;
        return Ok(Item { pick, entries: statistics.entries, bytes: statistics.bytes, is_counted: true });
    }
    let mut records = place.view.records_of(&place.snapshot, &parts);
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    while let Some(record) = records.next().await.map_err(|error| place.problem(error))? {
        if !record.entry.is_current() {
            continue;
        }
        entries += 1;
        bytes = bytes.saturating_add(record.content.bytes());
        if entries >= COUNTED_MAX {
            return Ok(Item { pick, entries, bytes, is_counted: false });
        }
    }
    if entries == 0 {
        let path = shown::name(pick.part.key().as_bytes());
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("There is no `{path}` in this snapshot")));
    }
    Ok(Item { pick, entries, bytes, is_counted: true })
}

fn unpicked(why: &Unpicked, name: &str) -> Problem {
    match why {
        Unpicked::Full => Problem::limit(
            "No more can be picked",
            format!("{ITEMS_MAX} items are picked, or as many bytes of names as may be"),
        )
        .next("Restore what is picked first, or pick the folder instead of what lies in it."),
        Unpicked::Taken(other) => {
            let path = shown::name(other.part.key().as_bytes());
            Problem::new(StatusCode::CONFLICT, "It is picked of another snapshot already")
                .because(format!("`{path}` of snapshot {} would go to the same path", short(&other.snapshot)))
                .next("Take that out of the basket first, or restore one after the other, each to a folder of its own.")
                .link(of_basket(name), "To what is picked")
        }
    }
}

pub(super) fn take(site: &Site, asked: &Asked, name: &str, form: &Fields) -> Reply {
    if let Some(pick) = form.bytes(ITEM).and_then(Pick::parse) {
        site.baskets.take(asked.session_token(), name, &pick);
    }
    reply::see(&of_basket(name))
}

pub(super) fn clear(site: &Site, asked: &Asked, name: &str) -> Reply {
    site.baskets.clear(asked.session_token(), name);
    reply::see(&of_basket(name))
}

fn trial(basket: &Basket, to: &str, how: How) -> Restore {
    let (_, bytes, _) = basket.sum();
    Restore { picked: basket.picked(), bytes, to: to.to_owned(), how, is_trial: true }
}

pub(super) async fn preview(site: &Arc<Site>, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let basket = basket(site, asked, name);
    let wrong = |what: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what);
    if basket.items.is_empty() {
        return Err(wrong("Nothing is picked to be restored")
            .next("Open a snapshot, and pick the boxes beside what you want back."));
    }
    let (typed, chosen) = (form.text("to"), form.text("destination"));
    let to = match (typed.trim(), chosen.as_str()) {
        ("", "") => {
            return Err(wrong("Nothing says where to").next("Type a folder of this machine, or choose a destination."));
        }
        ("", chosen) => format!("@{chosen}"),
        (typed, _) => typed.to_owned(),
    };
    let is_certain = ["/", "~", "@"].iter().any(|start| to.starts_with(start)) || to.contains("://");
    if !is_certain {
        return Err(wrong("This is no place that is surely meant")
            .because("a folder is written from the root of the machine on, so that it does not depend on where `credenza ui` was started")
            .next("Type a path that begins with / or ~/, or a location with its scheme, or choose a destination."));
    }
    // Where others ask, a folder that one of them types is one of the account that serves them.
    if site.door.users().is_some() && !to.starts_with('@') {
        asked.require(Action::Configure)?;
    }
    // Before anything is noted of it: a location with credentials is refused and not repeated.
    let place = site.repositories.app().place(Kind::Destination, to.as_ref(), Settings::new());
    let place = place.map_err(|error| wrong(&shown::causes(&error).join(": ")))?;
    let to = if to.starts_with('@') { to } else { place.text() };
    run::begin(site, asked, name, Arc::new(trial(&basket, &to, how(form)?))).await
}

/// What of it, and what becomes of what is there.
fn how(form: &Fields) -> Result<How, Problem> {
    let is_set = |name: &str| form.bytes(name).is_some();
    let patterns = |name: &str| {
        let typed = run::lines(form, name);
        let words: Vec<OsString> = typed.iter().map(OsString::from).collect();
        PatternList::gather(&words, &[]).map(|_| typed).map_err(|why| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "One of the patterns is none")
                .because(shown::causes(&why).join(": "))
                .next("Go back, and correct it: one stands on each line, as in a .gitignore.")
        })
    };
    Ok(How {
        include: patterns("include")?,
        exclude: patterns("exclude")?,
        overwrite: match form.text("overwrite").as_str() {
            "always" => Overwrite::Always,
            "if-newer" => Overwrite::IfNewer,
            "if-changed" => Overwrite::IfChanged,
            "never" => Overwrite::Never,
            _ => Overwrite::No,
        },
        verify: is_set("verify"),
        delete: match (is_set("delete"), is_set("force")) {
            (false, _) => None,
            (true, false) => Some(Deletion::Limited),
            (true, true) => Some(Deletion::All),
        },
        versions: is_set("versions"),
    })
}

/// All that is picked, as one archive.
pub(super) async fn archive(site: &Arc<Site>, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let problem = |error| Problem::of(&error, Some(&repository.label()));
    let picked = basket(site, asked, name).picked();
    if picked.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "Nothing is picked to be downloaded"));
    }
    let Look { view, .. } = repository.look().await.map_err(problem)?;
    let mut chosen = Vec::new();
    for picked in picked {
        let (_, snapshot) = repository.snapshot(&picked.snapshot).await.map_err(problem)?;
        chosen.push(Chosen { snapshot, parts: picked.parts });
    }
    asked.note(site, name, "Download of what was picked", "Begun");
    archive::stream(site, Wanted { view, chosen, stem: b"restored".to_vec(), format: asked.query.text("format") })
}
