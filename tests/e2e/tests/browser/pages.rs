//! Every page, and how a person comes to it: what is looked at in all ways (`looks`).
//!
//! The table is held against the addresses that the page answers to, so that none is added and not looked at.

use anyhow::{Context, Result, ensure};
use credenza_e2e::workspace;

use crate::stand::{OTHER_PASSPHRASE, SLOW, STORE, Stand, VAULT};

/// A page.
pub(crate) struct Page {
    /// The name of its picture.
    pub(crate) name: &'static str,
    /// The address as the table of the page's addresses has it.
    route: &'static str,
    way: Way,
}

/// How a person comes to it.
enum Way {
    /// By its address behind that of the server: the stand's own, [`EMPTY`], [`FRESH`] or [`OTHERS`].
    To(&'static str),
    /// By what is done.
    By(fn(&Stand) -> Result<()>),
}

/// Before the address of a server with an empty configuration, of one whose repository is to be made, and of one where users log in.
const EMPTY: &str = "EMPTY";
const FRESH: &str = "FRESH";
const OTHERS: &str = "OTHERS";

const fn to(name: &'static str, route: &'static str, address: &'static str) -> Page {
    Page { name, route, way: Way::To(address) }
}

const fn by(name: &'static str, route: &'static str, way: fn(&Stand) -> Result<()>) -> Page {
    Page { name, route, way: Way::By(way) }
}

/// All of them. STORE, VAULT, NEWEST, OLDEST, RUN and JOBRUN stand for what the stand has.
pub(crate) const PAGES: &[Page] = &[
    to("overview", "", "/"),
    to("repository", "r/*", "/r/STORE"),
    to("unlock", "r/*", "/r/VAULT"),
    by("unlock-refused", "r/*/unlock", |stand| {
        stand.show(&format!("/r/{VAULT}"))?;
        stand.browser.find("#passphrase")?.fill("a guess")?;
        stand.browser.click("Open the repository")?;
        stand.browser.expect("This passphrase does not open it.")
    }),
    to("folder", "r/*/s/*", "/r/STORE/s/NEWEST?key=work/drafts/"),
    to("file", "r/*/s/*/file", "/r/STORE/s/NEWEST/file?key=letters/to-anna.txt"),
    to("picture", "r/*/s/*/file", "/r/STORE/s/NEWEST/file?key=pictures/2026/snow.png"),
    to("find", "r/*/find", "/r/STORE/find?name=.txt"),
    to("find-bounds", "r/*/find", "/r/STORE/find?name=&larger=100KiB"),
    to("history", "r/*/history", "/r/STORE/history?key=letters/to-anna.txt"),
    to("compare", "r/*/diff", "/r/STORE/diff?before=OLDEST&after=NEWEST"),
    to("space", "r/*/s/*/space", "/r/STORE/s/NEWEST/space?key="),
    to("growth", "r/*/growth", "/r/STORE/growth"),
    to("about", "r/*/s/*/about", "/r/STORE/s/NEWEST/about"),
    to("restore", "r/*/restore", "/r/STORE/restore"),
    by("restore-empty", "r/*/restore/preview", |stand| {
        stand.show(&format!("/r/{STORE}/restore"))?;
        stand.browser.click("Preview")?;
        stand.browser.expect("Nothing says where to")
    }),
    to("care", "r/*/care", "/r/STORE/care"),
    to("jobs", "jobs", "/jobs"),
    to("job", "jobs/*", "/jobs/nightly"),
    to("job-snapshots", "jobs/*", "/jobs/nightly?from=repository"),
    to("job-run", "jobs/*/run/*", "/jobs/slow/run/JOBRUN"),
    by("job-past", "jobs/*/past/*", |stand| {
        stand.show(&format!("/jobs/{SLOW}"))?;
        stand.browser.find("section[aria-labelledby=history] tbody th a")?.click()?;
        stand.browser.expect("What it did")
    }),
    to("promises", "promises", "/promises"),
    to("calendar", "calendar", "/calendar"),
    to("guard", "guard", "/guard"),
    to("replication", "replication", "/replication"),
    to("first-job", "jobs", "EMPTY/jobs"),
    to("activity", "activity", "/activity"),
    to("sources", "sources", "/sources"),
    to("source", "sources/*", "/sources/home"),
    to("source-gone", "sources/*", "/sources/nowhere"),
    to("run", "r/*/run/*", "/r/STORE/run/RUN"),
    by("plan", "r/*/run", |stand| {
        stand.show(&format!("/r/{STORE}/care"))?;
        stand.browser.find("input[name=keep_last]")?.fill("1")?;
        stand.browser.find("section[aria-labelledby=prune] button")?.click()?;
        stand.browser.find(".offer").map(drop)
    }),
    by("confirm", "r/*/run", |stand| {
        stand.show(&stand.in_snapshot("/about"))?;
        stand.browser.find("button.danger")?.click()?;
        stand.browser.find("#confirm").map(drop)
    }),
    by("confirm-refused", "r/*/run", |stand| {
        stand.show(&stand.in_snapshot("/about"))?;
        stand.browser.find("button.danger")?.click()?;
        stand.browser.find("#confirm")?.fill("a guess")?;
        stand.browser.find("form.stack button.main")?.click()?;
        stand.browser.expect("Nothing was done.")
    }),
    to("connectors", "connectors", "/connectors"),
    to("new", "new/*", "/new/repository"),
    to("new-form", "new/*/*", "/new/repository/s3"),
    by("new-refused", "new/*/*", |stand| {
        stand.show("/new/source/file")?;
        stand.browser.find("#name")?.fill("home")?;
        stand.browser.find("[id='setting.location']")?.fill("/home")?;
        stand.browser.click("Add the source")?;
        stand.browser.expect("Nothing was kept")
    }),
    to("create-provided", "place/repository/*/create", "/place/repository/VAULT/create"),
    to("create", "place/repository/*/create", "FRESH/place/repository/mine/create"),
    by("create-refused", "place/repository/*/create", |stand| {
        stand.show_of(FRESH, "/place/repository/mine/create")?;
        stand.browser.find("#passphrase")?.fill(OTHER_PASSPHRASE)?;
        stand.browser.find("#again")?.fill("another")?;
        stand.browser.click("Make the repository")?;
        stand.browser.expect("the two passphrases differ")
    }),
    to("place", "place/*/*", "/place/source/home"),
    by("place-checked", "place/*/*/check", |stand| {
        stand.show(&format!("/place/repository/{STORE}"))?;
        stand.browser.click("Check it step by step")?;
        stand.browser.expect("What the check has found")
    }),
    by("place-broken", "place/*/*/check", |stand| {
        stand.show("/place/source/nowhere")?;
        stand.browser.click("Check it step by step")?;
        stand.browser.expect("failed")
    }),
    to("place-settings", "place/*/*/settings", "/place/repository/STORE/settings"),
    to("problem", "r/*/s/*", "/r/STORE/s/0000"),
    to("unreachable", "r/*", "/r/gone"),
    to("enter", "enter", "/enter?key=0123456789abcdef"),
    by("enter-refused", "enter", |stand| {
        stand.show("/enter?key=0123456789abcdef")?;
        stand.browser.click("Enter")?;
        stand.browser.expect("This link lets nobody in")
    }),
    to("first-repository", "", "EMPTY/"),
    to("first-source", "sources", "EMPTY/sources"),
    to("first-activity", "activity", "EMPTY/activity"),
    to("login", "login", "OTHERS/login"),
    by("oidc", "login/oidc", |stand| {
        stand.show_of(OTHERS, "/login")?;
        stand.browser.find("form[action='/login/oidc'] button")?.click()?;
        stand.browser.expect("Go on")
    }),
    to("oidc-back", "login/oidc/callback", "OTHERS/login/oidc/callback?code=1&state=2"),
    by("oidc-refused", "login/oidc/finish", |stand| {
        stand.show_of(OTHERS, "/login/oidc/callback?code=1&state=2")?;
        stand.browser.find("form[action='/login/oidc/finish'] button")?.click()?;
        stand.browser.expect("Nobody was logged in")
    }),
];

/// What answers with no page: bytes, a stream, or another address. Of forms, those whose answers are pages that stand above under another address too.
const NO_PAGES: &[&str] = &[
    "assets/**",
    "jobs/*/run/*/events",
    "r/*/run/*/events",
    "r/*/s/*/raster",
    "r/*/s/*/download",
    "r/*/s/*/archive",
    "r/*/restore/archive",
];

impl Page {
    /// Shows it.
    pub(crate) fn show(&self, stand: &Stand) -> Result<()> {
        match self.way {
            Way::To(address) => {
                let (server, path) = match address.split_once('/') {
                    Some((server, _)) => (server, address.get(server.len()..).unwrap_or_default()),
                    None => ("", address),
                };
                let [oldest, newest] = [stand.snapshots.first(), stand.snapshots.last()];
                let path = path
                    .replace("STORE", STORE)
                    .replace("VAULT", VAULT)
                    .replace("OLDEST", oldest.map_or("", String::as_str))
                    .replace("NEWEST", newest.map_or("", String::as_str))
                    .replace("JOBRUN", &stand.job_run_number()?)
                    .replace("RUN", &stand.run_number()?);
                stand.show_of(server, &path)
            }
            Way::By(way) => way(stand),
        }
        .with_context(|| format!("the page {} is not reached", self.name))
    }
}

impl Stand {
    /// Shows a page of a server by its word in the table.
    fn show_of(&self, server: &str, path: &str) -> Result<()> {
        let ui = match server {
            EMPTY => &self.empty,
            FRESH => &self.fresh,
            OTHERS => &self.others,
            _ => &self.ui,
        };
        self.browser.open(&ui.at(path))
    }
}

#[test]
fn every_page_is_in_the_table_that_is_looked_at_in_all_ways() -> Result<()> {
    let table = std::fs::read_to_string(workspace().join("host/web/src/access.rs"))?;
    let lines = table.lines().map(str::trim).filter_map(|line| {
        let is_page = line.starts_with("page(\"") || line.starts_with("open(false, \"");
        line.split('"').nth(1).filter(|_| is_page)
    });
    let routes: Vec<&str> = lines.collect();
    ensure!(routes.len() > 30, "the table of addresses is read: {routes:?}");
    let is_looked_at = |route: &&&str| PAGES.iter().any(|page| page.route == **route);
    let forgotten: Vec<&&str> =
        routes.iter().filter(|route| !is_looked_at(route) && !NO_PAGES.contains(route)).collect();
    ensure!(forgotten.is_empty(), "these are in no line of PAGES: {forgotten:?}");
    let gone: Vec<&str> = NO_PAGES.iter().copied().filter(|route| !routes.contains(route)).collect();
    ensure!(gone.is_empty(), "these are no addresses any more: {gone:?}");
    for page in PAGES {
        let is_known = table.contains(&format!("\"{}\"", page.route));
        ensure!(is_known, "{} is of no address: {}", page.name, page.route);
        let same = PAGES.iter().filter(|other| other.name == page.name).count();
        ensure!(same == 1, "{} is twice in the table", page.name);
    }
    Ok(())
}
