//! `key`: what opens a repository, and what its writers sign with.
//!
//! Owned here: the commands and their lines. Refused here: which slot may go, and how keys are rotated (`credenza-engine`).

mod add;
mod generate;
mod signer;

use std::fmt::{self, Display};

use clap::Subcommand;
use credenza_app::Place;
use credenza_engine::{ListedSlot, Resealing, Rotation, Secret};
use credenza_format::{Access, KeySlot, SlotKind};
use credenza_model::{ObjectId, StoreKey, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

pub(crate) use add::add_recovery_code;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::passphrase::NewPassphrase;
use crate::report::brief;
use credenza_app::shell::place_word;

/// Characters of a public key in a line: all of the shorter kind.
const RECIPIENT_SHOWN: usize = 88;

/// Passphrases and other keys of the repository.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List what opens the repository. No secret is needed. With one, each key is verified; without one, anybody who can write to the store may have
    /// made up the list.
    List,
    /// Add a passphrase, key file, recipient or recovery code, for everything or for adding snapshots only.
    Add(add::Add),
    /// Remove a key. Who copied the repository's secrets with it before keeps them until `key rotate`.
    Remove {
        /// The id, or its beginning.
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Change the passphrase that opens the repository.
    Passwd(NewPassphrase),
    /// Seal everything that is written from now on with new secrets, which removed keys do not know.
    Rotate {
        /// Remove passphrases, key files and recovery codes but the one in use: they cannot be renewed without their secrets.
        #[arg(long)]
        remove_others: bool,
    },
    /// Make a key pair for a recipient: the secret key goes to a new file, the public key is printed.
    Generate(generate::Generate),
    /// Make a key to sign snapshots with, and print its public key.
    Signer(signer::Signer),
}

impl KeyCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List => list(session).await,
            Self::Add(add) => add.run(session).await,
            Self::Remove { id } => remove(&id, session).await,
            Self::Passwd(new) => add::passwd(&new, session).await,
            Self::Rotate { remove_others } => rotate(remove_others, session).await,
            Self::Generate(generate) => generate.run(session),
            Self::Signer(signer) => signer.run(session),
        }
    }
}

/// A key slot, as it says of itself.
#[derive(Serialize)]
#[serde(tag = "type", rename = "key")]
struct KeyLine {
    id: ObjectId,
    kind: SlotKind,
    access: Access,
    label: String,
    created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    /// Whether it was verified that somebody with the keys of the repository wrote all this.
    proven: bool,
}

impl From<&KeySlot> for KeyLine {
    fn from(slot: &KeySlot) -> Self {
        Self::new(slot, true)
    }
}

impl KeyLine {
    fn new(slot: &KeySlot, proven: bool) -> Self {
        Self {
            proven,
            id: slot.id(),
            kind: slot.kind(),
            access: slot.access(),
            label: slot.label().to_owned(),
            created: slot.created(),
            recipient: slot.recipient().map(|recipient| recipient.to_string()),
        }
    }
}

impl Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Full => "full access",
            Access::Writer => "writer",
        };
        let created = Timestamp { nanoseconds: 0, ..self.created };
        let kind = self.kind.to_string();
        write!(f, "{}  {created}  {access:<11}  {kind:<22}  {}", self.id, brief(&self.label))?;
        self.recipient.iter().try_for_each(|recipient| write!(f, "  {}", shortened(recipient)))?;
        if self.proven { Ok(()) } else { f.write_str("  (unproven)") }
    }
}

/// A public key as far as a person compares it; a hybrid one has some 2,500 digits.
fn shortened(recipient: &str) -> String {
    match recipient.char_indices().nth(RECIPIENT_SHOWN) {
        Some((end, _)) => format!("{}…", recipient.get(..end).unwrap_or_default()),
        None => recipient.to_owned(),
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "key_removed")]
struct RemovedLine<'a> {
    id: &'a str,
}

impl Display for RemovedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed key {}", self.id)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "rotated")]
struct RotatedLine<'a> {
    epoch: u32,
    renewed: Vec<ObjectId>,
    removed: Vec<&'a str>,
}

impl Display for RotatedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} begins: {} keys renewed, {} removed", self.epoch, self.renewed.len(), self.removed.len())
    }
}

async fn list(session: &Session<'_>) -> Result<Exit, Failure> {
    let place = session.repository_place()?;
    let proven = !matches!(session.secret(&place)?, Secret::None);
    let slots = if proven {
        session.open_for_reading().await?.repository.key_slots().await?
    } else {
        unproven(session, &place).await?
    };
    let mut damage = None;
    for listed in slots {
        match listed.slot {
            Ok(slot) => session.reporter.result(&KeyLine::new(&slot, proven))?,
            Err(found) => damage = Some(found),
        }
    }
    match damage {
        None => Ok(Exit::Done),
        Some(damage) => Err(credenza_engine::Error::from(damage).into()),
    }
}

/// What the slots say of themselves.
async fn unproven(session: &Session<'_>, place: &Place) -> Result<Vec<ListedSlot>, Failure> {
    let slots = session.app.unproven_key_slots(place).await?;
    session.reporter.note(match slots.is_empty() {
        true => "no keys: the repository is in plain text, or there is none",
        false => "note: nothing of this is proven: whoever can write to the store can have written it; with a secret each key is verified",
    });
    Ok(slots)
}

async fn remove(id: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let open = session.open_for_writing().await?;
    let removed = open.repository.remove_slot(id).await?;
    session.reporter.done(&RemovedLine { id: id_of(&removed) });
    session.reporter.note(format!(
        "note: who had this key may have copied the repository's secrets with it; shut them out of what is to come: credenza at {} key rotate",
        place_word(&open.place)
    ));
    Ok(Exit::Done)
}

async fn rotate(remove_others: bool, session: &Session<'_>) -> Result<Exit, Failure> {
    let open = session.open_for_writing().await?;
    let Resealing { packs, bytes, requests } = open.repository.resealing().await?;
    if packs > 0 {
        let (word, bytes) = (place_word(&open.place), HumanBytes(bytes));
        session.reporter.note(format!(
            "note: what was written before stays sealed with the old secrets until `maintain` has sealed it again: up to {packs} packs, {bytes} to read and as much to write, in some {requests} requests; in parts: credenza at {word} maintain --repack-max 10GiB"
        ));
    }
    let Rotation { epoch, renewed, removed } = open.repository.rotate_keys(&open.secret, remove_others).await?;
    let renewed = renewed.iter().map(KeySlot::id).collect();
    session.reporter.done(&RotatedLine { epoch, renewed, removed: removed.iter().map(id_of).collect() });
    Ok(Exit::Done)
}

fn id_of(key: &StoreKey) -> &str {
    key.as_str().strip_prefix("key/").unwrap_or_else(|| key.as_str())
}
