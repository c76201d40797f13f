//! A real browser: Debian's Chromium, driven as a person drives it.
//!
//! Owned here: one browser with a profile of its own, what it shows, and what is typed and clicked. Refused here: what any page of credenza has in it
//! (the tests). Everything that is waited for has a minute, so that a slow machine fails no test.

mod driver;
mod looks;
mod ui;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use driver::Driver;

pub use looks::{Scheme, View};
pub use ui::Ui;

/// How long is waited for anything at most.
const WAIT_MAX: Duration = Duration::from_mins(3);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Stops of the tabulator that are tried before a control counts as out of reach.
const TABS_MAX: usize = 300;

/// What the WebDriver protocol calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys as WebDriver writes them.
pub const TAB: char = '\u{e004}';
/// Enter.
pub const ENTER: char = '\u{e007}';
/// Space.
pub const SPACE: char = ' ';

/// A browser; it ends when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    session: String,
}

/// Something on the page that is shown, until another page is.
#[derive(Debug, Clone)]
pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Browser {
    /// Starts one with nothing remembered.
    ///
    /// # Errors
    /// When Chromium or its driver is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let driver = Driver::start()?;
        let profile = driver.folder.path().join("profile");
        let downloads = driver.folder.path().join("downloads");
        std::fs::create_dir(&downloads)?;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // A container may give little shared memory.
            "--disable-dev-shm-usage",
            "--force-device-scale-factor=1",
            "--hide-scrollbars",
            // Pictures are half as large without colours at the edges of letters.
            "--disable-lcd-text",
            "--lang=en",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let options = json!({
            "args": arguments,
            "prefs": {
                "download.default_directory": downloads,
                "download.prompt_for_download": false,
                "profile.default_content_setting_values.automatic_downloads": 1,
            },
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options,
            // Certificates of tests are of nobody.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "timeouts": {"implicit": 0, "pageLoad": 120_000, "script": 120_000},
        }}});
        let session = driver.ask("POST", "/session", Some(&wanted))?;
        let session = session.get("sessionId").and_then(Value::as_str).context("a session has an id")?.to_owned();
        Ok(Self { driver, session })
    }

    fn get(&self, what: &str) -> Result<Value> {
        self.driver.ask("GET", &format!("/session/{}/{what}", self.session), None)
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.driver.ask("POST", &format!("/session/{}/{what}", self.session), Some(body))
    }

    /// A command of the DevTools protocol.
    fn command(&self, name: &str, parameters: &Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// Opens an address and waits until it is there.
    ///
    /// # Errors
    /// When it does not load.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// When it does not load.
    pub fn reload(&self) -> Result<()> {
        self.post("refresh", &json!({})).map(drop)
    }

    /// The address of what is shown.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn address(&self) -> Result<String> {
        Ok(self.get("url")?.as_str().unwrap_or_default().to_owned())
    }

    /// The HTML that is shown.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn source(&self) -> Result<String> {
        Ok(self.get("source")?.as_str().unwrap_or_default().to_owned())
    }

    /// What a person reads on the page.
    ///
    /// # Errors
    /// When there is none.
    pub fn text(&self) -> Result<String> {
        self.find("body")?.text()
    }

    /// What a script gives back, which runs as one of the page.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script hands to its last argument.
    ///
    /// # Errors
    /// When it fails, or hands over nothing.
    pub fn run_until(&self, script: &str) -> Result<Value> {
        self.post("execute/async", &json!({"script": script, "args": []}))
    }

    /// The first element that a selector of CSS names; waits until there is one.
    ///
    /// # Errors
    /// With what is shown, when there is none.
    pub fn find(&self, selector: &str) -> Result<Element<'_>> {
        self.wait(&format!("no {selector}"), || Ok(self.all("css selector", selector)?.into_iter().next()))
    }

    /// The link or button with this text; waits until there is one.
    ///
    /// # Errors
    /// With what is shown, when there is none.
    pub fn control(&self, text: &str) -> Result<Element<'_>> {
        // No text here has both sorts of quotes.
        let quoted = if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") };
        let path = format!(
            "//*[self::a or self::button or self::summary][normalize-space(.)={quoted} or @aria-label={quoted}]"
        );
        self.wait(&format!("no control {text:?}"), || Ok(self.all("xpath", &path)?.into_iter().next()))
    }

    /// Follows the link, or presses the button, with this text.
    ///
    /// # Errors
    /// With what is shown, when there is none.
    pub fn click(&self, text: &str) -> Result<()> {
        self.control(text)?.click()
    }

    /// Waits until the page says this.
    ///
    /// # Errors
    /// With what it says, when it does not.
    pub fn expect(&self, text: &str) -> Result<()> {
        self.wait(&format!("the page does not say {text:?}"), || Ok(self.text()?.contains(text).then_some(())))
    }

    /// Waits until the page does not say this, or no more.
    ///
    /// # Errors
    /// With what it says, when it does.
    pub fn refuse(&self, text: &str) -> Result<()> {
        self.wait(&format!("the page says {text:?}"), || Ok((!self.text()?.contains(text)).then_some(())))
    }

    fn all(&self, using: &str, value: &str) -> Result<Vec<Element<'_>>> {
        let found = self.post("elements", &json!({"using": using, "value": value}))?;
        let ids = found.as_array().into_iter().flatten().filter_map(|element| element.get(ELEMENT)?.as_str());
        Ok(ids.map(|id| Element { browser: self, id: id.to_owned() }).collect())
    }

    /// Waits until there is something. A page that changes meanwhile is looked at again.
    fn wait<T>(&self, missing: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let looked = look();
            if let Ok(Some(found)) = looked {
                return Ok(found);
            }
            if begun.elapsed() > WAIT_MAX {
                let shown = self.text_now().unwrap_or_default();
                let why = looked.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
                bail!("{missing}{why} on {}:\n{shown}", self.address()?);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn text_now(&self) -> Result<String> {
        let body = self.all("css selector", "body")?;
        body.first().context("a page has a body")?.text()
    }

    /// Types with the keyboard, wherever the focus is.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn keys(&self, text: &str) -> Result<()> {
        let actions: Vec<Value> = text
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).map(drop)
    }

    /// What has the focus.
    ///
    /// # Errors
    /// When nothing has.
    pub fn focused(&self) -> Result<Element<'_>> {
        let element = self.get("element/active")?;
        let id = element.get(ELEMENT).and_then(Value::as_str).context("nothing has the focus")?.to_owned();
        Ok(Element { browser: self, id })
    }

    /// Presses the tabulator until the focus is on what has this name for who hears the page: a text, or a label.
    ///
    /// # Errors
    /// When it is never reached, or the focus cannot be seen where it is.
    pub fn tab_to(&self, name: &str) -> Result<()> {
        for _ in 0..TABS_MAX {
            self.keys(&TAB.to_string())?;
            let focused = self.focused()?;
            if focused.name()? == name {
                let outline = focused.css("outline-style")?;
                ensure!(outline != "none", "the focus on {name:?} cannot be seen");
                return Ok(());
            }
        }
        bail!("{name:?} is not reached by the tabulator on {}:\n{}", self.address()?, self.text()?)
    }

    /// Files that were downloaded whole, by name.
    ///
    /// # Errors
    /// With what is there, when the file does not come.
    pub fn downloaded(&self, name: &str) -> Result<Vec<u8>> {
        let folder = self.driver.folder.path().join("downloads");
        self.wait(&format!("{name} was not downloaded"), || {
            Ok(std::fs::read(folder.join(name)).ok().filter(|_| !folder.join(format!("{name}.crdownload")).exists()))
        })
    }

    /// Every address that any page or frame has asked for since this was asked last.
    ///
    /// # Errors
    /// When the browser keeps no log.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = self.post("se/log", &json!({"type": "performance"}))?;
        let lines = log.as_array().context("a log has lines")?.iter();
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(line.get("message")?.as_str()?).ok());
        let sent = events.filter_map(|event| {
            let message = event.get("message")?;
            let is_request = message.get("method")? == "Network.requestWillBeSent";
            let url = message.get("params")?.get("request")?.get("url")?.as_str()?;
            is_request.then(|| url.to_owned())
        });
        Ok(sent.collect())
    }

    /// What pages have complained of since this was asked last.
    ///
    /// # Errors
    /// When the browser keeps no log.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("se/log", &json!({"type": "browser"}))?;
        let lines = log.as_array().context("a log has lines")?.iter();
        Ok(lines.filter_map(|line| Some(line.get("message")?.as_str()?.to_owned())).collect())
    }

    /// A picture of what is shown, as PNG.
    ///
    /// # Errors
    /// When there is none.
    pub fn picture(&self) -> Result<Vec<u8>> {
        let picture = self.get("screenshot")?;
        Ok(BASE64_STANDARD.decode(picture.as_str().context("a picture is a text")?)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends what is left.
        let _ = self.driver.ask("DELETE", &format!("/session/{}", self.session), None);
    }
}

