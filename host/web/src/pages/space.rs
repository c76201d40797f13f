//! What takes the space in a folder of a snapshot: a treemap, and the table that says the same.

use askama::Template;
use credenza_engine::query::{FolderPart, Space};
use http::StatusCode;

use super::Asked;
use super::download::too_many;
use super::frame::{Frame, Link};
use super::places::{self, Place, of_entry};
use super::problem::{Problem, render};
use crate::command;
use crate::form::encode;
use crate::graphics::{Area, MAP_HEIGHT, MAP_WIDTH, treemap};
use crate::reply::Reply;
use crate::shown;
use crate::site::Site;

/// Parts that are named.
const PARTS_MAX: usize = 40;
/// Shades that the stylesheet has.
const SHADES: usize = 4;
/// Room that a name needs beside and above it.
const LABEL_HEIGHT: u64 = 28;
/// Room that a letter of a name needs at most.
const LETTER_WIDTH: u64 = 11;

#[derive(Template)]
#[template(path = "space.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    others: Option<String>,
    total: String,
    partial: Option<String>,
    width: u64,
    height: u64,
}

struct Row {
    href: String,
    name: String,
    files: String,
    size: String,
    /// Of 100.
    share: u64,
    area: Area,
    shade: usize,
    /// Where its name has room in the picture.
    label: Option<(u64, u64)>,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let prefix = asked.query.bytes("key").unwrap_or_default();
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let mut walk = place.view.space(&place.snapshot, prefix, PARTS_MAX);
    let until = tokio::time::Instant::now() + site.limits.search;
    let partial = loop {
        match tokio::time::timeout_at(until, walk.advance()).await {
            Err(_) => {
                break Some(format!(
                    "The count was ended after {} seconds: what comes later in the order of names is not in it.",
                    site.limits.search.as_secs()
                ));
            }
            Ok(went) => {
                if !went.map_err(|error| place.problem(error))? {
                    break None;
                }
            }
        }
    };
    let space = walk.finish();
    let mut way = vec![Link::new("/", "Your backups")];
    way.extend(places::way(name, &place, prefix));
    let words = command::in_snapshot(&place.id, prefix);
    let page = Page {
        frame: Frame::new("What takes the space", asked.token())
            .way(way)
            .command(command::at(&place.label, &format!("info --space {words}"))),
        rows: rows(name, &place.id, prefix, &space),
        others: (space.others > 0)
            .then(|| format!("{} smaller ones have {} together.", space.others, shown::size(space.others_bytes))),
        total: format!("{} in {}", shown::size(space.bytes), shown::count(space.files, "file", "files")),
        partial,
        width: MAP_WIDTH,
        height: MAP_HEIGHT,
    };
    render(StatusCode::OK, &page)
}

/// The page of a folder.
pub(super) fn of_space(name: &str, id: &str, prefix: &[u8]) -> String {
    format!("/r/{name}/s/{id}/space?key={}", encode(prefix))
}

fn rows(name: &str, id: &str, prefix: &[u8], space: &Space) -> Vec<Row> {
    let values: Vec<u64> = space.parts.iter().map(|part| part.bytes).collect();
    let areas = treemap(&values);
    let whole = space.bytes.max(1);
    let row = |(number, (part, area)): (usize, (&FolderPart, Area))| {
        let key = part.key.as_bytes();
        let shown = shown::name(key.strip_prefix(prefix).unwrap_or(key));
        let room = LETTER_WIDTH.saturating_mul(shown.chars().count() as u64).saturating_add(LETTER_WIDTH);
        let has_room = area.height >= LABEL_HEIGHT && area.width >= room;
        Row {
            href: if key.ends_with(b"/") { of_space(name, id, key) } else { of_entry(name, id, "file", key) },
            label: has_room.then(|| (area.x + 8, area.y + 22)),
            name: shown,
            files: shown::count(part.files, "file", "files"),
            size: shown::size(part.bytes),
            share: u64::try_from(u128::from(part.bytes) * 100 / u128::from(whole)).unwrap_or(100),
            area,
            shade: number % SHADES,
        }
    };
    space.parts.iter().zip(areas).enumerate().map(row).collect()
}
