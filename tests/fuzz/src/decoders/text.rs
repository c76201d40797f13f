//! Text documents, with their checksum made to fit as anybody can do, and what people type.

use credenza_format::fuzzing::{ID, keys, mend_text};
use credenza_format::{
    ChunkerConfig, Config, Identity, KeySlot, Policy, PublicKey, Recipient, RecoveryCode, Removal, RemovedSnapshot,
    ReplicaOf, SigningKey,
};
use credenza_model::{RepositoryId, SnapshotId, Timestamp};

use super::frozen_text;

const TIME: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

pub(crate) fn config_seeds() -> Vec<Vec<u8>> {
    let config = Config {
        repository: keys().repository(),
        suite: keys().suite(),
        encrypted: false,
        chunker: ChunkerConfig::default(),
        compression_level: 1,
        epoch: 0,
        created: TIME,
        revision: 3,
        store_traits: vec!["if-absent".to_owned()],
        required_features: Vec::new(),
        policy: Some(Policy { daily: 7, ..Policy::default() }),
        retain_days: Some(30),
        parity: None,
        replica_of: Some(ReplicaOf { origin: keys().repository(), since: TIME, promoted: Some(TIME) }),
        unknown: [("later".to_owned(), serde_json::json!({ "a": [1, null, "b"] }))].into(),
    };
    vec![config.encode(&keys()).expect("a config is encoded")]
}

/// A config: what is verified comes back when it is written again.
pub(crate) fn run_config(input: &[u8]) {
    let Ok(unverified) = Config::decode(&mend_text(input)) else { return };
    let _ = (unverified.repository(), unverified.is_encrypted());
    // A config for other keys does not verify; signed with them it must say the same.
    let Ok(config) = unverified.verify(&keys()) else { return };
    let encoded = config.encode(&keys()).expect("what was decoded can be encoded");
    assert_eq!(Config::decode(&encoded).and_then(|again| again.verify(&keys())), Ok(config));
}

pub(crate) fn slot_seeds() -> Vec<Vec<u8>> {
    let names =
        ["/slot_passphrase", "/slot_key_file", "/slot_recipient", "/slot_hybrid", "/slot_recovery", "/slot_writer"];
    names.map(|name| frozen_text(name).into_bytes()).to_vec()
}

/// A slot, opened with all that costs nothing.
pub(crate) fn run_slot(input: &[u8]) {
    let mended = mend_text(input);
    let Ok(slot) = KeySlot::decode(&mended) else { return };
    assert_eq!(KeySlot::decode(&slot.encode()).map(|again| again.encode()), Ok(slot.encode()));
    let (repository, identity) = (RepositoryId::new([0x11; 16]), frozen_text("/identity"));
    let identity: Identity = identity.parse().expect("the identity is one");
    let code: RecoveryCode = frozen_text("/recovery_code").parse().expect("the code is one");
    let _ = (slot.id(), slot.label(), slot.kind(), slot.access(), slot.recipient(), slot.created());
    let hybrid: Identity = frozen_text("/identity_hybrid").parse().expect("the identity is one");
    let _ = slot.open_recipient(repository, &identity);
    let _ = slot.open_recipient(repository, &hybrid);
    let _ = slot.verify(&keys());
    let _ = slot.open_recovery(repository, &code);
    let _ = slot.open_key_file(repository, &[0x44; 32]);
}

pub(crate) fn removal_seeds() -> Vec<Vec<u8>> {
    let snapshot = RemovedSnapshot {
        snapshot: SnapshotId::new([1; 16]),
        writer: credenza_format::Hex([2; 16]),
        sequence: 3,
        digest: credenza_format::Hex([4; 32]),
    };
    let removal =
        Removal { id: ID, repository: keys().repository(), created: TIME, signer: None, snapshots: vec![snapshot] };
    let signed = removal.clone().encode(&keys(), Some(&SigningKey::from_seed(&[5; 32])));
    [removal.encode(&keys(), None), signed].map(|record| record.expect("a record is encoded")).to_vec()
}

/// A record of removal.
pub(crate) fn run_removal(input: &[u8]) {
    let Ok(unverified) = Removal::decode(&mend_text(input)) else { return };
    let claim = unverified.claim().clone();
    if let Ok(removal) = unverified.verify(&keys()) {
        assert_eq!(removal, claim);
    }
}

pub(crate) fn key_seeds() -> Vec<Vec<u8>> {
    let signing_key = SigningKey::from_seed(&[1; 32]);
    let made = [signing_key.to_text().to_string(), signing_key.public().to_string()];
    let names = ["/identity", "/recipient", "/identity_hybrid", "/recipient_hybrid", "/recovery_code"];
    names.map(frozen_text).into_iter().chain(made).map(String::into_bytes).collect()
}

/// Keys and codes as people pass them on.
pub(crate) fn run_keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(code) = text.parse::<RecoveryCode>() {
        assert_eq!(code.to_string().parse::<RecoveryCode>().map(|again| again.to_string()), Ok(code.to_string()));
    }
    if let Ok(recipient) = text.parse::<Recipient>() {
        assert_eq!(recipient.to_string().parse::<Recipient>(), Ok(recipient));
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string().parse::<PublicKey>().map(|again| again.0), Ok(key.0));
    }
    let _ = text.parse::<Identity>();
    let _ = SigningKey::from_text(text);
}