impl Element<'_> {
    fn get(&self, what: &str) -> Result<Value> {
        self.browser.get(&format!("element/{}/{what}", self.id))
    }

    /// Clicks it.
    ///
    /// # Errors
    /// When it is gone, or something lies over it.
    pub fn click(&self) -> Result<()> {
        self.browser.post(&format!("element/{}/click", self.id), &json!({})).map(drop)
    }

    /// Types into it, in place of what was there.
    ///
    /// # Errors
    /// When it is gone, or takes no text.
    pub fn fill(&self, text: &str) -> Result<()> {
        self.browser.post(&format!("element/{}/clear", self.id), &json!({}))?;
        self.browser.post(&format!("element/{}/value", self.id), &json!({ "text": text })).map(drop)
    }

    /// Chooses an option by what it says, or types it where the element is no list.
    ///
    /// # Errors
    /// When it is gone.
    pub fn choose(&self, text: &str) -> Result<()> {
        self.browser.post(&format!("element/{}/value", self.id), &json!({ "text": text })).map(drop)
    }

    /// What a person reads of it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn text(&self) -> Result<String> {
        Ok(self.get("text")?.as_str().unwrap_or_default().to_owned())
    }

    /// An attribute.
    ///
    /// # Errors
    /// When it is gone.
    pub fn attribute(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(&format!("attribute/{name}"))?.as_str().map(str::to_owned))
    }

    /// A property of its style.
    ///
    /// # Errors
    /// When it is gone.
    pub fn css(&self, name: &str) -> Result<String> {
        Ok(self.get(&format!("css/{name}"))?.as_str().unwrap_or_default().to_owned())
    }

    /// What it is called for who hears the page.
    ///
    /// # Errors
    /// When it is gone.
    pub fn name(&self) -> Result<String> {
        Ok(self.get("computedlabel")?.as_str().unwrap_or_default().trim().to_owned())
    }
}
