//! Streams end with the session that has asked for them, and no other with it.

use std::sync::Arc;

use bytes::Bytes;
use credenza_app::users::{Role, Users};
use credenza_engine::{Event, Secret, Stop};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinHandle;

use super::{LISTEN, OUTSIDE, Stand, SteppedClock, app_in, patient};
use crate::activity::Who;
use crate::operations::Check;
use crate::reach::{Others, Reach, Way};
use crate::reply::{Body, Broken};
use crate::runs::Run;
use crate::server::{self, Entrance, answer};
use crate::session::Stay;

/// A repository, a run in it that goes on, a large file, and two users; the clock goes as the test wants.
struct Room {
    stand: Stand,
    clock: Arc<SteppedClock>,
    run: Arc<Run>,
    snapshot: String,
}

impl Room {
    async fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let app = app_in(&folder);
        Users::edit(app.configuration_folder().unwrap(), |users| {
            ["ana", "bo"].into_iter().try_for_each(|name| users.add(name, Role::Operator, None))
        })
        .unwrap();
        let reach = Reach::Others(Others { hosts: vec![OUTSIDE.to_owned()], way: Way::Proxy(None), provider: None });
        let entrance = Entrance::of(&app, LISTEN.parse().unwrap(), &reach).unwrap();
        let clock = SteppedClock::new();
        let mut stand = Stand::at(entrance, OUTSIDE, app.clone(), folder, patient());
        let entrance = Entrance::of(&app, LISTEN.parse().unwrap(), &reach).unwrap();
        let site = server::site(app, entrance, None, patient(), Arc::clone(&clock) as _, Stop::default());
        stand.site = Arc::new(site.unwrap());
        stand.repository("mine", Secret::None).await;
        let large: Vec<u8> =
            (0..4_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let snapshot = stand.backup("mine", &[(b"f/large", &large)]).await;
        let check = Arc::new(Check { read_data: false });
        let run = stand.site.runs.begin("mine", check, Who::default(), stand.site.stop.child()).ok().unwrap();
        Self { stand, clock, run, snapshot }
    }

    /// A browser in which a user has logged in: the secret of its cookie.
    fn log_in(&self, name: &str) -> String {
        let user = self.stand.site.door.users().unwrap().user(name).unwrap();
        self.stand.site.sessions.log_in(user, None).unwrap().unwrap()
    }

    async fn open(&self, secret: &str, path: &str) -> Body {
        let cookie = format!("{}={secret}", self.stand.site.cookie);
        let request = Request::get(path).header("host", OUTSIDE).header("cookie", cookie);
        let reply = answer(&self.stand.site, request.body(Full::new(Bytes::new())).unwrap()).await;
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        assert!(reply.headers().get(CONTENT_TYPE).is_some_and(|kind| kind != "text/html; charset=utf-8"));
        reply.into_body()
    }

    /// A browser that follows the run.
    async fn follow(&self, secret: &str) -> JoinHandle<Result<String, Broken>> {
        let body = self.open(secret, &format!("/r/mine/run/{}/events", self.run.id)).await;
        tokio::spawn(async move { Ok(String::from_utf8(body.collect().await?.to_bytes().to_vec())?) })
    }

    /// A download and an archive of which some was taken.
    async fn downloads(&self, secret: &str) -> [Body; 2] {
        let at = format!("/r/mine/s/{}", self.snapshot);
        let mut file = self.open(secret, &format!("{at}/download?key=f/large")).await;
        let mut archive = self.open(secret, &format!("{at}/archive?key=f/&format=tar")).await;
        for body in [&mut file, &mut archive] {
            assert!(body.frame().await.unwrap().is_ok());
        }
        [file, archive]
    }

    /// Lets time pass until a browser has nothing more to wait for.
    async fn until_over<T>(&self, browser: JoinHandle<T>) -> T {
        while !browser.is_finished() {
            self.clock.end_all();
            tokio::task::yield_now().await;
        }
        browser.await.unwrap()
    }

    /// Demands that both break off with the next piece.
    async fn expect_broken(&self, downloads: [Body; 2]) {
        self.clock.end_all();
        for mut body in downloads {
            let broken = body.frame().await.unwrap().err().map(|why| why.to_string());
            assert_eq!(broken.as_deref(), Some("the session has ended"));
        }
    }

    /// Demands that a browser goes on to see how the run ends.
    async fn expect_to_the_end(&self, browser: JoinHandle<Result<String, Broken>>) {
        self.run.on_progress();
        self.run.end(Err(credenza_app::Error::Engine(credenza_engine::Error::Cancelled)), |_| ());
        let seen = self.until_over(browser).await.unwrap();
        assert!(seen.ends_with("event: end\ndata:\n\n"), "{seen}");
    }
}

impl Run {
    fn on_progress(&self) {
        credenza_engine::Listener::on(self, Event::Progress { entries: 1, bytes: 10 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_user_downloads_and_follows_ends_and_others_go_on() {
    let room = Room::new().await;
    let (ana, bo) = (room.log_in("ana"), room.log_in("bo"));
    let (of_ana, of_bo) = (room.follow(&ana).await, room.follow(&bo).await);
    let downloads = room.downloads(&ana).await;
    let [mut kept, _] = room.downloads(&bo).await;
    Users::edit(room.stand.app.configuration_folder().unwrap(), |users| users.remove("ana")).unwrap();
    room.expect_broken(downloads).await;
    assert!(room.until_over(of_ana).await.is_err());
    assert!(kept.frame().await.unwrap().is_ok(), "what another downloads goes on");
    assert!(!of_bo.is_finished());
    room.expect_to_the_end(of_bo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_downloads_and_follows_ends_when_it_has_left_and_another_of_the_same_user_goes_on() {
    let room = Room::new().await;
    let (here, there) = (room.log_in("ana"), room.log_in("ana"));
    let (of_here, of_there) = (room.follow(&here).await, room.follow(&there).await);
    let downloads = room.downloads(&here).await;
    room.stand.site.sessions.leave(&here);
    room.expect_broken(downloads).await;
    assert!(room.until_over(of_here).await.is_err());
    room.expect_to_the_end(of_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_use_of_the_page_until_the_longest_stay_is_over_and_a_forgotten_page_is_none() {
    let room = Room::new().await;
    let (forgotten, used) = (room.log_in("ana"), room.log_in("bo"));
    let following = room.follow(&forgotten).await;
    let downloads = room.downloads(&used).await;
    // Each step is shorter than the longest time without use.
    let step = Stay::USER.idle * 3 / 4;
    let [mut file, archive] = downloads;
    for _ in 0..2 {
        room.clock.advance(step);
        room.clock.end_all();
        assert!(file.frame().await.unwrap().is_ok(), "it goes on for longer than anybody may be idle");
    }
    assert!(room.until_over(following).await.is_err());
    room.clock.advance(Stay::USER.whole);
    room.expect_broken([file, archive]).await;
}
