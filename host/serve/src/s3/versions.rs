//! The history of keys over the snapshots of a source: each state that a key had is a version, and each time that it was gone a delete marker.
//!
//! The id of a version is that of the newest snapshot in which the key was so; any other snapshot of the bucket can be read by its id as well.
//!
//! Bound: one page of rows, some [`ROWS_IN_HAND`] rows read ahead in all snapshots together and [`ROWS_MIN`] in each.

use std::collections::VecDeque;

use credenza_engine::Result;
use credenza_model::{Record, SnapshotId, Timestamp as Time};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::buckets::Bucket;
use super::list::{Question, Row, rows};
use super::names::{bytes_of, listed};
use super::{Storage, object};
use crate::shelf::time_of;
use crate::tree::SnapshotTree;

/// Rows that are read ahead, in all snapshots together.
const ROWS_IN_HAND: usize = 4000;
/// The same in one.
const ROWS_MIN: usize = 8;

/// A place in one of the snapshots.
struct Cursor<'a> {
    tree: &'a SnapshotTree,
    rows: VecDeque<Row>,
    next: Option<Vec<u8>>,
    is_at_end: bool,
}

impl Cursor<'_> {
    async fn front(&mut self, question: &Question, max: usize) -> Result<Option<&Row>> {
        while self.rows.is_empty() && !self.is_at_end {
            let (rows, next) = rows(self.tree, question, self.next.as_deref(), max).await?;
            self.is_at_end = next.is_none();
            self.next = next;
            self.rows = rows.into();
        }
        Ok(self.rows.front())
    }

    /// Its row of that key, if it is the next.
    fn take(&mut self, key: &[u8]) -> Option<Row> {
        self.rows.pop_front_if(|row| row.key() == key)
    }
}

/// A state that a key had.
struct State<'a> {
    tree: &'a SnapshotTree,
    /// The newest snapshot in which it was so.
    id: SnapshotId,
    /// None where it was gone.
    record: Option<Box<Record>>,
    /// When it was gone first.
    since: Time,
}

/// What a page says.
#[derive(Default)]
struct Answer {
    versions: Vec<ObjectVersion>,
    markers: Vec<DeleteMarkerEntry>,
    prefixes: Vec<CommonPrefix>,
    /// The last that is in it: a key with the version, or a common prefix.
    last: Option<(Vec<u8>, Option<SnapshotId>)>,
}

impl Answer {
    fn len(&self) -> usize {
        self.versions.len() + self.markers.len() + self.prefixes.len()
    }

    /// Takes the states of a key behind one of them, the newest first; whether there was room for all.
    fn take(&mut self, key: &[u8], states: Vec<State<'_>>, after: Option<SnapshotId>, question: &Question) -> bool {
        let behind = after.and_then(|after| states.iter().position(|state| state.id == after)).map_or(0, |at| at + 1);
        for (number, state) in states.into_iter().enumerate().skip(behind) {
            if self.len() >= question.max {
                return false;
            }
            self.last = Some((key.to_vec(), Some(state.id)));
            let (key, version_id, is_latest) =
                (Some(question.text(key)), Some(state.id.to_string()), Some(number == 0));
            match state.record {
                Some(record) => self.versions.push(ObjectVersion {
                    key,
                    version_id,
                    is_latest,
                    size: Some(object::size(&record)),
                    e_tag: Some(object::etag(&record)),
                    last_modified: Some(object::modified(&record, state.tree)),
                    storage_class: Some(ObjectVersionStorageClass::from(object::listed_class(&record))),
                    ..Default::default()
                }),
                None => self.markers.push(DeleteMarkerEntry {
                    key,
                    version_id,
                    is_latest,
                    last_modified: Some(object::time(state.since)),
                    ..Default::default()
                }),
            }
        }
        true
    }
}

