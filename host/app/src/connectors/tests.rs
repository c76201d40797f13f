use std::fs;

use credenza_format::{SigningKey, sign_component};
use credenza_sandbox::SecretText;

use super::*;

/// A component of nothing but a manifest and the export that it claims: it is never run here.
fn component(name: &str, scheme: &str, verbs: &str) -> Vec<u8> {
    let manifest = format!(
        "name = \"{name}\"\nversion = \"1\"\napi = \"0.1\"\nroles = [\"source\"]\nschemes = [\"{scheme}\"]\n[endpoints.api]\nurl = \"https://example.com\"\n[endpoints.api.allow]\nsource = [{verbs}]\n"
    );
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // An empty instance, exported as the role.
    section(&mut bytes, 5, &[1, 1, 0]);
    let role = b"credenza:connector/source@0.1.0";
    section(&mut bytes, 11, &[&[1, 0, role.len() as u8], role.as_slice(), &[5, 0, 0]].concat());
    let custom = b"credenza:manifest";
    section(&mut bytes, 0, &[&[custom.len() as u8], custom.as_slice(), manifest.as_bytes()].concat());
    bytes
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
}

struct Room {
    folder: tempfile::TempDir,
    connectors: Connectors,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connectors = Connectors::new(None, Some(&folder.path().join("config")));
        Self { folder, connectors }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn examined(&self, bytes: &[u8]) -> Result<Installation, ConnectorsError> {
        let path = self.file("x.wasm", bytes);
        self.connectors.examine(self.connectors.candidate(&path)?, path.display().to_string(), false)
    }

    fn installed(&self, bytes: &[u8]) -> Pin {
        self.connectors.install(&self.examined(bytes).unwrap()).unwrap()
    }

    fn pinned_file(&self, pin: &Pin) -> PathBuf {
        self.folder.path().join("config/connectors").join(pin.file_name())
    }
}

#[test]
fn a_scheme_that_nothing_serves_is_refused() {
    let refused = Room::new().connectors.serving("gopher", &Settings::default()).unwrap_err();
    assert!(matches!(refused, ConnectorsError::NothingServes { .. }));
}

#[test]
fn what_was_agreed_to_is_vouched_for_wherever_its_file_is_and_nothing_else() {
    let room = Room::new();
    let bytes = component("shop", "shop", "\"GET /*\"");
    let path = room.file("mine.wasm", &bytes);
    let choice = path.display().to_string();
    let unpinned = room.connectors.named(&choice).unwrap().require_trust().unwrap_err();
    assert!(matches!(unpinned, ConnectorsError::Unpinned { path: named, .. } if named == path));
    room.installed(&bytes);
    assert_eq!(room.connectors.named(&choice).unwrap().trust, Trust::Pinned);
    assert_eq!(room.connectors.named("shop").unwrap().trust, Trust::Pinned);
    assert_eq!(room.connectors.serving("shop", &Settings::default()).unwrap().trust, Trust::Pinned);
    room.connectors.remove("shop").unwrap();
    assert!(room.connectors.named(&choice).unwrap().require_trust().is_err());
    assert!(matches!(room.connectors.named("shop"), Err(ConnectorsError::Unknown { .. })));
}

#[test]
fn a_component_that_is_given_runs_unpinned_only_with_leave() {
    let room = Room::new();
    let path = room.file("x.wasm", &component("shop", "shop", ""));
    for (allow_unpinned, trust) in [(false, Trust::None), (true, Trust::ThisRun)] {
        let connectors = Connectors::new(Some(Given { path: path.clone(), allow_unpinned }), None);
        let component = connectors.serving("shop", &Settings::default()).unwrap();
        assert_eq!((component.trust, component.notice().is_some()), (trust, trust == Trust::ThisRun));
    }
}

#[test]
fn a_file_that_was_put_into_the_folder_serves_nobody_until_it_is_installed() {
    let room = Room::new();
    let path = room.file("config/connectors/shop.wasm", &component("shop", "shop", ""));
    for found in [room.connectors.serving("shop", &Settings::default()), room.connectors.named("shop")] {
        let refused = found.unwrap().require_trust().unwrap_err();
        assert!(matches!(refused, ConnectorsError::Unpinned { path: named, .. } if named == path));
    }
    assert_eq!(room.connectors.strays().unwrap(), [path]);
    assert!(room.connectors.all().unwrap().into_iter().flatten().all(|component| component.trust == Trust::Embedded));
}

#[test]
fn a_file_that_was_changed_after_it_was_agreed_to_is_named() {
    let room = Room::new();
    let pin = room.installed(&component("shop", "shop", "\"GET /*\""));
    let path = room.pinned_file(&pin);
    fs::write(&path, component("shop", "shop", "\"DELETE /*\"")).unwrap();
    for found in [
        room.connectors.serving("shop", &Settings::default()),
        room.connectors.named("shop"),
        room.connectors.verify(&pin),
    ] {
        assert!(matches!(found, Err(ConnectorsError::Changed { path: named, .. }) if named == path));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(room.connectors.named("shop"), Err(ConnectorsError::File { .. })));
}

