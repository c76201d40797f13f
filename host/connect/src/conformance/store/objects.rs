//! Objects that are put, got by whole and by range, described and deleted.

use bytes::Bytes;
use credenza_model::StoreKey;
use futures_util::future::join_all;

use super::super::expect_class;
use super::{Bed, OrSay, Told, delete, ensure, fresh, get, key, put};
use crate::random::Dice;
use crate::{ByteRange, ErrorClass, Payload, PutOptions, Store};

pub(super) async fn put_get(bed: &Bed, seed: u64, length: u64) -> Told {
    let (store, bytes) = (fresh(bed).await?, Dice::new(seed).bytes(length));
    put(&*store, "data/a", &bytes).await?;
    let read = get(&*store, "data/a", None).await?;
    ensure(read == bytes, || format!("{length} bytes were written, and {} other bytes read", read.len()))
}

pub(super) async fn put_in_pieces(bed: &Bed, seed: u64) -> Told {
    let (store, bytes) = (fresh(bed).await?, Bytes::from(Dice::new(seed).bytes(10_000)));
    let (head, tail) = (bytes.slice(..3000), bytes.slice(3000..));
    let payload = Payload::new(vec![Bytes::new(), head, Bytes::new(), tail]);
    store.put(&key("data/a")?, payload, &PutOptions::default()).await.or_say("put")?;
    ensure(get(&*store, "data/a", None).await? == bytes, || "an object put in pieces reads as another".to_owned())
}

pub(super) async fn replaces(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "usage/a", b"a longer first content").await?;
    put(&*store, "usage/a", b"second").await?;
    let read = get(&*store, "usage/a", None).await?;
    ensure(read == b"second"[..], || format!("after it was replaced the object holds {} bytes", read.len()))
}

pub(super) async fn replaced_size(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "usage/a", b"a longer first content").await?;
    store.stat(&key("usage/a")?).await.or_say("stat")?;
    put(&*store, "usage/a", b"second").await?;
    let size = store.stat(&key("usage/a")?).await.or_say("stat")?.size;
    ensure(size == 6, || format!("6 bytes replaced 22, and {size} are reported"))
}

pub(super) async fn side_by_side(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let names: Vec<String> = (0..16).map(|n| format!("data/{:02}/{n:02}", n % 3)).collect();
    join_all(names.iter().map(|name| put(&*store, name, name.as_bytes())))
        .await
        .into_iter()
        .collect::<Told<Vec<_>>>()?;
    for name in &names {
        let read = get(&*store, name, None).await?;
        ensure(read == name.as_bytes(), || format!("{name} was put with fifteen others and holds other bytes"))?;
    }
    Ok(())
}

pub(super) async fn put_tag(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let tag = put(&*store, "data/a", b"12345").await?;
    let found = store.stat(&key("data/a")?).await.or_say("stat")?.tag;
    ensure(tag.is_none() || found.is_none() || tag == found, || format!("put names tag {tag:?}, stat {found:?}"))
}

pub(super) async fn hint(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for hint in ["data", "meta", "index", "snapshot", "intent", "usage", "key", ""] {
        let options = PutOptions { hint: hint.to_owned(), ..PutOptions::default() };
        let put = store.put(&key("data/a")?, Payload::from(hint.as_bytes().to_vec()), &options).await;
        put.or_say(&format!("a put with the hint `{hint}`"))?;
        ensure(get(&*store, "data/a", None).await? == hint.as_bytes(), || format!("`{hint}` is kept as other bytes"))?;
    }
    Ok(())
}

async fn kept(bed: &Bed, names: &[&str]) -> Told {
    let store = fresh(bed).await?;
    for name in names {
        put(&*store, name, name.as_bytes()).await?;
    }
    for name in names {
        let read = get(&*store, name, None).await?;
        ensure(read == name.as_bytes(), || format!("{name} holds the bytes of {}", read.escape_ascii()))?;
    }
    Ok(())
}

