//! Slots sealed and opened, and what a wrong secret, a changed slot and a hostile slot lead to.

use proptest::prelude::*;

use super::*;

const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);
const CREATED: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

fn new<'a>(keyring: &'a Keyring, label: &'a str) -> NewSlot<'a> {
    NewSlot { keyring, access: Access::Full, repository: REPOSITORY, label, created: CREATED }
}

fn key_file_slot(keyring: &Keyring) -> KeySlot {
    KeySlot::seal_key_file(&new(keyring, "office"), &[7; 32]).unwrap()
}

proptest! {
    #[test]
    fn a_changed_byte_is_found_wherever_it_is(place: prop::sample::Index, change in 1..=255_u8) {
        let mut bytes = key_file_slot(&Keyring::generate().unwrap()).encode();
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(KeySlot::decode(&bytes).is_err(), "byte {place}, without a key");
    }

    #[test]
    fn a_change_under_a_mended_checksum_is_found_with_the_secret(place: prop::sample::Index, change in 1..=255_u8) {
        let mut bytes = key_file_slot(&Keyring::generate().unwrap()).encode();
        let place = place.index(bytes.len() - lines::CHECKSUM_LINE_BYTES);
        bytes[place] ^= change;
        // The digits of the seal mean the same in upper case; every other change shows.
        let digit_case = change == 0x20 && bytes[place].is_ascii_uppercase();
        let opened = KeySlot::decode(&lines::mended(bytes)).and_then(|slot| slot.open_key_file(REPOSITORY, &[7; 32]));
        prop_assert!(opened.is_err() || digit_case, "byte {place}");
    }
}

#[test]
fn a_passphrase_opens_its_slot_and_no_other_does() {
    let keyring = Keyring::generate().unwrap();
    let slot = KeySlot::seal_passphrase(&new(&keyring, "mine"), b"correct horse", KdfParams::default()).unwrap();
    let slot = KeySlot::decode(&slot.encode()).unwrap();
    assert_eq!((slot.label(), slot.kind(), slot.created()), ("mine", SlotKind::Passphrase, CREATED));
    assert_eq!(slot.open_passphrase(REPOSITORY, b"correct horse").unwrap(), keyring);
    let wrong = slot.open_passphrase(REPOSITORY, b"correct horsf");
    assert_eq!(wrong, Err(SlotError::WrongSecret { slot: slot.id(), label: "mine".to_owned() }));
    assert!(matches!(slot.open_key_file(REPOSITORY, &[0; 32]), Err(SlotError::WrongKind { .. })));
}

#[test]
fn a_key_file_opens_its_slot_and_a_short_one_is_refused() {
    let keyring = Keyring::generate().unwrap();
    let slot = key_file_slot(&keyring);
    assert_eq!(KeySlot::decode(&slot.encode()).unwrap(), slot);
    assert_eq!(slot.open_key_file(REPOSITORY, &[7; 32]).unwrap(), keyring);
    assert!(matches!(slot.open_key_file(REPOSITORY, &[8; 32]), Err(SlotError::WrongSecret { .. })));
    let short = KeySlot::seal_key_file(&new(&keyring, ""), &[7; 31]);
    assert_eq!(short, Err(SlotError::WeakKeyFile { bytes: 31 }));
}

#[test]
fn a_recipient_opens_what_was_sealed_to_its_public_key() {
    let keyring = Keyring::generate().unwrap();
    for kind in [RecipientKind::X25519, RecipientKind::Hybrid] {
        let identity = Identity::generate(kind).unwrap();
        let slot = KeySlot::seal_recipient(&new(&keyring, "escrow"), &identity.recipient()).unwrap();
        let slot = KeySlot::decode(&slot.encode()).unwrap();
        assert_eq!(slot.recipient(), Some(identity.recipient()));
        assert_eq!(slot.open_recipient(REPOSITORY, &identity).unwrap(), keyring);
        let other = Identity::generate(kind).unwrap();
        assert!(matches!(slot.open_recipient(REPOSITORY, &other), Err(SlotError::WrongSecret { .. })));
    }
    let useless = Recipient::new(RecipientKind::X25519, &[0; 32]).unwrap();
    assert!(KeySlot::seal_recipient(&new(&keyring, ""), &useless).is_err(), "a key that protects nothing");
}

#[test]
fn a_hybrid_slot_opens_with_both_halves_of_its_exchange_and_with_neither_alone() {
    let keyring = Keyring::generate().unwrap();
    let identity = Identity::generate(RecipientKind::Hybrid).unwrap();
    let slot = KeySlot::seal_recipient(&new(&keyring, ""), &identity.recipient()).unwrap();
    assert_eq!(slot.kind(), SlotKind::HybridRecipient);
    let other = KeySlot::seal_recipient(&new(&keyring, ""), &identity.recipient()).unwrap();
    for half in 0..2 {
        let mut mixed = slot.clone();
        let Lock::HybridRecipient { ephemeral, ciphertext, .. } = &mut mixed.description.lock else { panic!("hybrid") };
        let Lock::HybridRecipient { ephemeral: theirs, ciphertext: their_ciphertext, .. } = &other.description.lock
        else {
            panic!("hybrid")
        };
        if half == 0 {
            *ephemeral = *theirs
        } else {
            ciphertext.clone_from(their_ciphertext)
        }
        assert!(matches!(mixed.open_recipient(REPOSITORY, &identity), Err(SlotError::WrongSecret { .. })), "{half}");
    }
}

