//! How every page looks: to axe-core, in a narrow window, in forced colours, and in the pictures of the guide.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use credenza_e2e::browser::{Scheme, View};
use credenza_e2e::workspace;

use crate::pages::PAGES;
use crate::stand::Stand;

/// Controls that forced colours leave without a border.
const BARE: &str = "return [...document.querySelectorAll('button, input:not([type=hidden]), select, .button')].filter((e) => \
    getComputedStyle(e).borderStyle === 'none' && e.type !== 'checkbox').map((e) => e.outerHTML).join('\\n')";

/// Each page once, in all ways: to axe-core in both schemes, in forced colours, and as narrow as it may get.
pub(crate) fn every_page_is_accessible_in_all_schemes_and_narrow(stand: &mut Stand) -> Result<()> {
    stand.prepare()?;
    let browser = &stand.browser;
    let mut found = Vec::new();
    for page in PAGES {
        let looked = (|| {
            browser.set_scheme(Scheme::Light)?;
            page.show(stand)?;
            browser.expect_accessible().context("light")?;
            browser.set_scheme(Scheme::Dark)?;
            browser.expect_contrast().context("dark")?;
            browser.set_scheme(Scheme::Forced)?;
            let bare = browser.run(BARE)?;
            ensure!(bare == "", "controls without a border: {bare}");
            browser.set_view(View::NARROW)?;
            let narrow = browser.expect_no_sideways_scrolling();
            browser.set_view(View::DESKTOP)?;
            narrow
        })();
        found.extend(looked.err().map(|error| format!("{}: {error:#}", page.name)));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// Colours say nothing there, so that borders and words must.
pub(crate) fn forced_colours_leave_states_and_the_focus_to_be_seen(stand: &mut Stand) -> Result<()> {
    stand.browser.set_scheme(Scheme::Forced)?;
    stand.show("/")?;
    stand.browser.expect("Kept.")?;
    ensure!(stand.browser.find(".card")?.css("border-left-width")? == "4px");
    stand.browser.tab_to("credenza")
}

/// Makes the pictures of the guide, with few colours, so that they are small: `apt-get install pngquant`.
pub(crate) fn make_pictures(stand: &mut Stand) -> Result<()> {
    let folder = workspace().join("docs/guide/pictures");
    fs::create_dir_all(&folder)?;
    stand.prepare()?;
    for page in PAGES {
        page.show(stand)?;
        for view in [View::DESKTOP, View::PHONE] {
            stand.browser.set_view(view)?;
            for (scheme, word) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
                stand.browser.set_scheme(scheme)?;
                let file = folder.join(format!("{}-{}-{word}.png", page.name, view.name));
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
