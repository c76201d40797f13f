//! Pages of keys, in the order of their bytes, with or without what they have in common up to a delimiter.
//!
//! Bound: one page of [`KEYS_MAX`] keys.

use credenza_engine::view::FolderItem;
use credenza_model::{EntryKind, Record};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::names::{bytes_of, key_of_token, listed, text_of, token_of};
use super::{Storage, object};
use crate::tree::SnapshotTree;

/// Most keys of a page, as AWS has it.
const KEYS_MAX: i32 = 1000;
/// What separates folders.
const SLASH: &[u8] = b"/";

/// What a listing asks for.
pub(super) struct Question {
    pub(super) prefix: Vec<u8>,
    /// Keys are cut behind the next one; empty where they are not. At a slash folders are cut off as well.
    pub(super) delimiter: Vec<u8>,
    /// The key, or common prefix, behind which the page begins.
    pub(super) after: Option<Vec<u8>>,
    pub(super) max: usize,
    /// Keys are to be URL encoded.
    pub(super) is_url: bool,
}

impl Question {
    pub(super) fn new(
        prefix: Option<&str>,
        delimiter: Option<&str>,
        max: Option<i32>,
        encoding: Option<&EncodingType>,
    ) -> S3Result<Self> {
        let max = max.unwrap_or(KEYS_MAX);
        let max = usize::try_from(max).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))?;
        Ok(Self {
            prefix: bytes_of(prefix.unwrap_or_default()),
            delimiter: bytes_of(delimiter.unwrap_or_default()),
            after: None,
            max: max.min(usize::try_from(KEYS_MAX).unwrap_or_default()),
            is_url: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
        })
    }

    /// Behind a key. One before the prefix is the beginning.
    pub(super) fn behind(self, after: Option<Vec<u8>>) -> Self {
        Self { after: after.filter(|after| *after > self.prefix), ..self }
    }

    /// Behind a key as a client names it: the key itself is not shown again, and what lies below it is.
    fn behind_text(self, after: Option<&str>) -> Self {
        self.behind(after.map(bytes_of))
    }

    pub(super) fn text(&self, bytes: &[u8]) -> String {
        listed(&text_of(bytes), self.is_url)
    }

    pub(super) fn given(&self, text: Option<&str>) -> Option<String> {
        text.map(|text| listed(text, self.is_url))
    }
}

/// One of a page.
pub(super) enum Row {
    Object(Box<Record>),
    Common(Vec<u8>),
}

impl Row {
    fn of(item: FolderItem, delimiter: &[u8]) -> Self {
        match item {
            FolderItem::Prefix(prefix) => Self::Common(prefix.into_bytes()),
            FolderItem::Entry(record) if delimiter == SLASH && record.entry.kind == EntryKind::Directory => {
                Self::Common(record.entry.key.into_bytes())
            }
            FolderItem::Entry(record) => Self::Object(record),
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Object(record) => record.entry.key.as_bytes(),
            Self::Common(prefix) => prefix,
        }
    }
}

/// The next rows of a snapshot, at most `max`, and where those behind them begin. The folder that was backed up, which has no name, is none.
pub(super) async fn rows(
    tree: &SnapshotTree,
    question: &Question,
    after: Option<&[u8]>,
    max: usize,
) -> credenza_engine::Result<(Vec<Row>, Option<Vec<u8>>)> {
    let (view, snapshot) = (tree.view(), tree.snapshot());
    // The folder that was backed up stands before all others.
    let after = after.or_else(|| question.prefix.is_empty().then_some(&b""[..]));
    let page = match question.delimiter.as_slice() {
        b"" => view.page(snapshot, &question.prefix, after, max).await?,
        SLASH => view.folder(snapshot, &question.prefix, after, max).await?,
        delimiter => view.cut_page(snapshot, (&question.prefix, delimiter), after, max).await?,
    };
    Ok((page.items.into_iter().map(|item| Row::of(item, &question.delimiter)).collect(), page.next))
}

/// A page as its answers tell it.
struct Page {
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    next: Option<Vec<u8>>,
}

impl Storage {
    pub(super) async fn list_objects_v2(&self, input: ListObjectsV2Input) -> S3Result<S3Response<ListObjectsV2Output>> {
        let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
        let question = Question::new(prefix, delimiter, input.max_keys, input.encoding_type.as_ref())?;
        let question = match input.continuation_token.as_deref() {
            Some(token) => {
                let key = key_of_token(token).ok_or_else(|| s3_error!(InvalidArgument, "The token is incorrect"))?;
                question.behind(Some(key))
            }
            None => question.behind_text(input.start_after.as_deref()),
        };
        let page = self.page(&input.bucket, &question).await?;
        Ok(S3Response::new(ListObjectsV2Output {
            prefix: Some(listed(prefix.unwrap_or_default(), question.is_url)),
            delimiter: question.given(delimiter),
            start_after: question.given(input.start_after.as_deref()),
            max_keys: i32::try_from(question.max).ok(),
            key_count: i32::try_from(page.contents.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            continuation_token: input.continuation_token,
            next_continuation_token: page.next.as_deref().map(token_of),
            contents: Some(page.contents),
            common_prefixes: Some(page.prefixes),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..Default::default()
        }))
    }

    pub(super) async fn list_objects(&self, input: ListObjectsInput) -> S3Result<S3Response<ListObjectsOutput>> {
        let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
        let question = Question::new(prefix, delimiter, input.max_keys, input.encoding_type.as_ref())?;
        let question = question.behind_text(input.marker.as_deref());
        let page = self.page(&input.bucket, &question).await?;
        Ok(S3Response::new(ListObjectsOutput {
            prefix: Some(listed(prefix.unwrap_or_default(), question.is_url)),
            delimiter: question.given(delimiter),
            marker: Some(listed(input.marker.as_deref().unwrap_or_default(), question.is_url)),
            max_keys: i32::try_from(question.max).ok(),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.as_deref().map(|next| question.text(next)),
            contents: Some(page.contents),
            common_prefixes: Some(page.prefixes),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..Default::default()
        }))
    }

    async fn page(&self, bucket: &str, question: &Question) -> S3Result<Page> {
        let tree = self.bucket(bucket).await?.newest;
        let mut page = Page { contents: Vec::new(), prefixes: Vec::new(), next: None };
        if question.max == 0 {
            return Ok(page);
        }
        let read = rows(&tree, question, question.after.as_deref(), question.max).await;
        let (rows, next) = read.map_err(|cause| self.broken(&cause))?;
        page.next = next;
        for row in rows {
            match row {
                Row::Object(record) => page.contents.push(object_of(&record, &tree, question)),
                Row::Common(prefix) => page.prefixes.push(CommonPrefix { prefix: Some(question.text(&prefix)) }),
            }
        }
        Ok(page)
    }
}

fn object_of(record: &Record, tree: &SnapshotTree, question: &Question) -> Object {
    Object {
        key: Some(question.text(record.entry.key.as_bytes())),
        size: Some(object::size(record)),
        e_tag: Some(object::etag(record)),
        last_modified: Some(object::modified(record, tree)),
        storage_class: Some(ObjectStorageClass::from(object::listed_class(record))),
        ..Default::default()
    }
}
