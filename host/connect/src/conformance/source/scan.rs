//! What a scan tells: all, once, in order, in batches, from a key on, under a prefix, one level deep.

use std::collections::BTreeSet;

use bytes::Bytes;
use credenza_model::{EntryKind, Key};

use super::super::keys::{hard_keys, tree_keys};
use super::{Bed, Miss, OrSay, Told, ensure, files, filled, keys, own_name, scan, scan_all, shown, tree};
use crate::{Batches, ScanOptions};

pub(super) async fn all(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    let found: BTreeSet<Key> = files(&entries).map(|entry| entry.key.clone()).collect();
    let expected: BTreeSet<Key> = tree_keys(|key| bed.holds(key)).into_iter().collect();
    ensure(found == expected, || format!("listed are {found:?} instead of {expected:?}"))
}

/// The root folder of a tree may be reported.
pub(super) async fn empty(bed: &Bed) -> Told {
    let entries = scan_all(&*filled(bed, &[]).await?).await?;
    let is_root = |key: &&Key| key.as_bytes().is_empty();
    ensure(keys(&entries).iter().all(is_root), || format!("an empty source holds {:?}", keys(&entries)))
}

pub(super) async fn once(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    let unique: BTreeSet<&Key> = keys(&entries).into_iter().collect();
    ensure(unique.len() == entries.len(), || format!("{} keys are listed as {}", unique.len(), entries.len()))
}

pub(super) async fn sizes(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    files(&entries).try_for_each(|entry| {
        let length = entry.key.as_bytes().len() as u64;
        let is_right = entry.size.is_none_or(|size| size == length);
        ensure(is_right, || format!("`{}` has {length} bytes and is reported with {:?}", entry.key, entry.size))
    })
}

pub(super) async fn attributes(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    entries.iter().try_for_each(|entry| {
        let sorted = entry.attributes.is_sorted_by(|(a, _), (b, _)| a < b);
        ensure(sorted, || format!("the attributes of `{}` are not sorted, or one is there twice", entry.key))
    })
}

pub(super) async fn folders(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    entries.iter().try_for_each(|entry| {
        let named_so = entry.key.as_bytes().is_empty() || entry.key.as_bytes().ends_with(b"/");
        let is_folder = entry.kind == EntryKind::Directory;
        ensure(is_folder == named_so, || format!("`{}` is reported as a {}", entry.key, entry.kind.name()))
    })
}

pub(super) async fn objects(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    let other = entries.iter().find(|entry| entry.kind != EntryKind::File);
    ensure(other.is_none(), || format!("something else than an object is reported: {other:?}"))
}

pub(super) async fn again(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let (first, second) = (scan_all(&*source).await?, scan_all(&*source).await?);
    ensure(first == second, || format!("a second scan tells {second:?} where the first told {first:?}"))
}

pub(super) async fn side_by_side(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let expected = scan_all(&*source).await?;
    let options = ScanOptions::default();
    let scans = (1..=6).map(|max| scan(&*source, &options, max));
    for (found, max) in futures_util::future::join_all(scans).await.into_iter().zip(1..) {
        let found = found?;
        ensure(found == expected, || format!("of six scans at once, that of {max} a batch tells {:?}", keys(&found)))?;
    }
    Ok(())
}

pub(super) async fn given_up(bed: &Bed) -> Told {
    let source = tree(bed).await?;
    let expected = scan_all(&*source).await?;
    for _ in 0..40 {
        let scanner = source.scan(&ScanOptions::default()).await.or_say("scan")?;
        Batches::new(scanner).next(1).await.or_say("next")?;
    }
    let found = scan_all(&*source).await?;
    ensure(found == expected, || "after scans that were given up another one tells something else".to_owned())
}

pub(super) async fn thousand(bed: &Bed) -> Told {
    let objects: Vec<(Key, Bytes)> =
        (0..1100).map(|n| own_name(&Key::from(format!("many/{}/{n:04}", n % 3).as_str()))).collect();
    let entries = scan_all(&*filled(bed, &objects).await?).await?;
    let found: BTreeSet<&Key> = files(&entries).map(|entry| &entry.key).collect();
    let missing = objects.iter().find(|(key, _)| !found.contains(key));
    ensure(missing.is_none(), || format!("of 1100 objects {missing:?} is not listed"))?;
    let count = files(&entries).count();
    ensure(count == objects.len(), || format!("1100 objects are listed as {count}"))
}

pub(super) async fn batches(bed: &Bed, max: usize) -> Told {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    let found = scan(&*source, &ScanOptions::default(), max).await?;
    ensure(found == all, || format!("batches of {max} give {:?} instead of {:?}", keys(&found), keys(&all)))
}

pub(super) async fn ordered(bed: &Bed) -> Told {
    let entries = scan_all(&*tree(bed).await?).await?;
    let found = keys(&entries);
    ensure(found.is_sorted_by(|a, b| a < b), || format!("keys do not strictly increase: {found:?}"))
}

