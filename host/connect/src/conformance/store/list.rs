//! Listings: all, in order, under a prefix, in pages, while objects come and go.

use credenza_model::StoreKey;
use futures_util::future::join_all;

use super::{Bed, OrSay, Told, delete, ensure, fresh, list_all, put};
use crate::{Page, Store};

/// Names whose order is easily got wrong where folders are involved.
const LISTED: [&str; 9] =
    ["config", "data-x", "data.y", "data/00/a", "data/00/b", "data/0f", "data/f0/a", "data0", "index/a"];

async fn filled(bed: &Bed) -> Told<std::sync::Arc<dyn Store>> {
    let store = fresh(bed).await?;
    for name in LISTED.iter().rev() {
        put(&*store, name, name.as_bytes()).await?;
    }
    Ok(store)
}

pub(super) async fn all(bed: &Bed) -> Told {
    let listed = list_all(&*filled(bed).await?, "").await?;
    let mut found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    found.sort_unstable();
    ensure(found == LISTED, || format!("listed are {found:?} instead of {LISTED:?}"))
}

pub(super) async fn empty(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for prefix in ["", "data/", "config"] {
        let listed = list_all(&*store, prefix).await?;
        ensure(listed.is_empty(), || format!("an empty store lists {listed:?}"))?;
    }
    Ok(())
}

pub(super) async fn order(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    let page = store.list("", None, 100).await.or_say("list")?;
    let found = keys_of(&page);
    ensure(found.is_sorted_by(|a, b| a < b), || format!("keys do not strictly increase: {found:?}"))
}

pub(super) async fn prefix(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    for prefix in ["", "data", "data/", "data/0", "data/00/", "x", "config", "config/", "data/f0/a"] {
        let listed = list_all(&*store, prefix).await?;
        let expected: Vec<&str> = LISTED.into_iter().filter(|name| name.starts_with(prefix)).collect();
        let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        ensure(found == expected, || format!("`{prefix}` lists {found:?} instead of {expected:?}"))?;
    }
    Ok(())
}

pub(super) async fn sizes(bed: &Bed) -> Told {
    let listed = list_all(&*filled(bed).await?, "").await?;
    let wrong = listed.iter().find(|object| object.size != object.key.as_str().len() as u64);
    ensure(wrong.is_none(), || format!("a listing tells a wrong size: {wrong:?}"))
}

pub(super) async fn tags(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    for object in list_all(&*store, "").await? {
        let found = store.stat(&object.key).await.or_say("stat")?.tag;
        let agree = object.tag.is_none() || found.is_none() || object.tag == found;
        ensure(agree, || format!("{} is listed with tag {:?} and described with {found:?}", object.key, object.tag))?;
    }
    Ok(())
}

pub(super) async fn pages(bed: &Bed, asked: &[(&str, usize)]) -> Told {
    let store = filled(bed).await?;
    for &(prefix, max) in asked {
        let (mut found, mut cursor): (Vec<StoreKey>, Option<String>) = (Vec::new(), None);
        for _ in 0..100 {
            let page = store.list(prefix, cursor.as_deref(), max).await.or_say("list")?;
            found.extend(keys_of(&page).into_iter().cloned());
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        ensure(cursor.is_none(), || "nine objects fill a hundred pages".to_owned())?;
        let expected: Vec<&str> = LISTED.into_iter().filter(|name| name.starts_with(prefix)).collect();
        let names: Vec<&str> = found.iter().map(StoreKey::as_str).collect();
        ensure(names == expected, || format!("pages of {max} of `{prefix}` join to {names:?}"))?;
    }
    Ok(())
}

pub(super) async fn max(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    for max in [1, 2, 5, 9] {
        let page = store.list("", None, max).await.or_say("list")?;
        ensure(page.objects.len() <= max, || format!("a page of at most {max} holds {}", page.objects.len()))?;
    }
    Ok(())
}

pub(super) async fn cursor_again(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    let mut cursor: Option<String> = None;
    for _ in 0..LISTED.len() {
        let page = store.list("", cursor.as_deref(), 2).await.or_say("list")?;
        let again = store.list("", cursor.as_deref(), 2).await.or_say("list of a page that was listed before")?;
        ensure(keys_of(&page) == keys_of(&again), || {
            format!("one cursor leads to {:?} and to {:?}", keys_of(&page), keys_of(&again))
        })?;
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    Ok(())
}

fn keys_of(page: &Page) -> Vec<&StoreKey> {
    page.objects.iter().map(|object| &object.key).collect()
}

pub(super) async fn thousand(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let names: Vec<String> = (0..1100).map(|n| format!("data/{n:04}")).collect();
    for some in names.chunks(16) {
        join_all(some.iter().map(|name| put(&*store, name, b"x"))).await.into_iter().collect::<Told<Vec<_>>>()?;
    }
    let listed = list_all(&*store, "data/").await?;
    let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    let is_missing = |name: &&String| found.binary_search(&name.as_str()).is_err();
    ensure(found == names, || {
        format!("1100 objects are listed as {}; {:?}", found.len(), names.iter().find(is_missing))
    })
}

/// What is deleted between two pages costs none of the others its place.
pub(super) async fn meanwhile(bed: &Bed) -> Told {
    let store = filled(bed).await?;
    let first = store.list("", None, 4).await.or_say("list")?;
    let Some(next) = &first.next else {
        return ensure(first.objects.len() == LISTED.len(), || "a page is the last".to_owned());
    };
    let reported: Vec<&str> = first.objects.iter().map(|object| object.key.as_str()).collect();
    delete(&*store, &reported).await?;
    let (mut rest, mut cursor) = (Vec::new(), Some(next.clone()));
    while let Some(next) = cursor {
        ensure(rest.len() < 100, || "the listing never ends".to_owned())?;
        let page = store.list("", Some(&next), 4).await.or_say("list")?;
        rest.extend(keys_of(&page).into_iter().cloned());
        cursor = page.next;
    }
    let expected = LISTED.into_iter().skip(reported.len());
    ensure(rest.iter().map(StoreKey::as_str).eq(expected), || {
        format!("after a deletion the listing goes on with {rest:?}")
    })
}

async fn is_listed(store: &dyn Store, name: &str) -> Told<bool> {
    Ok(list_all(store, "snapshot/").await?.iter().any(|object| object.key.as_str() == name))
}

pub(super) async fn after_put(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for n in 0..12 {
        let name = format!("snapshot/{n:02}");
        put(&*store, &name, b"x").await?;
        ensure(is_listed(&*store, &name).await?, || format!("{name} is written and not listed"))?;
    }
    Ok(())
}

pub(super) async fn after_delete(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for n in 0..12 {
        put(&*store, &format!("snapshot/{n:02}"), b"x").await?;
    }
    for n in 0..12 {
        let name = format!("snapshot/{n:02}");
        delete(&*store, &[&name]).await?;
        ensure(!is_listed(&*store, &name).await?, || format!("{name} is deleted and listed"))?;
    }
    Ok(())
}
