//! A folder that a program has open: what of it was told, and what waits.
//!
//! The kernel asks for what stands behind an offset: 0 is the beginning, and each item has the offset behind it. It nearly always goes on where it was;
//! where it does not, the folder is listed again from its beginning.
//!
//! Bound: one page of the folder.

use std::collections::VecDeque;

use super::files::{Files, Found};
use super::nodes::Node;
use crate::tree::Listing;
use fuser::{Errno, INodeNo};

/// Offsets of `.` and `..`, which the folder's own items come behind.
pub(super) const DOTS: u64 = 2;

pub(super) struct OpenFolder {
    number: INodeNo,
    /// What it is, once it is listed: what the kernel has kept of it is not.
    node: Option<Node>,
    listing: Listing,
    waiting: VecDeque<Item>,
    /// How many items stand before the first of those that wait.
    position: u64,
    is_at_end: bool,
}

/// An item of a folder.
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) found: Found,
}

impl OpenFolder {
    pub(super) fn new(number: INodeNo) -> Self {
        Self {
            number,
            node: None,
            listing: Listing::default(),
            waiting: VecDeque::new(),
            position: 0,
            is_at_end: false,
        }
    }

    /// Makes the item behind an offset the next one.
    pub(super) async fn seek(&mut self, offset: u64, files: &Files) -> Result<(), Errno> {
        let wanted = offset.saturating_sub(DOTS);
        if wanted < self.position {
            *self = Self::new(self.number);
        }
        while self.position < wanted && self.next(files).await?.is_some() {
            self.take();
        }
        Ok(())
    }

    /// The next item, which waits until it is [taken](Self::take), and the offset behind it; none at the end.
    pub(super) async fn next(&mut self, files: &Files) -> Result<Option<(&Item, u64)>, Errno> {
        if self.waiting.is_empty() && !self.is_at_end {
            let node = match self.node.take() {
                Some(node) => node,
                None => files.node(self.number).await?,
            };
            let node = self.node.insert(node);
            self.waiting = files.children(node, &mut self.listing, self.position == 0).await?.into();
            self.is_at_end = self.waiting.is_empty();
        }
        Ok(self.waiting.front().map(|item| (item, DOTS + self.position + 1)))
    }

    pub(super) fn take(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.position += 1;
        }
    }
}
