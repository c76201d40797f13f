//! The configuration commands, run as a user runs them.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;

/// `credenza` with a configuration folder of its own and nothing of ours in the environment.
fn credenza(folder: &Path, line: &str) -> Command {
    let mut command = Command::cargo_bin("credenza").unwrap();
    command.env_clear().env("HOME", folder).env("CREDENZA_CONFIG", folder.join("config")).current_dir(folder);
    command.args(line.split_whitespace());
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn stderr(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

#[test]
fn a_repository_is_configured_word_for_word_and_its_secrets_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "config repository create s3",
        "config repository set s3 location s3://s3.eu-west-1.amazonaws.com/bucket",
        "config repository set s3 passphrase hunter2hunter2",
        "config repository set s3 access_key AKIAHUNTER2",
        "config repository set s3 secret_access_key hunter2secret",
    ] {
        credenza(folder.path(), line).assert().success().stdout("");
    }
    let file = folder.path().join("config/config.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("hunter2hunter2") && text.contains("hunter2secret"), "{text}");
    for line in ["config repository show s3", "--json repository show @s3", "repository list", "--json repository list"]
    {
        let shown = stdout(&mut credenza(folder.path(), line));
        assert!(shown.contains("s3://s3.eu-west-1.amazonaws.com/bucket"), "{line}: {shown}");
        assert!(!shown.to_lowercase().contains("hunter2"), "{line}: {shown}");
    }
    let shown = stdout(&mut credenza(folder.path(), "--json repository show s3"));
    assert!(shown.starts_with(r#"{"type":"repository","name":"s3","settings":{"#), "{shown}");
    assert!(shown.contains(r#""passphrase":"***""#), "{shown}");
}

#[test]
fn a_proxy_is_a_setting_of_every_location_and_its_password_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "source add far s3://far.example.com/b proxy=http://me:hunter2@proxy:3128")
        .assert()
        .success();
    credenza(folder.path(), "repository add far s3://far.example.com/b").assert().success();
    credenza(folder.path(), "repository set far proxy http://me:hunter2@proxy:3128").assert().success();
    for line in ["source show far", "--json source show far", "repository show far"] {
        let shown = stdout(&mut credenza(folder.path(), line));
        assert!(shown.contains("proxy") && !shown.contains("hunter2"), "{line}: {shown}");
    }
}

#[test]
fn the_short_form_adds_a_place_with_its_settings_at_once_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "source add docs ./docs").assert().success();
    let shown = stdout(&mut credenza(folder.path(), "source show docs"));
    assert!(shown.contains(&folder.path().canonicalize().unwrap().join("docs").display().to_string()), "{shown}");
    let refused = stderr(&mut credenza(folder.path(), "source add other /x no_such_setting=1"), 2);
    assert!(refused.contains("no_such_setting"), "{refused}");
    stderr(&mut credenza(folder.path(), "source show other"), 2);
    credenza(folder.path(), "destination add out /out").assert().success();
    credenza(folder.path(), "destination remove out").assert().success();
    assert_eq!(stdout(&mut credenza(folder.path(), "destination list")), "");
}

#[test]
fn misspelt_names_get_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "repository add backups /b").assert().success();
    let cases =
        [("repository set backups passfrase_file /x", "passphrase_file"), ("repository show bakups", "backups")];
    for (line, meant) in cases {
        let refused = stderr(&mut credenza(folder.path(), line), 2);
        assert!(refused.contains(&format!("did you mean `{meant}`?")), "{refused}");
    }
}

#[test]
fn a_source_has_no_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "source add docs /docs").assert().success();
    stderr(&mut credenza(folder.path(), "source set docs passphrase x"), 2);
}

#[test]
fn a_secret_can_be_set_without_standing_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "repository create r").assert().success();
    credenza(folder.path(), "repository set r passphrase").write_stdin("correct horse\n").assert().success();
    let text = std::fs::read_to_string(folder.path().join("config/config.toml")).unwrap();
    assert!(text.contains("passphrase = \"correct horse\""), "{text}");
    credenza(folder.path(), "repository unset r passphrase").assert().success();
    stderr(&mut credenza(folder.path(), "repository unset r passphrase"), 1);
}

