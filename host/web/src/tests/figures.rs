//! What a page costs, as counts.

use std::sync::Arc;

use credenza_engine::{Event, Listener, Secret};
use futures_util::future::join_all;

use super::Stand;
use crate::activity::Who;
use crate::operations::Check;

/// Browsers that follow one run.
const STREAMS: usize = 50;
/// Bytes of the first page and all that it is dressed in.
const HOME_BYTES_MAX: usize = 100_000;
/// Bytes of it for each further repository.
const LINE_BYTES_MAX: usize = 1_500;

#[tokio::test]
async fn the_overview_and_all_it_is_dressed_in_have_less_than_100_kb() {
    let stand = Stand::entered().await;
    let weight = async || {
        let page = stand.page("/").await;
        let dress: Vec<String> = page.links().into_iter().filter(|link| link.starts_with("/assets/")).collect();
        assert_eq!(dress.len(), 2, "a style and an icon: {dress:?}");
        let mut bytes = page.body.len() + include_str!("../../assets/page.js").len();
        for path in dress {
            bytes += stand.page(&path).await.body.len();
        }
        bytes
    };
    let empty = weight().await;
    for number in 0..10 {
        stand.repository(&format!("number-{number}"), Secret::None).await;
    }
    let full = weight().await;
    assert!(full < HOME_BYTES_MAX, "{full} bytes");
    assert!(full < empty + 10 * LINE_BYTES_MAX, "{empty} bytes without a repository, {full} with ten");
}

#[tokio::test]
async fn fifty_browsers_follow_a_run_at_once_and_each_sees_its_end() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let check = Arc::new(Check { read_data: false });
    let run = stand.site.runs.begin("mine", check, Who::default(), stand.site.stop.child()).ok().unwrap();
    let path = format!("/r/mine/run/{}/events", run.id);
    let following = join_all((0..STREAMS).map(|_| stand.page(&path)));
    let running = async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            run.on(Event::Progress { entries: 1, bytes: 10 });
        }
        run.end(Err(credenza_app::Error::Engine(credenza_engine::Error::Cancelled)), |_| ());
    };
    let (pages, ()) = tokio::join!(following, running);
    assert_eq!(pages.len(), STREAMS);
    for page in pages {
        assert!(page.text().ends_with("event: end\ndata:\n\n"), "{}", page.text());
        assert!(page.text().contains("30 B in 3 entries"), "{}", page.text());
    }
}
