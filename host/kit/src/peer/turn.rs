//! One request at a misbehaving peer: before it is carried out, and on the way back.

use bytes::Bytes;
use credenza_connect::random::Dice;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::Mood;
use super::liberty::Liberty;
use super::sent::{Delivery, Outgoing};
use crate::exchange::{Answer, Asked};

const HTML: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Please log in to use this network.</p></body></html>";
/// A header that no client should keep whole, and the number of small ones that none should.
const HUGE_BYTES: usize = 1 << 20;
const HEADERS_MANY: usize = 200;
/// A wish that nobody can fulfil in a test, and one that everybody can.
const RETRY_AFTER_SECONDS: [&str; 2] = ["3600", "0"];

/// How a stand-in is to cut its listings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paging {
    /// Most names of a page.
    pub(crate) most: Option<usize>,
    /// Each page says that the same page comes next.
    pub(crate) repeats: bool,
    /// Another number for each request.
    pub(crate) serial: u64,
}

/// What one request suffers.
pub(crate) struct Turn {
    mood: Option<(Mood, Dice)>,
    serial: u64,
    refuses: bool,
    is_taken: bool,
}

impl Turn {
    pub(super) const fn honest(serial: u64) -> Self {
        Self { mood: None, serial, refuses: false, is_taken: false }
    }

    /// One that gets no answer whatever it asks.
    pub(super) const fn refusing(serial: u64) -> Self {
        Self { mood: None, serial, refuses: true, is_taken: false }
    }

    pub(super) const fn new(mood: Mood, dice: Dice, serial: u64) -> Self {
        Self { mood: Some((mood, dice)), serial, refuses: false, is_taken: false }
    }

    /// Whether anything was changed.
    pub(crate) const fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// What comes instead of carrying the request out, if anything; else the request may have become another.
    pub(crate) fn instead(&mut self, asked: &mut Asked, trouble: impl FnOnce() -> Answer) -> Option<Delivery> {
        if self.refuses {
            return Some(Delivery::Nothing);
        }
        let (mood, dice) = self.mood.as_mut()?;
        // What is no answer to a HEAD, or to a deletion, nobody could tell from one.
        let is_told = asked.method != Method::HEAD && asked.method != Method::DELETE;
        let wish = RETRY_AFTER_SECONDS.get(usize::from(dice.below(2) == 0)).copied().unwrap_or_default();
        let instead: Delivery = match mood.liberty {
            Liberty::ResetBefore => Delivery::Nothing,
            Liberty::Unavailable => Answer::plain(StatusCode::SERVICE_UNAVAILABLE).with("retry-after", wish).into(),
            Liberty::TooMany => Answer::plain(StatusCode::TOO_MANY_REQUESTS).with("retry-after", wish).into(),
            Liberty::BadGateway => bodied(asked, Answer::document(StatusCode::BAD_GATEWAY, "text/html", HTML)).into(),
            Liberty::ErrorInSuccess if is_told => trouble().into(),
            Liberty::HtmlPage if is_told => Answer::document(StatusCode::OK, "text/html", HTML).into(),
            Liberty::RedirectHere => redirect(dice, &asked.target).into(),
            Liberty::RedirectAway => redirect(dice, &format!("http://{}{}", mood.elsewhere, asked.target)).into(),
            Liberty::RangeIgnored => {
                self.is_taken =
                    asked.headers.remove(header::RANGE).is_some() | asked.headers.remove("x-ms-range").is_some();
                return None;
            }
            Liberty::OtherRange => {
                self.is_taken = move_range(asked);
                return None;
            }
            _ => return None,
        };
        self.is_taken = true;
        Some(instead)
    }

    /// How listings are cut.
    pub(crate) fn paging(&mut self) -> Paging {
        let honest = Paging { serial: self.serial, ..Paging::default() };
        match &mut self.mood {
            Some((Mood { liberty: Liberty::ShortPages, .. }, dice)) => {
                Paging { most: usize::try_from(dice.below(4)).ok(), ..honest }
            }
            Some((Mood { liberty: Liberty::EndlessPages, .. }, dice)) => {
                Paging { most: (dice.below(2) == 0).then_some(0), repeats: true, ..honest }
            }
            _ => honest,
        }
    }

