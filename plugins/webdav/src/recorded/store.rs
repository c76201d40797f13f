//! The store against recorded answers.

use credenza_sdk::Store;

use super::*;

fn options(if_absent: bool) -> PutOptions {
    PutOptions { if_absent, if_match: None, retain_until: None, hint: "data".to_owned() }
}

fn put(store: &Folder<Tape>, if_absent: bool) -> Result<()> {
    store.put("data/ab/k", store.wire.body_of(b"abc".to_vec()), options(if_absent)).map(drop)
}

#[test]
fn an_object_is_sent_beside_and_moved_when_it_is_whole() {
    let store = folder(&[("path", "my dav")], vec![reply(201, &[], ""), reply(201, &[DATE], "")]);
    let stored = store.put("data/ab/k", store.wire.body_of(b"abc".to_vec()), options(true)).unwrap();
    assert_eq!(stored.modified.unwrap().seconds, 1_704_067_205);
    let [sent, moved] = asked(&store).try_into().unwrap();
    assert_eq!((sent.line().as_str(), sent.body.as_slice()), ("PUT /~credenza-partial/word", &b"abc"[..]));
    assert_eq!(moved.line(), "MOVE /~credenza-partial/word");
    assert_eq!(moved.header("destination"), Some("/data/ab/k"));
    assert_eq!(moved.header("overwrite"), Some("F"));
    let store = folder(&[], vec![reply(201, &[], ""), reply(204, &[], "")]);
    put(&store, false).unwrap();
    assert_eq!(asked(&store)[1].header("overwrite"), Some("T"));
}

#[test]
fn missing_folders_are_made_once_a_write_asks_for_them() {
    // 409 by the standard, 403 and 404 by some; 405 where a folder is there meanwhile.
    for missing in [409, 404, 403] {
        let replies = [missing, 201, 201, missing, missing, 405, 201, 201].map(|status| reply(status, &[], ""));
        let store = folder(&[], replies.into());
        put(&store, true).unwrap();
        let expected = [
            "PUT /~credenza-partial/word",
            "MKCOL /~credenza-partial/",
            "PUT /~credenza-partial/word",
            "MOVE /~credenza-partial/word",
            "MKCOL /data/ab/",
            "MKCOL /data/",
            "MKCOL /data/ab/",
            "MOVE /~credenza-partial/word",
        ];
        assert_eq!(lines(&store), expected);
        assert_eq!(asked(&store)[2].body, b"abc");
    }
}

#[test]
fn a_name_that_is_taken_is_a_precondition_and_a_refusal_stays_one() {
    let store = folder(&[], [201, 412, 204].map(|status| reply(status, &[], "")).into());
    assert_eq!(put(&store, true).unwrap_err().class, ErrorClass::Precondition);
    assert_eq!(lines(&store)[2], "DELETE /~credenza-partial/word");
    let store = folder(&[], [403, 403, 403].map(|status| reply(status, &[], "")).into());
    assert_eq!(put(&store, true).unwrap_err().class, ErrorClass::Denied);
    // A document of failures of parts is no success.
    let store = folder(&[], vec![reply(201, &[], ""), reply(207, &[], "<multistatus/>"), reply(204, &[], "")]);
    assert_eq!(put(&store, true).unwrap_err().class, ErrorClass::Corrupt);
    let store = folder(&[], vec![]);
    let swap = PutOptions { if_match: Some("t".to_owned()), ..options(false) };
    let answer = store.put("k", store.wire.body_of(Vec::new()), swap);
    assert_eq!(answer.unwrap_err().class, ErrorClass::Unsupported);
}

#[test]
fn what_was_sent_in_vain_is_removed_unless_it_may_still_be_moved() {
    for (status, is_removed) in [(423, true), (429, true), (500, true), (502, false), (503, false), (504, false)] {
        let replies = [201, status, 204].map(|status| reply(status, &[], ""));
        let store = folder(&[], replies[..if is_removed { 3 } else { 2 }].to_vec());
        assert_eq!(put(&store, true).unwrap_err().class, ErrorClass::Transient, "{status}");
        let removed = lines(&store).contains(&"DELETE /~credenza-partial/word".to_owned());
        assert_eq!(removed, is_removed, "{status}");
    }
}