pub(super) async fn longest_key(bed: &Bed) -> Told {
    let (one, deep) = (format!("data/{}", "k".repeat(195)), format!("data/{}z", "ab/".repeat(64)));
    kept(bed, &[&one, &deep]).await
}

pub(super) async fn key_characters(bed: &Bed) -> Told {
    kept(bed, &["a-b_c.d", "...a", "-", "_", "data/.x", "data/x.", "data/x..y", "data/0123456789"]).await
}

pub(super) async fn get_missing(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/aa", b"x").await?;
    for missing in ["data/a", "data/aaa", "none", "none/x"] {
        expect_class(store.get(&key(missing)?, None, None).await, ErrorClass::NotFound, &format!("get {missing}"))?;
    }
    Ok(())
}

/// A store with an object `data/a` of so many random bytes.
async fn one(bed: &Bed, seed: u64, length: u64) -> Told<(std::sync::Arc<dyn Store>, Bytes)> {
    let (store, bytes) = (fresh(bed).await?, Bytes::from(Dice::new(seed).bytes(length)));
    put(&*store, "data/a", &bytes).await?;
    Ok((store, bytes))
}

pub(super) async fn get_length(bed: &Bed, seed: u64) -> Told {
    let (store, _) = one(bed, seed, 12_345).await?;
    let announced = store.get(&key("data/a")?, None, None).await.or_say("get")?.length;
    ensure(announced.is_none_or(|reported| reported == 12_345), || {
        format!("12345 bytes are announced as {announced:?}")
    })
}

pub(super) async fn get_again(bed: &Bed, seed: u64) -> Told {
    let (store, bytes) = one(bed, seed, 30_000).await?;
    for read in join_all((0..16).map(|_| get(&*store, "data/a", None))).await {
        ensure(read? == bytes, || "of sixteen reads at once one yields other bytes".to_owned())?;
    }
    Ok(())
}

pub(super) async fn get_given_up(bed: &Bed, seed: u64) -> Told {
    let (store, bytes) = one(bed, seed, 300_000).await?;
    for _ in 0..40 {
        drop(store.get(&key("data/a")?, None, None).await.or_say("get")?);
    }
    ensure(get(&*store, "data/a", None).await? == bytes, || "after reads that were given up it reads wrong".to_owned())
}

pub(super) async fn ranges(bed: &Bed, seed: u64, ranges: &[(u64, Option<u64>)]) -> Told {
    let (store, bytes) = one(bed, seed, 10_000).await?;
    for &(offset, length) in ranges {
        let read = get(&*store, "data/a", Some(ByteRange { offset, length })).await?;
        let expected = bytes.iter().skip(offset as usize).take(length.unwrap_or(u64::MAX) as usize);
        ensure(read.iter().eq(expected), || format!("bytes {offset} and {length:?} more came back wrong"))?;
    }
    Ok(())
}

pub(super) async fn range_beyond(bed: &Bed, seed: u64, offset: u64) -> Told {
    let (store, _) = one(bed, seed, 10_000).await?;
    let answer = match store.get(&key("data/a")?, Some(ByteRange { offset, length: Some(1) }), None).await {
        Ok(body) => body.read_all(1 << 20).await,
        Err(error) => Err(error),
    };
    expect_class(answer, ErrorClass::Corrupt, &format!("a range from byte {offset} of 10000"))
}

pub(super) async fn range_missing(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let range = Some(ByteRange { offset: 3, length: Some(4) });
    expect_class(store.get(&key("data/none")?, range, None).await, ErrorClass::NotFound, "a range of a missing object")
}

pub(super) async fn nothing(bed: &Bed, seed: u64) -> Told {
    let (store, _) = one(bed, seed, 100).await?;
    let Ok(body) = store.get(&key("data/a")?, Some(ByteRange { offset: 5, length: Some(0) }), None).await else {
        return Ok(());
    };
    match body.read_all(1 << 20).await {
        Ok(bytes) => ensure(bytes.is_empty(), || format!("a range of no bytes yields {}", bytes.len())),
        Err(_) => Ok(()),
    }
}