    /// How an answer is sent.
    pub(crate) fn deliver(&mut self, asked: &Asked, answer: Answer) -> Delivery {
        let Some((mood, dice)) = &mut self.mood else { return answer.into() };
        let length = answer.body.len();
        let before_end = usize::try_from(dice.below(length as u64)).unwrap_or(0);
        let is_document = answer.is_document() && answer.status.is_success();
        let has_body = length > 0 && asked.method != Method::HEAD;
        let (delivery, is_taken): (Delivery, bool) = match mood.liberty {
            Liberty::ResetAfter => (Delivery::Nothing, true),
            Liberty::Truncated if has_body => {
                let answer = Answer { body: answer.body.slice(..before_end), ..answer };
                (Delivery::Answer(Outgoing::new(answer).promising(length)), true)
            }
            Liberty::LengthTooLong if has_body => {
                let promised = length.saturating_add(before_end).saturating_add(1);
                (Delivery::Answer(Outgoing::new(answer).promising(promised)), true)
            }
            Liberty::LengthTooShort if length > 1 => (cut(answer, before_end).into(), true),
            Liberty::CutDocument if is_document => (cut(answer, before_end).into(), true),
            Liberty::SlowDrip if has_body => {
                let piece = length.div_ceil(64);
                (Delivery::Answer(Outgoing::new(answer).in_pieces(piece)), true)
            }
            Liberty::MissingField if is_document => without_field(answer, dice),
            Liberty::MissingHeader => without_header(answer, dice),
            Liberty::OtherTag if answer.headers.contains_key(header::ETAG) => {
                (answer.with("etag", "\"00000000000000000000000000000000\"").into(), true)
            }
            Liberty::PlainAsGzip if has_body => (answer.with("content-encoding", "gzip").into(), true),
            Liberty::HugeHeaders => (padded(answer, dice).into(), true),
            Liberty::ShortPages | Liberty::EndlessPages => {
                let is_listing = is_document && is_of_pages(&answer.body);
                (answer.into(), is_listing)
            }
            _ => (answer.into(), self.is_taken),
        };
        self.is_taken = is_taken;
        delivery
    }
}

/// An answer to a HEAD has no body.
fn bodied(asked: &Asked, answer: Answer) -> Answer {
    if asked.method == Method::HEAD { Answer { body: Bytes::new(), ..answer } } else { answer }
}

fn redirect(dice: &mut Dice, to: &str) -> Answer {
    let statuses = [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT, StatusCode::MOVED_PERMANENTLY];
    let drawn = usize::try_from(dice.below(3)).ok().and_then(|drawn| statuses.get(drawn)).copied();
    Answer::plain(drawn.unwrap_or(StatusCode::FOUND)).with("location", to)
}

/// Asks for the part of the same length that begins one byte later, and tells whether there was one to be moved.
fn move_range(asked: &mut Asked) -> bool {
    let moved = |text: &str| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let first = first.parse::<u64>().ok()?.saturating_add(1);
        let last = last.parse::<u64>().map_or(String::new(), |last| last.saturating_add(1).to_string());
        HeaderValue::from_str(&format!("bytes={first}-{last}")).ok()
    };
    let mut is_moved = false;
    for name in ["range", "x-ms-range"] {
        if let Some(value) = asked.header(name).and_then(moved) {
            asked.headers.insert(HeaderName::from_static(name), value);
            is_moved = true;
        }
    }
    is_moved
}

/// The first bytes of an answer, said to be all.
fn cut(answer: Answer, length: usize) -> Answer {
    let body = answer.body.slice(..length.min(answer.body.len()));
    Answer { body, ..answer }.with("content-length", &length.to_string())
}

/// Whether a document is a page of a listing that has pages.
fn is_of_pages(document: &[u8]) -> bool {
    [&b"<IsTruncated>"[..], b"<NextMarker>", b"storage#objects"]
        .iter()
        .any(|mark| document.windows(mark.len()).any(|window| window == *mark))
}

fn padded(mut answer: Answer, dice: &mut Dice) -> Answer {
    if dice.below(2) == 0 {
        return answer.with("x-padding", &"x".repeat(HUGE_BYTES));
    }
    let padding = HeaderName::from_static("x-padding");
    for _ in 0..HEADERS_MANY {
        answer.headers.append(padding.clone(), HeaderValue::from_static("x"));
    }
    answer
}

fn without_header(mut answer: Answer, dice: &mut Dice) -> (Delivery, bool) {
    let names = [header::ETAG, header::LAST_MODIFIED, header::CONTENT_TYPE, header::CONTENT_RANGE];
    let there: Vec<&HeaderName> = names.iter().filter(|name| answer.headers.contains_key(*name)).collect();
    let drawn = usize::try_from(dice.below(there.len() as u64)).ok().and_then(|drawn| there.get(drawn));
    let is_taken = drawn.is_some_and(|name| answer.headers.remove(*name).is_some());
    (answer.into(), is_taken)
}