impl Storage {
    pub(super) async fn list_object_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
        let question = Question::new(prefix, delimiter, input.max_keys, input.encoding_type.as_ref())?;
        let question = question.behind(input.key_marker.as_deref().map(bytes_of));
        let after = input.version_id_marker.as_deref().filter(|marker| !marker.is_empty());
        let after = after.map(|id| id.parse().map_err(|_| s3_error!(InvalidArgument, "The version is no snapshot")));
        let bucket = self.bucket(&input.bucket).await?;
        let read = page(&bucket, &question, after.transpose()?).await;
        let (answer, is_whole) = read.map_err(|cause| self.broken(&cause))?;
        let next = answer.last.filter(|_| !is_whole && question.max > 0);
        Ok(S3Response::new(ListObjectVersionsOutput {
            prefix: Some(listed(prefix.unwrap_or_default(), question.is_url)),
            delimiter: question.given(delimiter),
            key_marker: Some(listed(input.key_marker.as_deref().unwrap_or_default(), question.is_url)),
            version_id_marker: input.version_id_marker,
            max_keys: i32::try_from(question.max).ok(),
            is_truncated: Some(next.is_some()),
            next_key_marker: next.as_ref().map(|(key, _)| question.text(key)),
            next_version_id_marker: next.and_then(|(_, id)| id).map(|id| id.to_string()),
            versions: Some(answer.versions),
            delete_markers: Some(answer.markers),
            common_prefixes: Some(answer.prefixes),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..Default::default()
        }))
    }
}

/// A page of the history, and whether it is the last.
async fn page(bucket: &Bucket, question: &Question, after: Option<SnapshotId>) -> Result<(Answer, bool)> {
    let mut answer = Answer::default();
    if question.max == 0 {
        return Ok((answer, true));
    }
    if let (Some(key), Some(_)) = (&question.after, after) {
        let mut found = Vec::new();
        for tree in bucket.history() {
            found.push((tree, tree.entry(key).await?.map(Box::new)));
        }
        if !answer.take(key, states(found), after, question) {
            return Ok((answer, false));
        }
    }
    let cursor = |tree| Cursor { tree, rows: VecDeque::new(), next: question.after.clone(), is_at_end: false };
    let mut cursors: Vec<Cursor<'_>> = bucket.history().map(cursor).collect();
    let max = (ROWS_IN_HAND / cursors.len().max(1)).clamp(ROWS_MIN, question.max.max(ROWS_MIN));
    loop {
        let mut first: Option<Vec<u8>> = None;
        for cursor in &mut cursors {
            let front = cursor.front(question, max).await?.map(Row::key);
            if let Some(key) = front.filter(|key| first.as_deref().is_none_or(|first| *key < first)) {
                first = Some(key.to_vec());
            }
        }
        let Some(key) = first else { return Ok((answer, true)) };
        let mut is_common = false;
        let mut found = Vec::new();
        for cursor in &mut cursors {
            let record = match cursor.take(&key) {
                Some(Row::Object(record)) => Some(record),
                Some(Row::Common(_)) => {
                    is_common = true;
                    None
                }
                None => None,
            };
            found.push((cursor.tree, record));
        }
        if !is_common {
            if !answer.take(&key, states(found), None, question) {
                return Ok((answer, false));
            }
        } else if answer.len() < question.max {
            answer.prefixes.push(CommonPrefix { prefix: Some(question.text(&key)) });
            answer.last = Some((key, None));
        } else {
            return Ok((answer, false));
        }
    }
}

/// The states that a key had, the newest first, from what each snapshot has of it, the newest first.
fn states<'a>(found: Vec<(&'a SnapshotTree, Option<Box<Record>>)>) -> Vec<State<'a>> {
    let mut states: Vec<State<'a>> = Vec::new();
    for (tree, record) in found {
        let time = time_of(tree.snapshot());
        match states.last_mut().filter(|state| is_same(state.record.as_deref(), record.as_deref())) {
            Some(state) => state.since = time,
            None => states.push(State { tree, id: tree.id(), record, since: time }),
        }
    }
    // Before it was there it was not gone.
    states.pop_if(|state| state.record.is_none());
    states
}

/// Whether a reader would see no difference.
fn is_same(a: Option<&Record>, b: Option<&Record>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let shown = |record: &Record| {
                let entry = record.entry.clone();
                (entry.kind, entry.modified, entry.link_target, entry.attributes, record.content.clone())
            };
            shown(a) == shown(b)
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
