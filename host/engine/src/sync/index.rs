//! The index of the target, which grows by what each snapshot adds, so that it is read once and not once a snapshot.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{BlobIndex, ObjectKind};
use credenza_model::StoreKey;

use crate::Result;
use crate::repository::{Repository, list};
use crate::write::Stow;

pub(super) struct TargetIndex<'a> {
    target: &'a Repository,
    index: Arc<BlobIndex>,
    /// Index segments that were read.
    read: HashSet<StoreKey>,
}

impl<'a> TargetIndex<'a> {
    pub(super) async fn load(target: &'a Repository) -> Result<Self> {
        // Listed first: a segment that comes between is read twice, which is harmless, and never missed.
        let listed = list(&**target.store(), &format!("{}/", ObjectKind::Index.folder())).await?;
        let index = Arc::new(target.load_index().await?);
        Ok(Self { target, index, read: listed.into_iter().map(|object| object.key).collect() })
    }

    pub(super) fn current(&self) -> Arc<BlobIndex> {
        Arc::clone(&self.index)
    }

    /// Where the chunks of the next snapshot go.
    pub(super) fn stow(&self) -> Arc<Stow> {
        Stow::new(Arc::clone(self.target.store()), self.target.keys().clone(), self.current())
    }

    /// Takes in what was written since, by this run or another. A pack that was condemned meanwhile is found by the recheck of the commit.
    pub(super) async fn grow(&mut self) -> Result<()> {
        match Arc::get_mut(&mut self.index) {
            Some(index) => self.target.extend_index(index, &mut self.read).await,
            // A worker that is just ending still looks at it.
            None => {
                *self = Self::load(self.target).await?;
                Ok(())
            }
        }
    }
}