#[test]
fn comments_order_and_mode_of_the_file_survive_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    credenza(folder.path(), "source add docs /docs").assert().success();
    let file = folder.path().join("config/config.toml");
    let before =
        "# Ours.\n[source.docs]\n# On the big disk.\nlocation = '/docs' # for now\n# Slow.\nregion = 'x'\n\n# Next.\n";
    std::fs::write(&file, before).unwrap();
    credenza(folder.path(), "source set docs location /new").assert().success();
    credenza(folder.path(), "source unset docs region").assert().success();
    let after = before.replace("'/docs'", "\"/new\"").replace("region = 'x'\n", "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_default_repository_is_the_one_that_commands_use() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = stderr(&mut credenza(folder.path(), "ls"), 2);
    assert!(nothing.contains("no repository is named"), "{nothing}");
    credenza(folder.path(), "repository add r ./nowhere").assert().success();
    credenza(folder.path(), "repository default r").assert().success();
    let listed = stdout(&mut credenza(folder.path(), "--json repository list"));
    assert!(listed.contains(r#""default":true"#), "{listed}");
    let missing = stderr(&mut credenza(folder.path(), "ls"), 10);
    assert!(missing.contains("nowhere"), "{missing}");
}

#[test]
fn a_broken_configuration_is_named_with_its_line_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config/config.toml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[repository.a]\nlocation = \n").unwrap();
    let refused = stderr(&mut credenza(folder.path(), "repository create b"), 1);
    assert!(refused.contains("line 2"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[repository.a]\nlocation = \n");
}

#[test]
fn a_scheme_without_a_connector_says_how_to_add_one() {
    let folder = tempfile::tempdir().unwrap();
    let refused = stderr(&mut credenza(folder.path(), "at gopher://host/x ls"), 1);
    assert!(refused.contains("credenza connector install FILE") && refused.contains("--connector FILE"), "{refused}");
}

#[test]
fn a_connector_is_described_by_its_name_and_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/connectors/s3.wasm");
    for word in ["s3".to_owned(), component.display().to_string()] {
        let text = stdout(&mut credenza(folder.path(), &format!("connector inspect {word}")));
        assert!(text.starts_with("s3 ") && text.contains("will run here") && text.contains("\nreaches\n"), "{text}");
        let line = stdout(&mut credenza(folder.path(), &format!("--json connector inspect {word}")));
        assert!(line.starts_with(r#"{"type":"connector","name":"s3","#), "{line}");
    }
    let missing = stderr(&mut credenza(folder.path(), "connector inspect gopher"), 1);
    assert!(missing.contains("there is no connector `gopher`"), "{missing}");
}

#[test]
fn a_failure_is_an_object_with_json() {
    let folder = tempfile::tempdir().unwrap();
    let refused = stderr(&mut credenza(folder.path(), "--json repository show x"), 2);
    assert!(refused.starts_with(r#"{"type":"error","exit":2,"message":"#), "{refused}");
}

#[test]
fn wrong_words_exit_with_2_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["", "nonsense", "at", "at x", "ls --nonsense"] {
        stderr(&mut credenza(folder.path(), line), 2);
    }
    assert!(stdout(&mut credenza(folder.path(), "--help")).contains("at REPOSITORY"));
}

#[test]
fn completions_know_at_and_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&mut credenza(folder.path(), &format!("completions {shell}")));
        assert!(script.contains("restore") && script.contains("at"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    stdout(&mut credenza(folder.path(), &format!("man {}", pages.display())));
    for (page, word) in
        [("credenza.1", "credenza"), ("credenza-restore.1", "restore"), ("credenza-key-add.1", "key add")]
    {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.starts_with(".ie") && text.contains(word), "{page}: {text}");
    }
}