#[test]
fn a_hybrid_slot_whose_key_or_ciphertext_has_another_length_is_refused() {
    let identity = Identity::generate(RecipientKind::Hybrid).unwrap();
    let slot = KeySlot::seal_recipient(&new(&Keyring::generate().unwrap(), ""), &identity.recipient()).unwrap();
    let text = String::from_utf8(slot.encode()).unwrap();
    for field in ["recipient", "ciphertext"] {
        let longer = text.replacen(&format!(r#""{field}":""#), &format!(r#""{field}":"00"#), 1);
        assert_ne!(longer, text);
        let refused = KeySlot::decode(&lines::mended(longer.into_bytes()));
        assert!(matches!(refused, Err(SlotError::Malformed { .. })), "{field}");
    }
}

#[test]
fn a_recovery_code_opens_its_slot() {
    let keyring = Keyring::generate().unwrap();
    let code = RecoveryCode::generate().unwrap();
    let slot = KeySlot::seal_recovery(&new(&keyring, "paper"), &code).unwrap();
    assert_eq!(slot.open_recovery(REPOSITORY, &code.to_string().parse().unwrap()).unwrap(), keyring);
    let other = RecoveryCode::generate().unwrap();
    assert!(matches!(slot.open_recovery(REPOSITORY, &other), Err(SlotError::WrongSecret { .. })));
}

#[test]
fn a_slot_says_what_it_gives_access_to_before_it_is_opened() {
    let keyring = Keyring::generate().unwrap();
    assert_eq!(key_file_slot(&keyring).access(), Access::Full);
    let writer = NewSlot { access: Access::Writer, ..new(&keyring, "office") };
    let slot = KeySlot::decode(&KeySlot::seal_key_file(&writer, &[7; 32]).unwrap().encode()).unwrap();
    assert_eq!(slot.access(), Access::Writer);
    assert_eq!(slot.open_key_file(REPOSITORY, &[7; 32]).unwrap(), keyring.for_writer(REPOSITORY));
}

#[test]
fn a_slot_of_another_repository_is_refused() {
    let slot = key_file_slot(&Keyring::generate().unwrap());
    let other = RepositoryId::new([2; 16]);
    assert!(matches!(slot.open_key_file(other, &[7; 32]), Err(SlotError::WrongRepository { .. })));
}

#[test]
fn a_changed_label_is_damage_and_not_a_wrong_secret() {
    let slot = key_file_slot(&Keyring::generate().unwrap());
    let text = String::from_utf8(slot.encode()).unwrap().replace("office", "orifice");
    let changed = KeySlot::decode(&lines::mended(text.into_bytes())).unwrap();
    assert_eq!(changed.open_key_file(REPOSITORY, &[7; 32]), Err(SlotError::Damaged { slot: slot.id() }));
}

#[test]
fn whoever_has_the_keys_verifies_every_slot_without_its_secret() {
    let keyring = Keyring::generate().unwrap();
    let writer = keyring.for_writer(REPOSITORY);
    let slot = key_file_slot(&keyring);
    for holder in [&keyring, &writer] {
        assert_eq!(slot.verify(&holder.keys(REPOSITORY)), Ok(()));
    }
    let forged = Err(SlotError::Forged { slot: slot.id() });
    assert_eq!(slot.verify(&keyring.keys(RepositoryId::new([2; 16]))), forged);
    let text = String::from_utf8(slot.encode()).unwrap().replace("office", "orifice");
    let changed = KeySlot::decode(&lines::mended(text.into_bytes())).unwrap();
    assert_eq!(changed.verify(&keyring.keys(REPOSITORY)), forged);
    let strange = key_file_slot(&Keyring::generate().unwrap());
    assert_eq!(strange.verify(&keyring.keys(REPOSITORY)), Err(SlotError::Forged { slot: strange.id() }));
    assert!(KeySlot::seal_key_file(&new(&writer, ""), &[7; 32]).is_err(), "a writer makes no slots");
}

#[test]
fn a_cost_that_protects_too_little_or_eats_the_machine_is_refused_before_it_is_paid() {
    let keyring = Keyring::generate().unwrap();
    let seal = |cost| KeySlot::seal_passphrase(&new(&keyring, ""), b"x", cost);
    let slot = seal(KdfParams::default()).unwrap();
    for (memory_kib, passes, lanes) in
        [(65_535, 3, 4), (65_536, 2, 4), (65_536, 3, 0), (1 << 21, 3, 4), (65_536, 17, 4), (65_536, 3, 17)]
    {
        assert!(matches!(seal(KdfParams { memory_kib, passes, lanes }), Err(SlotError::Cost { .. })));
        let hostile = String::from_utf8(slot.encode()).unwrap().replace(
            r#"{"memory_kib":65536,"passes":3,"lanes":4}"#,
            &format!(r#"{{"memory_kib":{memory_kib},"passes":{passes},"lanes":{lanes}}}"#),
        );
        assert!(
            matches!(KeySlot::decode(&lines::mended(hostile.clone().into_bytes())), Err(SlotError::Cost { .. })),
            "{hostile}"
        );
    }
}
