//! The connectors of this tree under the kit: at an honest stand-in for their service, and at one that takes every liberty of a bad server.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::PathBuf;

use credenza_e2e::{Outcome, Setup, workspace};

/// The component and the `kit.toml` of a connector.
struct Subject {
    component: PathBuf,
    kit: PathBuf,
}

impl Subject {
    fn of(component: &str, folder: &str) -> Self {
        let root = workspace();
        Self { component: root.join("target").join(component), kit: root.join("plugins").join(folder).join("kit.toml") }
    }

    fn test(&self, more: &[&str]) -> Outcome {
        let setup = Setup::new().unwrap();
        let [component, kit] = [&self.component, &self.kit].map(|path| path.to_string_lossy().into_owned());
        let words = ["--json", "connector", "test", &component, "--kit", &kit, "--seed", "7"];
        setup.credenza.run(words.iter().chain(more).copied()).unwrap()
    }

    /// Passes all that it must, at least so many checks, and answers what was left out.
    fn passes(&self, more: &[&str], at_least: usize) -> Vec<String> {
        let tested = self.test(more);
        let lines = tested.lines_of("connector_case").unwrap();
        let of = |outcome: &str| {
            let those = lines.iter().filter(|line| line["outcome"] == outcome);
            those.map(|line| format!("{} {}", line["id"].as_str().unwrap(), line["found"])).collect::<Vec<_>>()
        };
        assert_eq!(of("failed"), Vec::<String>::new(), "{}", tested.stderr);
        assert!(of("passed").len() >= at_least, "{}", tested.stdout);
        tested.expect_code(0).unwrap();
        of("skipped")
    }
}

#[test]
fn the_s3_connector_passes_at_its_stand_in() {
    let skipped = Subject::of("connectors/s3.wasm", "s3").passes(&[], 36);
    assert!(skipped.iter().all(|case| !case.starts_with("store.") || case.contains("it claims")), "{skipped:?}");
}

#[test]
fn the_javascript_template_passes_at_its_stand_in() {
    Subject::of("guests/template-javascript.wasm", "template-javascript").passes(&[], 10);
}

#[test]
fn the_s3_connector_gets_along_with_a_hostile_server() {
    Subject::of("connectors/s3.wasm", "s3").passes(&["--chaos"], 60);
}

#[test]
fn the_webdav_connector_gets_along_with_a_hostile_server() {
    Subject::of("connectors/webdav.wasm", "webdav").passes(&["--chaos"], 50);
}

#[test]
fn the_azure_connector_gets_along_with_a_hostile_server() {
    Subject::of("connectors/azure.wasm", "azure").passes(&["--chaos"], 50);
}

#[test]
fn the_gcs_connector_gets_along_with_a_hostile_server() {
    Subject::of("connectors/gcs.wasm", "gcs").passes(&["--chaos"], 50);
}

#[test]
fn the_template_gets_along_with_a_hostile_server() {
    Subject::of("guests/template.wasm", "template").passes(&["--chaos"], 50);
}

#[test]
fn the_javascript_template_gets_along_with_a_hostile_server() {
    Subject::of("guests/template-javascript.wasm", "template-javascript").passes(&["--chaos"], 15);
}

#[test]
fn one_check_alone_does_what_it_does_among_all() {
    let webdav = Subject::of("connectors/webdav.wasm", "webdav");
    let tested = webdav.test(&["--chaos", "--only", "chaos.reset-after.store"]).expect_code(0).unwrap();
    assert_eq!(tested.lines_of("connector_case").unwrap().len(), 1);
    webdav.test(&["--chaos", "--only", "chaos.none"]).expect_code(2).unwrap();
}
