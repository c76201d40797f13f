//! How pages look: sizes of the window, schemes of colour, scripts on and off, and what axe-core has to say.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Browser;
use crate::workspace;

/// Which colours a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
    /// Those of the system alone.
    Forced,
}

/// A size of the window, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its name in the names of pictures.
    pub name: &'static str,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl View {
    /// A desk.
    pub const DESKTOP: Self = Self { name: "desktop", width: 1200, height: 800 };
    /// A hand.
    pub const PHONE: Self = Self { name: "phone", width: 390, height: 760 };
    /// The narrowest that pages must do with: 1280 pixels at 400 %.
    pub const NARROW: Self = Self { name: "narrow", width: 320, height: 640 };
}

impl Browser {
    /// Makes the window so large.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn set_view(&self, view: View) -> Result<()> {
        let size = json!({"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// Wants these colours.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn set_scheme(&self, scheme: Scheme) -> Result<()> {
        let feature = |name: &str, value: &str| json!({"name": name, "value": value});
        let features = match scheme {
            Scheme::Light => [feature("prefers-color-scheme", "light"), feature("forced-colors", "none")],
            Scheme::Dark => [feature("prefers-color-scheme", "dark"), feature("forced-colors", "none")],
            Scheme::Forced => [feature("prefers-color-scheme", "dark"), feature("forced-colors", "active")],
        };
        self.command("Emulation.setEmulatedMedia", &json!({"media": "screen", "features": features})).map(drop)
    }

    /// Whether pages may run scripts, from the next one on.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn set_scripts(&self, are_run: bool) -> Result<()> {
        self.command("Emulation.setScriptExecutionDisabled", &json!({"value": !are_run})).map(drop)
    }

    /// Demands that nothing on the page is wider than the window, but in regions that scroll by themselves.
    ///
    /// # Errors
    /// With what is.
    pub fn expect_no_sideways_scrolling(&self) -> Result<()> {
        let script = "const wide = document.documentElement.scrollWidth - innerWidth; return wide <= 0 ? '' : wide + ' px: ' + \
            [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest('.wide, pre')).map((e) => \
            e.outerHTML.slice(0, 120)).slice(0, 5).join('\\n')";
        let wide = self.run(script)?;
        ensure!(wide == "", "{} scrolls sideways by {wide}", self.address()?);
        Ok(())
    }

    /// Demands that axe-core finds nothing against any rule on the page that is shown.
    ///
    /// # Errors
    /// With each violation, and when axe-core is not installed.
    pub fn expect_accessible(&self) -> Result<()> {
        let path = axe();
        let axe = std::fs::read_to_string(&path)
            .with_context(|| format!("{} is missing: tests/browser/install.sh installs it", path.display()))?;
        self.expect_by_axe(&format!("{axe};\n"), "resultTypes: ['violations']")
    }

    /// Demands the same of its rules for colours, which are all that another scheme changes, on a page that was [looked at](Self::expect_accessible).
    ///
    /// # Errors
    /// With each violation.
    pub fn expect_contrast(&self) -> Result<()> {
        self.expect_by_axe("", "resultTypes: ['violations'], runOnly: ['cat.color']")
    }

    fn expect_by_axe(&self, before: &str, options: &str) -> Result<()> {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
            axe.run(document, {{{options}}}).then((found) => done(found.violations.map((v) => v.id + ': ' + v.help + '\\n' + \
            v.nodes.slice(0, 4).map((n) => '  ' + n.html.slice(0, 200) + '\\n  ' + n.failureSummary).join('\\n'))), (error) => done(['axe failed: ' + error]));"
        );
        let found = self.run_until(&format!("{before}{script}"))?;
        let found: Vec<&str> = found.as_array().context("axe answers")?.iter().filter_map(Value::as_str).collect();
        ensure!(found.is_empty(), "{} has violations:\n{}", self.address()?, found.join("\n"));
        Ok(())
    }
}

/// Where `tests/browser/install.sh` puts it.
fn axe() -> PathBuf {
    workspace().join("target/tools/axe/node_modules/axe-core/axe.min.js")
}