async fn start_after(bed: &Bed, prefix: &str, choose: impl Fn(&[Key]) -> Vec<Key>) -> Told {
    let source = tree(bed).await?;
    let of = |after: Option<&Key>| ScanOptions {
        prefix: prefix.into(),
        start_after: after.map(|key| key.as_bytes().to_vec()),
        ..ScanOptions::default()
    };
    let all = scan(&*source, &of(None), 100).await?;
    for after in choose(&keys(&all).into_iter().cloned().collect::<Vec<_>>()) {
        let rest = scan(&*source, &of(Some(&after)), 100).await?;
        let expected: Vec<&Key> = keys(&all).into_iter().filter(|key| **key > after).collect();
        ensure(keys(&rest) == expected, || format!("after `{after}` come {:?}, not {expected:?}", keys(&rest)))?;
    }
    Ok(())
}

pub(super) async fn start_after_entry(bed: &Bed) -> Told {
    start_after(bed, "", <[Key]>::to_vec).await
}

pub(super) async fn start_after_other(bed: &Bed) -> Told {
    start_after(bed, "", |_| ["b/c", "b/c/d0", "b/c/e/a", "0", "zz"].into_iter().map(Key::from).collect()).await
}

pub(super) async fn start_after_in_prefix(bed: &Bed) -> Told {
    start_after(bed, "b/c", |_| ["a", "b/a", "b/c-", "b/c/d", "b/c/e/f", "b0"].into_iter().map(Key::from).collect())
        .await
}

pub(super) async fn prefix(bed: &Bed, prefixes: &[&str]) -> Told {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    for prefix in prefixes {
        let options = ScanOptions { prefix: (*prefix).into(), ..ScanOptions::default() };
        let found = scan(&*source, &options, 100).await.map_err(|miss| miss.at(format_args!("under `{prefix}`")))?;
        let found: BTreeSet<&Key> = keys(&found).into_iter().collect();
        let has = |key: &&Key| key.as_bytes().starts_with(prefix.as_bytes());
        let expected: BTreeSet<&Key> = keys(&all).into_iter().filter(has).collect();
        ensure(found == expected, || format!("`{prefix}` finds {found:?} instead of {expected:?}"))?;
    }
    Ok(())
}

pub(super) async fn one_level(bed: &Bed, prefixes: &[&str]) -> Told {
    let source = tree(bed).await?;
    let all = scan_all(&*source).await?;
    for prefix in prefixes {
        let options = ScanOptions { prefix: (*prefix).into(), one_level: true, ..ScanOptions::default() };
        let entries = scan(&*source, &options, 100).await?;
        let found: BTreeSet<&[u8]> = entries.iter().map(|entry| entry.key.as_bytes()).collect();
        ensure(found.len() == entries.len(), || format!("`{prefix}` shows a key twice"))?;
        let expected: BTreeSet<&[u8]> =
            all.iter().filter_map(|entry| shown(entry.key.as_bytes(), prefix.as_bytes())).collect();
        ensure(found == expected, || format!("one level below `{prefix}` it shows {:?}", keys(&entries)))?;
        let folder = |key: &[u8]| key.is_empty() || key.ends_with(b"/");
        let wrong = entries.iter().find(|entry| (entry.kind == EntryKind::Directory) != folder(entry.key.as_bytes()));
        ensure(wrong.is_none(), || format!("one level below `{prefix}` an entry is of a wrong kind: {wrong:?}"))?;
    }
    Ok(())
}

pub(super) async fn hard(bed: &Bed) -> Told {
    let objects = hard_objects(bed);
    let entries = scan_all(&*filled(bed, &objects).await?).await?;
    let found: BTreeSet<&Key> = keys(&entries).into_iter().collect();
    for (key, bytes) in &objects {
        ensure(found.contains(key), || format!("`{key}` is not listed"))?;
        let reported = entries.iter().find(|entry| entry.key == *key).and_then(|entry| entry.size);
        ensure(reported.is_none_or(|size| size == bytes.len() as u64), || {
            format!("`{key}` is reported with size {reported:?}")
        })?;
    }
    let other = found.iter().find(|key| !objects.iter().any(|(held, _)| held == **key));
    match other {
        Some(key) => Err(Miss::Failed(format!("`{key}` is listed and not there"))),
        None => ensure(entries.len() == objects.len(), || format!("{} keys are listed twice", entries.len())),
    }
}

/// Hard keys, each with itself as its content.
pub(super) fn hard_objects(bed: &Bed) -> Vec<(Key, Bytes)> {
    let keys = hard_keys(bed.holds_any_bytes(), bed.key_bytes_max().min(1024));
    keys.iter().filter(|key| bed.holds(key)).map(own_name).collect()
}
