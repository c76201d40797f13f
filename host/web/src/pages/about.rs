//! A snapshot itself: how it was made, its tags, and its removal.

use askama::Template;
use credenza_app::PlaceLabel;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{self, Place, short};
use super::problem::{Problem, render};
use crate::access::Action;
use crate::basket::Pick;
use crate::command;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "about.html")]
struct Page {
    frame: Frame,
    name: String,
    id: String,
    facts: Vec<(&'static str, String)>,
    time: Time,
    /// Each as it is, and as it is shown.
    tags: Vec<(String, String)>,
    word: String,
    /// Why tags are not changed, or nothing removed, by whoever looks.
    tag_refusal: Option<String>,
    removal_refusal: Option<String>,
    says: String,
    ways: Vec<Way>,
}

/// A way to look into the snapshot with other programs.
struct Way {
    /// By what it is looked into.
    by: &'static str,
    /// For which programs that is.
    suits: &'static str,
    command: String,
}

/// The ways there are, each with the line to type on the machine where the programs are. Nothing is served from here.
fn ways(label: &PlaceLabel, id: &str) -> Vec<Way> {
    // It is mounted on a folder that is there.
    let mount = format!("mkdir -p ~/look && {}", command::at(label, &format!("mount ~/look {id}")));
    let serve = |front| command::at(label, &format!("serve {front} {id}"));
    vec![
        Way { by: "a mount", suits: "Any program of that machine, as in a folder. It needs FUSE.", command: mount },
        Way { by: "S3", suits: "The AWS CLI, rclone, s5cmd and whatever else speaks S3.", command: serve("s3") },
        Way { by: "WebDAV", suits: "File managers, rclone and davfs2, also over a network.", command: serve("webdav") },
        Way { by: "HTTP", suits: "A browser or curl; folders also as zip and tar.", command: serve("http") },
    ]
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    // Tags may have changed since it was looked at last.
    let look = places::open(site, name).await?.look().await.map_err(|error| Problem::of(&error, Some(&place.label)))?;
    let found = look.snapshots.whole.iter().find(|handle| handle.snapshot.id == place.snapshot.snapshot.id);
    let handle = found.unwrap_or(&place.snapshot);
    let snapshot = &handle.snapshot;
    let mut way = vec![Link::new("/", "Your backups")];
    way.extend(places::way(name, &place, b""));
    let frame = Frame::new(format!("About snapshot {}", short(&place.id)), asked.token())
        .way(way)
        .command(command::at(&place.label, &format!("info {}", place.id)))
        .command(command::at(&place.label, &format!("tag add TAG {}", place.id)))
        .command(command::at(&place.label, &format!("rm {}", place.id)));
    let statistics = &snapshot.statistics;
    let page = Page {
        tag_refusal: frame.refusal(Action::Run),
        removal_refusal: frame.refusal(Action::Remove),
        frame,
        name: name.to_owned(),
        facts: vec![
            ("Id", place.id.clone()),
            ("Source", shown::text(&snapshot.source.location)),
            ("Machine", shown::text(&snapshot.host)),
            ("User", shown::text(&snapshot.user)),
            ("Entries", statistics.entries.to_string()),
            ("Size", shown::size(statistics.bytes)),
            ("Could not be read", statistics.errors.to_string()),
        ],
        time: site.zone.time(handle.time().unwrap_or(snapshot.finished)),
        tags: snapshot.tags.iter().map(|tag| (tag.clone(), shown::text(tag))).collect(),
        word: Pick::folder(&place.id, b"").word(),
        says: format!("Remove snapshot {}, {}", short(&place.id), shown::size(statistics.bytes)),
        ways: ways(&place.label, &place.id),
        id: place.id.clone(),
    };
    render(StatusCode::OK, &page)
}