fn names(page: &credenza_sdk::Page) -> Vec<&str> {
    page.objects.iter().map(|object| object.key.as_str()).collect()
}

#[test]
fn a_listing_goes_on_behind_the_last_key_and_hides_what_is_on_its_way() {
    let root =
        || reported(&["/dav/", "/dav/~credenza-partial/", "/dav/config", "/dav/data/", "/dav/data-x", "/dav/index/"]);
    let data = || reported(&["/dav/data/", "/dav/data/b", "/dav/data/a"]);
    let store = folder(&[], vec![root(), data(), root(), data(), reported(&["/dav/index/", "/dav/index/i"])]);
    let first = Store::list(&store, "", None, 3).unwrap();
    assert_eq!((names(&first), first.next.as_deref()), (vec!["config", "data-x", "data/a"], Some("data/a")));
    let second = Store::list(&store, "", first.next.as_deref(), 3).unwrap();
    assert_eq!((names(&second), second.next.as_deref()), (vec!["data/b", "index/i"], None));
    assert_eq!(lines(&store)[2..], ["PROPFIND /", "PROPFIND /data/", "PROPFIND /index/"]);
}

#[test]
fn a_listing_leaves_nothing_out_that_it_could_not_read() {
    let root = || reported(&["/dav/", "/dav/data/"]);
    let store = folder(&[], vec![root(), reply(403, &[], "")]);
    assert_eq!(Store::list(&store, "", None, 10).unwrap_err().class, ErrorClass::Denied);
    // Deleted since the folder above was listed.
    let store = folder(&[], vec![root(), reply(404, &[], "")]);
    assert!(Store::list(&store, "", None, 10).unwrap().objects.is_empty());
    // Not there yet.
    let store = folder(&[], vec![reply(404, &[], "")]);
    assert!(Store::list(&store, "", None, 10).unwrap().objects.is_empty());
}

#[test]
fn many_empty_folders_end_a_page_and_not_the_listing() {
    let hrefs: Vec<String> = (0..300).map(|n| format!("/dav/{n:03}/")).collect();
    let root = || reported(&["/dav/"].into_iter().chain(hrefs.iter().map(String::as_str)).collect::<Vec<_>>());
    let empty = |n: usize| reported(&[&hrefs[n]]);
    let replies = [root()].into_iter().chain((0..255).map(empty)).chain([root()]).chain((255..300).map(empty));
    let store = folder(&[], replies.collect());
    let first = Store::list(&store, "", None, 10).unwrap();
    assert_eq!(first.next.as_deref(), Some("255/"));
    assert_eq!(Store::list(&store, "", first.next.as_deref(), 10).unwrap().next, None);
    asked(&store);
}

#[test]
fn a_folder_is_no_object() {
    let store = folder(&[], vec![reported(&["/dav/data/"])]);
    assert_eq!(Store::stat(&store, "data").unwrap_err().class, ErrorClass::NotFound);
}

#[test]
fn what_was_left_behind_a_day_ago_is_removed_once() {
    let young = resource("/dav/~credenza-partial/young").replace(MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT");
    let listing =
        multistatus(&(resource("/dav/~credenza-partial/") + &resource("/dav/~credenza-partial/old") + &young));
    let replies = [listing].into_iter().chain([204, 204, 404].map(|status| reply(status, &[], "")));
    let store = folder(&[], replies.collect());
    assert!(store.delete(&["a".to_owned()]).unwrap().iter().all(Result::is_ok));
    assert!(store.delete(&["b".to_owned()]).unwrap().iter().all(Result::is_ok));
    let expected = ["PROPFIND /~credenza-partial/", "DELETE /~credenza-partial/old", "DELETE /a", "DELETE /b"];
    assert_eq!(lines(&store), expected);
}
