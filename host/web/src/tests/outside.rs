//! Others than this machine: users, their roles, and the proxy in front.

use std::time::Duration;

use credenza_app::users::{Role, Users, UsersError};
use credenza_engine::Secret;
use http::header::{HOST, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, Request, StatusCode};

use super::{OUTSIDE, Page, Stand};
use crate::access::ROUTES;
use crate::door::line_of;
use crate::form::encode;
use crate::reach::{Others, Reach, TrustedProxy, Way};
use crate::session::{EACH_MAX, Stay};

const PASSWORD: &str = "a long walk by the river";
const PROXY_SECRET: &str = "0123456789abcdef";

pub(super) fn behind_proxy(proxy: Option<TrustedProxy>) -> Reach {
    Reach::Others(Others { hosts: vec![OUTSIDE.to_owned()], way: Way::Proxy(proxy), provider: None })
}

/// One user of each role, called like it. Proving a password is dear: most tests let the door vouch for them.
pub(super) fn one_each(users: &mut Users) -> Result<(), UsersError> {
    Role::ALL.into_iter().try_for_each(|role| users.add(role.name(), role, None))
}

fn with_password(users: &mut Users) -> Result<(), UsersError> {
    users.add("ana", Role::Operator, Some(PASSWORD.as_bytes()))
}

impl Stand {
    async fn log_in(&self, user: &str, password: &str) -> Page {
        self.post("/login", &format!("user={}&password={}", encode(user.as_bytes()), encode(password.as_bytes()))).await
    }

    /// A browser in which a user of that name has logged in, whoever vouched.
    pub(super) fn logged_in(&mut self, name: &str) {
        let folder = self.app.configuration_folder().unwrap();
        let user = Users::read(folder).unwrap().get(name).unwrap().unwrap();
        let secret = self.site.sessions.log_in(user, None).unwrap().unwrap();
        self.cookie = Some(format!("{}={secret}", self.site.cookie));
    }
}

#[tokio::test]
async fn a_user_logs_in_with_a_password_and_is_out_after_an_hour_or_half_a_day_or_by_leaving() {
    let mut stand = Stand::outside(&behind_proxy(None), with_password);
    let asked = stand.get("/").await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert!(
        asked.text().contains("type=\"password\"") && asked.text().contains("action=\"/login\""),
        "{}",
        asked.text()
    );
    for (user, password) in [("ana", "wrong"), ("nobody", PASSWORD), ("", ""), ("ana", "")] {
        let page = stand.log_in(user, password).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{user}");
        assert!(page.text().contains("No user has this name and this password.") && !page.text().contains(PASSWORD));
    }
    let entered = stand.log_in("ana", PASSWORD).await;
    assert_eq!((entered.status, entered.header(LOCATION.as_str())), (StatusCode::SEE_OTHER, "/"), "{}", entered.text());
    let cookie = entered.header(SET_COOKIE.as_str());
    assert!(
        cookie.starts_with("__Host-credenza=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    stand.cookie = cookie.split(';').next().map(str::to_owned);
    let page = stand.page("/").await;
    assert_eq!(page.header("strict-transport-security"), "max-age=15768000");
    // No link lets in here.
    assert_eq!(stand.get("/enter").await.status, StatusCode::NOT_FOUND);
    // As long as it is used, and half a day in all.
    for _ in 0..12 {
        stand.page("/").await;
        stand.clock.advance(Stay::USER.idle - Duration::from_secs(1));
    }
    stand.page("/").await;
    stand.clock.advance(Duration::from_secs(12));
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED, "in all");
    stand.logged_in("ana");
    stand.page("/").await;
    stand.clock.advance(Stay::USER.idle);
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED, "idle");
    stand.logged_in("ana");
    let token = stand.token().await;
    assert_eq!(stand.post("/leave", &format!("token={token}")).await.status, StatusCode::OK);
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED, "left");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_passphrase_opens_a_repository_its_removals_ask_for_the_password_of_the_user() {
    let add = |users: &mut Users| {
        users.add("ana", Role::Admin, Some(PASSWORD.as_bytes()))?;
        users.add("bo", Role::Admin, None)
    };
    let mut stand = Stand::outside(&behind_proxy(None), add);
    stand.repository("mine", Secret::None).await;
    stand.logged_in("ana");
    let token = stand.token().await;
    let form = |confirm: &str| format!("token={token}&what=remove&snapshot=none{confirm}");
    let asked = stand.post("/r/mine/run", &form("")).await;
    assert!(asked.text().contains("type the password of <bdi>ana</bdi> again"), "{}", asked.text());
    let named = stand.post("/r/mine/run", &form("&confirm=mine")).await;
    assert_eq!(named.status, StatusCode::FORBIDDEN, "the name is on the page: {}", named.text());
    let confirm = format!("&confirm={}", encode(PASSWORD.as_bytes()));
    let begun = stand.post("/r/mine/run", &form(&confirm)).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    // Who has no password here types the name.
    stand.logged_in("bo");
    let token = stand.token().await;
    let asked = stand.post("/r/mine/run", &format!("token={token}&what=remove&snapshot=none")).await;
    assert!(asked.text().contains("type its name: <code>mine</code>"), "{}", asked.text());
}

