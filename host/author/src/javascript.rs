//! A connector in JavaScript: the packages that its build needs, and the build itself, which is the folder's own (`npm run build`) and leaves a component
//! with its manifest.

use std::path::Path;
use std::process::Command;

use crate::packaged::{COMPONENT, Language, PackagedError};

pub(crate) const JAVASCRIPT: Language = Language {
    name: "JavaScript",
    interpreter: "node",
    oldest: (20, 0),
    needs: "Node.js 20 or later, with npm",
    how_to_get_it: "install Node.js 20 or later: https://nodejs.org",
    list: "package-lock.json",
    installed: "node_modules/.package-lock.credenza.json",
    installer: "npm",
    how_to_change_the_list: "see what npm says above; after a change of package.json: npm install, and keep package-lock.json",
    builder: "npm",
};

/// Builds the connector in a folder; answers the component with its manifest.
///
/// # Errors
/// [`PackagedError`] says what is missing.
pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, PackagedError> {
    let mut install = Command::new("npm");
    install.args(["ci", "--no-fund", "--no-audit", "--silent"]);
    let mut build = Command::new("npm");
    build.args(["run", "--silent", "build", "--", COMPONENT]);
    JAVASCRIPT.build(folder, &mut [install], &mut build)
}
