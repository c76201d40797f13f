//! How every page looks: to axe-core, in a narrow window, in forced colours, and in the pictures of the guide.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::browser::{Scheme, View};
use credenza_e2e::workspace;

use crate::stand::{STORE, Stand, VAULT};

/// Every page, with the name of its picture. One that is added is looked at in all ways.
fn pages(stand: &Stand) -> Result<Vec<(&'static str, String)>> {
    // A basket and a run, to be looked at.
    stand.show(&stand.in_snapshot("?key=letters/"))?;
    stand.browser.click("Add all of it to restore")?;
    stand.browser.find("#to")?.fill(&stand.setup.path("a preview").to_string_lossy())?;
    stand.browser.click("Preview")?;
    stand.browser.find(".offer")?;
    let run = stand.browser.address()?.replace(&stand.ui.address, "");
    stand.show("/new/repository")?;
    let form = stand.browser.find(".cards a")?.attribute("href")?.context("an offer leads to its form")?;
    Ok(vec![
        ("overview", "/".to_owned()),
        ("repository", format!("/r/{STORE}")),
        ("unlock", format!("/r/{VAULT}")),
        ("folder", stand.in_snapshot("?key=work/drafts/")),
        ("file", stand.in_snapshot("/file?key=letters/to-anna.txt")),
        ("find", format!("/r/{STORE}/find?name=.txt")),
        ("picture", stand.in_snapshot("/file?key=pictures/2026/snow.png")),
        ("find-bounds", format!("/r/{STORE}/find?name=&larger=100KiB")),
        ("history", format!("/r/{STORE}/history?key=letters/to-anna.txt")),
        ("compare", stand.compared()),
        ("space", stand.in_snapshot("/space?key=")),
        ("growth", format!("/r/{STORE}/growth")),
        ("about", stand.in_snapshot("/about")),
        ("restore", format!("/r/{STORE}/restore")),
        ("care", format!("/r/{STORE}/care")),
        ("activity", "/activity".to_owned()),
        ("sources", "/sources".to_owned()),
        ("source", "/sources/home".to_owned()),
        ("source-gone", "/sources/nowhere".to_owned()),
        ("run", run),
        ("connectors", "/connectors".to_owned()),
        ("new", "/new/repository".to_owned()),
        ("new-form", form),
        ("create", format!("/place/repository/{VAULT}/create")),
        ("place", "/place/source/home".to_owned()),
        ("problem", format!("/r/{STORE}/s/0000")),
    ])
}

pub(crate) fn every_page_is_accessible(stand: &mut Stand) -> Result<()> {
    for (_, path) in pages(stand)? {
        stand.show(&path)?;
        for scheme in [Scheme::Light, Scheme::Dark] {
            stand.browser.set_scheme(scheme)?;
            stand.browser.expect_accessible().with_context(|| format!("{scheme:?}"))?;
        }
    }
    Ok(())
}

pub(crate) fn every_page_reflows(stand: &mut Stand) -> Result<()> {
    let pages = pages(stand)?;
    stand.browser.set_view(View::NARROW)?;
    let went = pages.iter().try_for_each(|(_, path)| {
        stand.show(path)?;
        stand.browser.expect_no_sideways_scrolling()
    });
    stand.browser.set_view(View::DESKTOP)?;
    went
}

/// Colours say nothing there, so that borders and words must.
pub(crate) fn forced_colours_leave_all_to_be_seen(stand: &mut Stand) -> Result<()> {
    stand.browser.set_scheme(Scheme::Forced)?;
    stand.show("/")?;
    stand.browser.expect("Kept.")?;
    ensure!(stand.browser.find(".card")?.css("border-left-width")? == "4px");
    for (_, path) in pages(stand)? {
        stand.show(&path)?;
        let script = "return [...document.querySelectorAll('button, input:not([type=hidden]), select, .button')].filter((e) => \
            getComputedStyle(e).borderStyle === 'none' && e.type !== 'checkbox').map((e) => e.outerHTML).join('\\n')";
        let bare = stand.browser.run(script)?;
        ensure!(bare == "", "{path} has controls without a border: {bare}");
    }
    stand.browser.tab_to("credenza")
}

/// Makes the pictures of the guide, with few colours, so that they are small: `apt-get install pngquant`.
pub(crate) fn make_pictures(stand: &Stand) -> Result<()> {
    let folder = workspace().join("docs/guide/pictures");
    fs::create_dir_all(&folder)?;
    let pages = pages(stand)?;
    for view in [View::DESKTOP, View::PHONE] {
        stand.browser.set_view(view)?;
        for (name, path) in &pages {
            stand.show(path)?;
            for (scheme, word) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
                stand.browser.set_scheme(scheme)?;
                let file = folder.join(format!("{name}-{}-{word}.png", view.name));
                fs::write(&file, stand.browser.picture()?)?;
                let mut quantize = Command::new("pngquant");
                quantize.args(["--force", "--ext", ".png", "--strip", "64"]).arg(&file);
                let status =
                    quantize.status().context("cannot run pngquant: `apt-get install pngquant` installs it")?;
                ensure!(status.success(), "pngquant: {status}");
            }
        }
    }
    Ok(())
}
