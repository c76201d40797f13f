//! What was there when, what differs, what takes the space, and what a source holds now.

use std::fs;

use credenza_engine::Secret;
use http::StatusCode;

use super::{Stand, patient};
use crate::limits::Limits;

/// A PNG of 1 × 1 pixel, as far as its size.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";

async fn stand(rows: usize) -> Stand {
    let mut stand = Stand::new(Limits { rows, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    stand
}

#[tokio::test]
async fn the_versions_of_a_path_are_shown_newest_first_with_the_snapshots_that_hold_them() {
    let stand = stand(200).await;
    let first = stand.backup("mine", &[(b"d/\xff", b"old")]).await;
    let second = stand.backup("mine", &[(b"d/\xff", b"old"), (b"other", b"1")]).await;
    let third = stand.backup("mine", &[(b"d/\xff", b"newer")]).await;
    let file = stand.page(&format!("/r/mine/s/{third}/file?key=d/%FF")).await;
    let page = stand.page(&file.link("/history?")).await;
    let text = page.text();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
    assert!(at(&format!("/r/mine/s/{third}/file?key=d/%FF")) < at(&format!("/r/mine/s/{second}/file?key=d/%FF")));
    assert!(text.contains("2 snapshots, from") && text.contains(&format!("/r/mine/s/{first}\"")), "{text}");
    assert!(text.contains("credenza at @mine history $&#39;d/\\xff&#39;"), "{text}");
    assert!(text.contains(&format!("value=\"entry:{third}:d/%FF\"")), "{text}");
    for (id, content) in [(&third, "newer"), (&second, "old")] {
        assert_eq!(stand.page(&format!("/r/mine/s/{id}/download?key=d/%FF")).await.body, content);
    }
    assert!(stand.page("/r/mine/history?key=nowhere").await.text().contains("None of 3 snapshots has it."));
}

#[tokio::test]
async fn two_snapshots_are_compared_page_by_page_and_each_difference_is_shown_once() {
    let stand = stand(2).await;
    let before = stand.backup("mine", &[(b"a", b"1"), (b"b", b"1"), (b"c/x", b"1"), (b"same", b"1")]).await;
    let after =
        stand.backup("mine", &[(b"b", b"22"), (b"c/x", b"3"), (b"c/y", b"4"), (b"d", b"5"), (b"same", b"1")]).await;
    let mut path = format!("/r/mine/diff?before={before}&after={after}");
    let mut found = Vec::new();
    loop {
        let page = stand.page(&path).await;
        let rows = page.text().split("<tr><th scope=\"row\"").skip(1);
        found.extend(rows.map(|row| {
            let name = row.split("<bdi>").nth(1).unwrap().split('<').next().unwrap().to_owned();
            let how = ["New", "Gone", "Other content", "Other attributes"];
            (name, *how.iter().find(|how| row.contains(&format!("</span> {how}<"))).unwrap())
        }));
        match page.links().iter().find(|link| link.contains("&behind=")) {
            Some(next) => path = next.clone(),
            None => break,
        }
    }
    let expected = [("a", "Gone"), ("b", "Other content"), ("c/x", "Other content"), ("c/y", "New"), ("d", "New")];
    assert_eq!(found, expected.map(|(name, how)| (name.to_owned(), how)));
    let folder = stand.page(&format!("/r/mine/diff?before={before}&after={after}&key=c/")).await;
    assert!(folder.text().contains("<bdi>y</bdi>") && !folder.text().contains("<bdi>a</bdi>"), "{}", folder.text());
    let same = stand.page(&format!("/r/mine/diff?before={before}&after={before}")).await;
    assert!(same.text().contains("Nothing differs"));
    assert_eq!(stand.get(&format!("/r/mine/diff?before={before}&after=00")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stand.get(&format!("/r/mine/diff?before={before}&after=@nowhere")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_compared_with_a_source_as_it_is_now_and_two_sources_with_each_other() {
    let stand = stand(200).await;
    let [left, right] = ["left", "right"].map(|name| {
        let folder = stand.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        stand.source(name, &folder);
        folder
    });
    fs::write(left.join("same"), "1").unwrap();
    fs::write(right.join("same"), "1").unwrap();
    fs::write(right.join("only there"), "2").unwrap();
    let id = stand.backup("mine", &[(b"same", b"1"), (b"gone", b"1")]).await;
    let page = stand.page(&format!("/r/mine/diff?before={id}&after=@left")).await;
    assert!(page.text().contains("<bdi>gone</bdi>") && page.text().contains("</span> Gone<"), "{}", page.text());
    assert!(page.text().contains("count as equal"), "{}", page.text());
    assert!(page.text().contains(&format!("credenza at @mine diff {id} @left")), "{}", page.text());
    let live = stand.page("/r/mine/diff?before=@left&after=@right").await;
    assert!(live.text().contains("<bdi>only there</bdi>") && live.text().contains("</span> New<"), "{}", live.text());
}

#[tokio::test]
async fn what_takes_the_space_is_drawn_and_told_as_a_table_down_to_each_file() {
    let stand = stand(200).await;
    let large = vec![7; 50_000];
    let id =
        stand.backup("mine", &[(b"big/a", &large), (b"big/deep/b", b"12345"), (b"<b>", b"1"), (b"none", b"")]).await;
    let page = stand.page(&format!("/r/mine/s/{id}/space")).await;
    let text = page.text();
    assert!(text.contains("48.83 KiB in 4 files") && text.contains("<svg") && text.contains("<rect"), "{text}");
    assert!(text.contains("&#60;b&#62;") && !text.contains("<b>"), "{text}");
    let below = stand.page(&page.link("/space?key=big/")).await;
    assert!(below.text().contains(&format!("/r/mine/s/{id}/file?key=big/a")), "{}", below.text());
    assert!(below.text().contains("credenza at @mine info --space "));
}

#[tokio::test]
async fn growth_is_drawn_and_told_as_a_table_for_each_source() {
    let stand = stand(200).await;
    let empty = stand.page("/r/mine/growth").await;
    assert!(empty.text().contains("There is no snapshot yet"));
    stand.backup("mine", &[(b"a", b"1")]).await;
    stand.backup("mine", &[(b"a", b"1"), (b"b", &[1; 5000])]).await;
    let page = stand.page("/r/mine/growth").await;
    let text = page.text();
    assert!(text.contains("2 snapshots on 1 day.") && text.contains("Up to 4.88 KiB"), "{text}");
    assert_eq!(text.matches("class=\"bar\"").count(), 4, "{text}");
    assert!(text.contains("class=\"more\"") && text.contains("&#60;b&#62;host"), "{text}");
}

#[tokio::test]
async fn a_size_and_a_time_find_what_a_name_does_not_and_a_wrong_one_is_told_beside_its_field() {
    let stand = stand(200).await;
    stand.backup("mine", &[(b"small", b"1"), (b"large", &[1; 5000])]).await;
    let page = stand.page("/r/mine/find?name=&larger=1KiB").await;
    assert!(page.text().contains("/file?key=large") && !page.text().contains("/file?key=small"), "{}", page.text());
    assert!(page.text().contains("credenza at @mine find --larger 1KiB</code>"), "{}", page.text());
    let both = stand.page("/r/mine/find?name=a&smaller=1KiB").await;
    assert!(both.text().contains("/file?key=small") && !both.text().contains("/file?key=large"), "{}", both.text());
    let wrong = stand.get("/r/mine/find?name=a&newer=yesterday").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("write a day (2026-01-31)") && wrong.text().contains("aria-invalid"));
}

#[tokio::test]
async fn a_picture_is_shown_by_its_bytes_in_an_answer_that_can_do_nothing() {
    let stand = stand(200).await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let id = stand
        .backup("mine", &[(b"p.txt", PICTURE), (b"v.png", svg), (b"big.png", &[PICTURE, &[0; 9_000_000]].concat())])
        .await;
    let page = stand.page(&format!("/r/mine/s/{id}/file?key=p.txt")).await;
    assert!(page.text().contains("<img src=\"/r/mine/s/"), "{}", page.text());
    let picture = stand.page(&format!("/r/mine/s/{id}/raster?key=p.txt")).await;
    assert_eq!((picture.header("content-type"), &*picture.body), ("image/png", PICTURE));
    let policy = picture.header("content-security-policy");
    assert!(policy.contains("default-src 'none'; sandbox;") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(picture.header("x-content-type-options"), "nosniff");
    for key in ["v.png", "big.png"] {
        let refused = stand.get(&format!("/r/mine/s/{id}/raster?key={key}")).await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{key}");
        assert!(!stand.page(&format!("/r/mine/s/{id}/file?key={key}")).await.text().contains("<img"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_looked_into_as_it_is_now_and_checked_step_by_step() {
    let stand = stand(3).await;
    assert!(stand.page("/sources").await.text().contains("credenza source add home ~"));
    let home = stand.folder.path().join("home");
    fs::create_dir_all(home.join("letters")).unwrap();
    for name in ["a", "b", "c", "d<e>", "letters/to-anna"] {
        fs::write(home.join(name), "1").unwrap();
    }
    stand.source("home", &home);
    stand.source("gone", &stand.folder.path().join("gone"));
    let list = stand.page("/sources").await;
    let page = stand.page(&list.link("/sources/home")).await;
    assert!(page.text().contains("<bdi>a</bdi>") && page.text().contains("Back up into mine"), "{}", page.text());
    let next = stand.page(&page.link("&after=")).await;
    assert!(next.text().contains("d&#60;e&#62;") && !next.text().contains("<bdi>a</bdi>"), "{}", next.text());
    let letters = stand.page(&next.link("?key=letters/")).await;
    assert!(letters.text().contains("<bdi>to-anna</bdi>"), "{}", letters.text());
    let token = stand.token().await;
    let good = stand.post("/place/source/home/check", &format!("token={token}")).await;
    assert!(good.status == StatusCode::OK && good.text().contains("</span> works<"), "{}", good.text());
    let missing = stand.page("/sources/gone").await;
    assert!(missing.text().contains("It cannot be listed."), "{}", missing.text());
    assert_eq!(stand.get("/sources/other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_comparison_with_what_is_there_now_has_one_page_as_each_would_list_it_once_more() {
    let mut stand = Stand::new(Limits { rows: 3, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    let now = stand.folder.path().join("now");
    std::fs::create_dir(&now).unwrap();
    (0..10).for_each(|number| std::fs::write(now.join(format!("new-{number}")), "x").unwrap());
    stand.source("now", &now);
    let page = stand.page(&format!("/r/mine/diff?before={id}&after=@now")).await;
    assert_eq!(page.text().matches("new-").count(), 10, "{}", page.text());
    assert!(!page.text().contains(">Next<"), "{}", page.text());
}