/// A document without one of its fields: an element with nothing but text in it, or a member of an object in JSON.
fn without_field(answer: Answer, dice: &mut Dice) -> (Delivery, bool) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let fields = if text.starts_with('<') { leaves(&text) } else { members(&text) };
    let drawn = usize::try_from(dice.below(fields.len() as u64)).ok().and_then(|drawn| fields.get(drawn));
    let Some(&(first, end)) = drawn else { return (answer.into(), false) };
    let rest = [text.get(..first), text.get(end..)].into_iter().flatten().collect::<String>();
    let length = rest.len().to_string();
    (Answer { body: rest.into(), ..answer }.with("content-length", &length).into(), true)
}

/// Where the elements are that hold text alone: `<a>text</a>`.
fn leaves(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (close, _) in text.match_indices("</") {
        let before = text.get(..close).unwrap_or_default();
        let Some(open) = before.rfind('<') else { continue };
        let name = before.get(open..).and_then(|tag| tag.strip_prefix('<')).and_then(|tag| tag.split('>').next());
        let after = text.get(close..).unwrap_or_default();
        let closes = name.is_some_and(|name| after.starts_with(&format!("</{name}>")));
        if let (true, Some(length)) = (closes, after.find('>')) {
            found.push((open, close.saturating_add(length).saturating_add(1)));
        }
    }
    found
}

/// Where the members of objects are in JSON whose values are no objects or lists: from a name to behind the comma, or from the comma before it.
fn members(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (name, _) in text.match_indices(",\"") {
        let end = text.get(name.saturating_add(1)..).and_then(|rest| rest.find([',', '}']));
        found.extend(end.map(|end| (name, name.saturating_add(1).saturating_add(end))));
    }
    for (open, _) in text.match_indices("{\"") {
        let end = text.get(open..).and_then(|rest| rest.find(','));
        let begin = open.saturating_add(1);
        found.extend(end.map(|end| (begin, open.saturating_add(end).saturating_add(1))));
    }
    let is_plain =
        |&(first, end): &(usize, usize)| !text.get(first..end).is_some_and(|member| member.contains(['{', '[']));
    found.into_iter().filter(is_plain).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Odds;
    use super::*;

    fn cut_out(text: &str, fields: Vec<(usize, usize)>) -> Vec<String> {
        fields.into_iter().map(|(first, end)| [&text[..first], &text[end..]].concat()).collect()
    }

    #[test]
    fn a_field_is_taken_out_of_a_document_that_stays_one() {
        let xml = "<a><b>1</b><c><d>2</d></c><e/></a>";
        assert_eq!(cut_out(xml, leaves(xml)), ["<a><c><d>2</d></c><e/></a>", "<a><b>1</b><c></c><e/></a>"]);
        let nested = "{\"kind\":\"k\",\"items\":[{\"a\":\"1\",\"b\":\"2\"}]}";
        for rest in cut_out(nested, members(nested)) {
            assert!(serde_json::from_str::<serde_json::Value>(&rest).is_ok(), "{rest}");
        }
        let json = "[{\"key\":\"k\",\"size\":1},{\"key\":\"l\",\"size\":2}]";
        for rest in cut_out(json, members(json)) {
            let listed: serde_json::Value = serde_json::from_str(&rest).unwrap();
            let fields: usize = listed.as_array().unwrap().iter().map(|entry| entry.as_object().unwrap().len()).sum();
            assert_eq!(fields, 3, "{rest}");
        }
    }

    #[test]
    fn a_turn_that_changes_nothing_is_not_taken() {
        let mood = |liberty| Mood { liberty, odds: Odds::Always, elsewhere: String::new() };
        let mut asked = Asked::new(Method::GET, &"/a".parse().unwrap(), http::HeaderMap::new(), Bytes::new());
        for (liberty, is_taken) in
            [(Liberty::RangeIgnored, false), (Liberty::Truncated, false), (Liberty::ResetAfter, true)]
        {
            let mut turn = Turn::new(mood(liberty), Dice::new(1), 1);
            assert!(turn.instead(&mut asked, || Answer::plain(StatusCode::OK)).is_none());
            let _ = turn.deliver(&asked, Answer::plain(StatusCode::OK));
            assert_eq!(turn.is_taken(), is_taken, "{liberty:?}");
        }
        asked.headers.insert("range", HeaderValue::from_static("bytes=2-4"));
        assert!(move_range(&mut asked));
        assert_eq!(asked.header("range"), Some("bytes=3-5"));
    }
}