pub(super) async fn stat_size(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for (name, size) in [("data/five", 5), ("data/empty", 0), ("data/some", 70_000)] {
        put(&*store, name, &vec![b'x'; size]).await?;
        let found = store.stat(&key(name)?).await.or_say("stat")?;
        ensure((found.key.as_str(), found.size) == (name, size as u64), || {
            format!("{size} bytes are reported as {found:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn stat_missing(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/aa", b"x").await?;
    for missing in ["data/a", "data/aaa", "none", "none/x"] {
        expect_class(store.stat(&key(missing)?).await, ErrorClass::NotFound, &format!("stat {missing}"))?;
    }
    Ok(())
}

pub(super) async fn stat_tag(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"12345").await?;
    let first = store.stat(&key("data/a")?).await.or_say("stat")?;
    put(&*store, "data/a", b"67890").await?;
    let second = store.stat(&key("data/a")?).await.or_say("stat")?;
    ensure(first.tag.is_none() || first.tag != second.tag, || "the tag outlived the object that it named".to_owned())
}

pub(super) async fn stat_time(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"1").await?;
    put(&*store, "data/b", b"2").await?;
    let first = store.stat(&key("data/a")?).await.or_say("stat")?.modified;
    let second = store.stat(&key("data/b")?).await.or_say("stat")?.modified;
    let is_in_order = first.zip(second).is_none_or(|(first, second)| first <= second);
    ensure(is_in_order, || format!("the first object is told to be of {first:?}, the second of {second:?}"))
}

pub(super) async fn delete_there(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"x").await?;
    delete(&*store, &["data/a"]).await?;
    expect_class(store.get(&key("data/a")?, None, None).await, ErrorClass::NotFound, "get of a deleted object")?;
    expect_class(store.stat(&key("data/a")?).await, ErrorClass::NotFound, "stat of a deleted object")
}

pub(super) async fn delete_absent(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    delete(&*store, &["data/none"]).await?;
    delete(&*store, &["none/none"]).await?;
    put(&*store, "data/a", b"x").await?;
    delete(&*store, &["data/a"]).await?;
    delete(&*store, &["data/a"]).await
}

pub(super) async fn delete_each(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    put(&*store, "data/a", b"x").await?;
    put(&*store, "data/c", b"x").await?;
    delete(&*store, &["data/a", "data/b", "data/c", "none/d"]).await?;
    for name in ["data/a", "data/c"] {
        expect_class(
            store.stat(&key(name)?).await,
            ErrorClass::NotFound,
            &format!("stat of {name}, which is deleted"),
        )?;
    }
    Ok(())
}

pub(super) async fn delete_none(bed: &Bed) -> Told {
    delete(&*fresh(bed).await?, &[]).await
}

pub(super) async fn delete_others(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    for name in ["data/a", "data/ab", "data/b", "data/c/d", "data-a"] {
        put(&*store, name, name.as_bytes()).await?;
    }
    delete(&*store, &["data/a", "data/missing"]).await?;
    for name in ["data/ab", "data/b", "data/c/d", "data-a"] {
        let read = get(&*store, name, None).await?;
        ensure(read == name.as_bytes(), || format!("{name} was not deleted and holds other bytes"))?;
    }
    Ok(())
}

pub(super) async fn delete_many(bed: &Bed) -> Told {
    let store = fresh(bed).await?;
    let names: Vec<String> = (0..300).map(|n| format!("data/{n:03}")).collect();
    for some in names.chunks(16) {
        join_all(some.iter().map(|name| put(&*store, name, b"x"))).await.into_iter().collect::<Told<Vec<_>>>()?;
    }
    let keys = names.iter().map(|name| key(name)).collect::<Told<Vec<StoreKey>>>()?;
    let outcomes = store.delete(&keys).await.or_say("delete")?;
    ensure(outcomes.len() == 300, || format!("300 keys have {} results", outcomes.len()))?;
    outcomes.into_iter().try_for_each(|outcome| outcome.or_say("delete of one key"))?;
    expect_class(store.stat(&key("data/299")?).await, ErrorClass::NotFound, "stat of a deleted object")
}