#[test]
fn a_wider_grant_needs_consent_and_shows_only_what_is_wider() {
    let room = Room::new();
    let first = room.examined(&component("shop", "shop", "\"GET /*\"")).unwrap();
    assert!(first.needs_consent() && first.wider().len() == first.grant.lines().count());
    room.connectors.install(&first).unwrap();
    let narrower = room.examined(&component("shop", "shop", "")).unwrap();
    assert!(narrower.wider().is_empty());
    let wider = room.examined(&component("shop", "shop", "\"GET /*\", \"DELETE /*\"")).unwrap();
    let lines: Vec<&str> = wider.wider().iter().map(|line| line.words.as_str()).collect();
    assert_eq!((wider.needs_consent(), lines.as_slice()), (true, ["`api` as source: DELETE /*"].as_slice()));
    // To agree to less and then to more again is to be asked again.
    room.connectors.install(&narrower).unwrap();
    assert!(room.examined(&component("shop", "shop", "\"GET /*\"")).unwrap().needs_consent());
}

#[test]
fn other_bytes_need_consent_unless_the_pinned_publisher_signed_them() {
    let room = Room::new();
    let (old, new) = (component("shop", "shop", "\"GET /*\""), component("shop", "shop", ""));
    let pin = room.installed(&old);
    assert!(!room.examined(&old).unwrap().needs_consent());
    let key = SigningKey::from_seed(&[1; 32]);
    for bytes in [new.clone(), sign_component(&new, &key)] {
        let other = room.examined(&bytes).unwrap();
        assert!(other.needs_consent() && other.unvouched() == Some(&pin));
    }
    room.installed(&sign_component(&old, &key));
    let signed = room.examined(&sign_component(&new, &key)).unwrap();
    assert!(!signed.needs_consent() && signed.unvouched().is_none());
}

#[test]
fn a_publisher_is_pinned_at_first_use() {
    let room = Room::new();
    let (mine, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let bytes = component("shop", "shop", "");
    assert_eq!(room.installed(&sign_component(&bytes, &mine)).publisher, Some(mine.public()));
    for changed in [bytes.clone(), sign_component(&bytes, &other)] {
        assert!(matches!(room.examined(&changed), Err(ConnectorsError::Publisher { .. })));
    }
    let newer = component("shop", "shop", "\"GET /*\"");
    assert_eq!(room.installed(&sign_component(&newer, &mine)).publisher, Some(mine.public()));
    let mut broken = sign_component(&newer, &mine);
    *broken.last_mut().unwrap() ^= 1;
    let refused = room.examined(&broken).unwrap_err();
    assert!(matches!(refused, ConnectorsError::File { source: ComponentFault::Signature, .. }));
}

#[test]
fn what_another_process_has_installed_meanwhile_is_not_replaced() {
    let room = Room::new();
    let examined = room.examined(&component("shop", "shop", "")).unwrap();
    room.installed(&component("shop", "shop", "\"GET /*\""));
    assert!(matches!(room.connectors.install(&examined), Err(ConnectorsError::Meanwhile { .. })));
}

#[test]
fn two_that_serve_one_scheme_are_named_until_a_setting_chooses() {
    let room = Room::new();
    room.installed(&component("a", "shop", ""));
    room.installed(&component("b", "shop", ""));
    let refused = room.connectors.serving("shop", &Settings::default()).unwrap_err();
    assert!(matches!(refused, ConnectorsError::Ambiguous { names, .. } if names == ["a", "b"]));
    let chosen = Settings::from([("connector".to_owned(), SecretText::new("b"))]);
    assert_eq!(room.connectors.serving("shop", &chosen).unwrap().manifest.name, "b");
}

#[test]
fn nothing_takes_the_place_of_an_embedded_connector_unless_that_was_agreed_to() {
    let Some((name, _)) = EMBEDDED.first() else { return };
    let room = Room::new();
    let forged = component(name, name, "");
    assert!(matches!(room.examined(&forged), Err(ConnectorsError::EmbeddedName { .. })));
    room.installed(&component("other", name, ""));
    room.file("config/connectors/00.wasm", &forged);
    assert_eq!(room.connectors.serving(name, &Settings::default()).unwrap().trust, Trust::Embedded);
    assert_eq!(room.connectors.named(name).unwrap().trust, Trust::Embedded);
    let path = room.file("x.wasm", &forged);
    let installation =
        room.connectors.examine(room.connectors.candidate(&path).unwrap(), "x".to_owned(), true).unwrap();
    assert!(installation.needs_consent());
    room.connectors.install(&installation).unwrap();
    assert_eq!(room.connectors.serving(name, &Settings::default()).unwrap().trust, Trust::Pinned);
    room.connectors.remove(name).unwrap();
    assert_eq!(room.connectors.serving(name, &Settings::default()).unwrap().trust, Trust::Embedded);
}

#[test]
fn a_file_that_is_no_component_is_named() {
    let room = Room::new();
    let path = room.file("x.wasm", b"no component");
    let given = Given { path: path.clone(), allow_unpinned: true };
    let refused = Connectors::new(Some(given), None).serving("s3", &Settings::default()).unwrap_err().to_string();
    assert!(refused.contains(&path.display().to_string()), "{refused}");
}