#[tokio::test]
async fn logins_are_on_the_log_with_the_user_and_how_they_ended_and_without_a_secret() {
    let stand = Stand::outside(&behind_proxy(None), with_password);
    // The last but one has typed the password as the name.
    for (user, password) in [("ana", "wrong"), (PASSWORD, ""), ("ana", PASSWORD)] {
        stand.log_in(user, password).await;
    }
    let newest = stand.site.activity.newest(10).unwrap();
    let told: Vec<(&str, &str, Option<&str>)> =
        newest.iter().map(|entry| (entry.by.name.as_str(), entry.what.as_str(), entry.result.as_deref())).collect();
    let expected = [
        ("ana", "Log in", Some("Done")),
        ("an unknown name", "Log in", Some("Wrong password")),
        ("ana", "Log in", Some("Wrong password")),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn guesses_at_a_password_are_throttled_before_they_cost_anything() {
    let stand = Stand::outside(&behind_proxy(None), with_password);
    for _ in 0..5 {
        assert_eq!(stand.log_in("ana", "wrong").await.status, StatusCode::FORBIDDEN);
    }
    let told = stand.log_in("ana", PASSWORD).await;
    assert_eq!(
        (told.status, told.header(RETRY_AFTER.as_str())),
        (StatusCode::TOO_MANY_REQUESTS, "1"),
        "{}",
        told.text()
    );
    assert!(told.text().contains("Try again in 1 second."), "{}", told.text());
    stand.clock.advance(Duration::from_secs(1));
    assert_eq!(stand.log_in("ana", PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(stand.log_in("ana", "wrong").await.status, StatusCode::FORBIDDEN, "what was right is forgiven");
}

#[tokio::test]
async fn whoever_is_removed_or_given_another_role_is_out_at_once_and_sessions_of_one_user_are_bounded() {
    let mut stand = Stand::outside(&behind_proxy(None), one_each);
    let folder = stand.app.configuration_folder().unwrap().to_owned();
    let change = |change: fn(&mut Users) -> Result<(), UsersError>| Users::edit(&folder, change).unwrap();
    stand.logged_in("operator");
    stand.page("/").await;
    change(|users| users.set_role("operator", Role::Viewer));
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED);
    stand.logged_in("viewer");
    change(|users| users.remove("viewer"));
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED);
    let mut cookies = Vec::new();
    for _ in 0..=EACH_MAX {
        stand.clock.advance(Duration::from_secs(1));
        stand.logged_in("admin");
        cookies.push(stand.cookie.clone());
    }
    for (number, cookie) in cookies.into_iter().enumerate() {
        stand.cookie = cookie;
        let status = if number == 0 { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        assert_eq!(stand.get("/").await.status, status, "{number}");
    }
}

#[tokio::test]
async fn every_address_asks_for_a_role_and_whoever_lacks_it_is_told_which() {
    let mut stand = Stand::outside(&behind_proxy(None), one_each);
    for role in Role::ALL {
        for route in ROUTES {
            let Some(action) = route.action else { continue };
            let path = format!("/{}", route.pattern.replace('*', "x"));
            stand.logged_in(role.name());
            let page = match route.is_form {
                true => stand.post(&path, &format!("token={}", stand.token().await)).await,
                false => stand.get(&path).await,
            };
            let is_refused =
                page.status == StatusCode::FORBIDDEN && String::from_utf8_lossy(&page.body).contains("takes the role");
            assert_eq!(is_refused, role < action.least(), "{path} as {role}: {} {}", page.status, page.text());
            if is_refused {
                let least = action.least();
                assert!(
                    page.text().contains(&format!("that takes the role {least}, and yours is {role}")),
                    "{}",
                    page.text()
                );
            }
        }
    }
}

#[tokio::test]
async fn who_has_not_logged_in_is_asked_to_at_every_address_that_is_not_open() {
    let stand = Stand::outside(&behind_proxy(None), one_each);
    for route in ROUTES {
        let path = format!("/{}", route.pattern.replace('*', "x"));
        let page = if route.is_form { stand.post(&path, "").await } else { stand.get(&path).await };
        assert_eq!(page.status == StatusCode::UNAUTHORIZED, route.action.is_some(), "{path}: {}", page.status);
    }
}

#[tokio::test]
async fn an_action_that_is_not_allowed_is_shown_disabled_with_its_reason() {
    let mut stand = Stand::outside(&behind_proxy(None), one_each);
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a.txt", b"dear a")]).await;
    stand.logged_in("viewer");
    let page = stand.page("/r/mine").await;
    let reason = "that takes the role operator, and yours is viewer";
    assert!(
        page.text().contains("<button disabled>Check now</button>") && page.text().contains(reason),
        "{}",
        page.text()
    );
    let file = stand.page(&format!("/r/mine/s/{id}/file?key=a.txt")).await;
    assert!(!file.text().contains("dear a"), "contents are for who may restore: {}", file.text());
    assert!(file.text().contains("that takes the role restorer, and yours is viewer"), "{}", file.text());
    stand.logged_in("operator");
    let page = stand.page("/r/mine").await;
    assert!(page.text().contains("<button>Check now</button>") && !page.text().contains("disabled"), "{}", page.text());
    assert!(stand.page(&format!("/r/mine/s/{id}/file?key=a.txt")).await.text().contains("dear a"));
}

#[tokio::test]
async fn a_proxy_says_who_the_user_is_only_where_it_proves_itself() {
    let user_header = Some(HeaderName::from_static("remote-user"));
    let proxy = TrustedProxy { secret: PROXY_SECRET.as_bytes().to_vec().into(), user_header };
    let stand = Stand::outside(&behind_proxy(Some(proxy)), one_each);
    let ask = |headers: &[(&str, &str)]| {
        let request = Request::builder().uri("/").header(HOST, OUTSIDE);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let secret = ("x-credenza-proxy-secret", PROXY_SECRET);
    let refused: [&[(&str, &str)]; 4] = [
        &[("remote-user", "admin")],
        &[("remote-user", "admin"), ("x-credenza-proxy-secret", "wrong")],
        &[("remote-user", "admin"), secret, ("x-credenza-proxy-secret", "wrong")],
        &[],
    ];
    for headers in refused {
        let page = stand.send(ask(headers), "").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(page.text().contains("--proxy-secret-file"), "{}", page.text());
    }
    let nobody: [&[(&str, &str)]; 3] = [
        &[secret],
        &[secret, ("remote-user", "nobody")],
        &[secret, ("remote-user", "viewer"), ("remote-user", "admin")],
    ];
    for headers in nobody {
        assert_eq!(stand.send(ask(headers), "").await.status, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    let page = stand.send(ask(&[secret, ("remote-user", "viewer")]), "").await;
    assert_eq!(page.status, StatusCode::OK);
    // Its forms carry a token of this user, and no other passes.
    let token = |page: &Page| {
        page.text().split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let own = token(&page);
    let other = token(&stand.send(ask(&[secret, ("remote-user", "admin")]), "").await);
    for (token, status) in [(own, StatusCode::OK), (other, StatusCode::FORBIDDEN)] {
        let request = Request::post("/leave")
            .header(HOST, OUTSIDE)
            .header("sec-fetch-site", "same-origin")
            .header("remote-user", "viewer")
            .header(secret.0, secret.1);
        assert_eq!(stand.send(request, format!("token={token}")).await.status, status);
    }
}

#[tokio::test]
async fn behind_a_proxy_the_address_that_it_has_seen_itself_is_throttled_and_no_name_that_a_browser_adds() {
    let stand = Stand::outside(&behind_proxy(None), one_each);
    let seen = |forwarded: &str| {
        let request = Request::builder().header("x-forwarded-for", forwarded).body(()).unwrap();
        line_of(stand.site.door.address_of(&request.into_parts().0))
    };
    assert_eq!(seen("203.0.113.9, 192.0.2.1"), "192.0.2.1");
    assert_eq!(seen("192.0.2.1"), "192.0.2.1");
    assert_eq!(seen("::ffff:192.0.2.1"), "192.0.2.1");
    assert_eq!(seen("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert_eq!(seen("nonsense"), "");
}
