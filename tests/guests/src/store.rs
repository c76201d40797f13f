//! A store in the memory of one instance, which loses, changes and hides what it was given. In an instance's memory alone, so
//! that `forgets-puts` also happens to all whose next call runs elsewhere: tests use one instance.

use std::cell::RefCell;
use std::collections::BTreeMap;

use credenza_sdk::{
    Body, ByteRange, Check, Error, ErrorClass, Object, Page, PutOptions, Result, Store, StoreInfo, Stored,
};

use crate::{Hostile, requests, resources};

/// Largest object that is taken.
const OBJECT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Objects by key.
#[derive(Debug, Default)]
pub(crate) struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

impl Store for Hostile {
    fn info(&self) -> Result<StoreInfo> {
        let traits = ["if-absent", "ranged-get", "ordered-list", "list-after-write"].map(str::to_owned).to_vec();
        Ok(StoreInfo {
            identity: "hostile://store".to_owned(),
            traits,
            max_object_bytes: Some(OBJECT_BYTES_MAX as u64),
        })
    }

    fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    fn put(&self, key: &str, data: Body, options: PutOptions) -> Result<Stored> {
        resources::take(&self.behaviour);
        requests::escape(&self.behaviour)?;
        let bytes = data.read_all(OBJECT_BYTES_MAX)?;
        let mut objects = self.memory.0.borrow_mut();
        if options.if_absent && objects.contains_key(key) && self.behaviour != "ignores-if-absent" {
            return Err(Error::new(ErrorClass::Precondition, "hostile.exists", format!("`{key}` exists")));
        }
        if self.behaviour != "forgets-puts" {
            objects.insert(key.to_owned(), bytes);
        }
        Ok(Stored { tag: None, version: None, modified: None })
    }

    fn get(&self, key: &str, range: Option<ByteRange>, _version: Option<String>) -> Result<Body> {
        resources::take(&self.behaviour);
        let objects = self.memory.0.borrow();
        let mut bytes = part(objects.get(key).ok_or_else(|| missing(key))?, range).to_vec();
        if self.behaviour == "wrong-bytes" {
            bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }
        Ok(Body::from_bytes(&bytes))
    }

    fn stat(&self, key: &str) -> Result<Object> {
        let objects = self.memory.0.borrow();
        objects.get(key).map(|bytes| object(key, bytes)).ok_or_else(|| missing(key))
    }

    /// The cursor is the last key of the page.
    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        let hidden = |key: &str| self.behaviour == "hides-objects" && key.contains('/');
        if self.behaviour == "circling-cursor" {
            return Ok(Page {
                objects: Vec::new(),
                next: Some(if cursor == Some("a") { "b" } else { "a" }.to_owned()),
            });
        }
        let objects = self.memory.0.borrow();
        let mut wanted = objects.iter().filter(|(key, _)| {
            key.starts_with(prefix) && cursor.is_none_or(|after| key.as_str() > after) && !hidden(key)
        });
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let page: Vec<Object> = wanted.by_ref().take(max).map(|(key, bytes)| object(key, bytes)).collect();
        let next = page.last().filter(|_| wanted.next().is_some()).map(|last| last.key.clone());
        Ok(Page { objects: page, next })
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        let mut objects = self.memory.0.borrow_mut();
        Ok(keys
            .iter()
            .map(|key| {
                objects.remove(key);
                Ok(())
            })
            .collect())
    }
}

fn part(bytes: &[u8], range: Option<ByteRange>) -> &[u8] {
    let Some(range) = range else { return bytes };
    let rest = usize::try_from(range.offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let length = range.length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    rest.get(..length.min(rest.len())).unwrap_or_default()
}

fn object(key: &str, bytes: &[u8]) -> Object {
    let (key, size) = (key.to_owned(), bytes.len() as u64);
    Object { key, size, modified: None, tag: None, version: None, retain_until: None }
}

fn missing(key: &str) -> Error {
    Error::new(ErrorClass::NotFound, "hostile.missing", format!("there is no `{key}`"))
}
