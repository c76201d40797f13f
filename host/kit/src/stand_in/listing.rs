//! A page of the files of a flat namespace, for the protocols that list with prefix, delimiter and a token to go on with.

use super::files::{File, Files};
use crate::exchange::decode;
use crate::peer::Paging;

/// What is asked for; names are without the container.
#[derive(Debug, Default)]
pub(super) struct Question<'a> {
    /// The container, with its `/`.
    pub(super) root: &'a [u8],
    pub(super) prefix: &'a [u8],
    /// Whether what lies below the next `/` is folded.
    pub(super) is_folded: bool,
    pub(super) start_after: &'a [u8],
    pub(super) token: Option<&'a str>,
    pub(super) max: usize,
}

/// A file, or without one what was folded.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) file: Option<File>,
}

/// Some of the items, and the token of those that follow.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<String>,
}

/// The page that a question asks for; nothing where its token was never given.
pub(super) fn page(files: &Files, question: &Question<'_>, paging: Paging) -> Option<Page> {
    let after = question.token.map_or(Some(Vec::new()), place_of)?;
    let size = question.max.min(paging.most.unwrap_or(usize::MAX));
    let beginning = [question.root, question.prefix].concat();
    let mut items: Vec<Item> = Vec::new();
    let mut has_more = false;
    for (path, file) in files.below(&beginning) {
        let key = path.strip_prefix(question.root).unwrap_or(path);
        let (name, is_folder) = folded(key, question);
        let is_passed = key <= question.start_after || name <= after.as_slice() && question.token.is_some();
        if is_passed || items.last().is_some_and(|last| last.name == name) {
            continue;
        }
        if items.len() == size {
            has_more = true;
            break;
        }
        items.push(Item { name: name.to_vec(), file: (!is_folder).then(|| file.clone()) });
    }
    let last = items.last().map_or(&after, |last| &last.name);
    let next = match paging.repeats {
        true => Some(token(&after, 0)),
        false => has_more.then(|| token(last, paging.serial)),
    };
    Some(Page { items, next })
}

fn folded<'k>(key: &'k [u8], question: &Question<'_>) -> (&'k [u8], bool) {
    let begins = question.prefix.len();
    let end = key.get(begins..).unwrap_or_default().iter().position(|byte| *byte == b'/');
    match end.filter(|_| question.is_folded) {
        Some(end) => (key.get(..begins.saturating_add(end).saturating_add(1)).unwrap_or(key), true),
        None => (key, false),
    }
}

/// Opaque to the connector: a name in hexadecimal digits, and a number, so that no two are alike where nothing was reported.
fn token(name: &[u8], serial: u64) -> String {
    let digits: String = name.iter().map(|byte| format!("%{byte:02x}")).collect();
    format!("{}.{serial}", digits.replace('%', "-"))
}

fn place_of(token: &str) -> Option<Vec<u8>> {
    let (digits, serial) = token.rsplit_once('.')?;
    serial.parse::<u64>().ok()?;
    Some(decode(digits.replace('-', "%").as_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn files() -> Files {
        let mut files = Files::default();
        for name in ["a", "b/c", "b/d", "b0", "c"] {
            files.put(format!("kit/{name}").as_bytes(), Bytes::new());
        }
        files.put(b"other/a", Bytes::new());
        files
    }

    fn names(question: &Question<'_>, most: Option<usize>) -> Vec<String> {
        let (files, mut all, mut token, mut serial) = (files(), Vec::new(), None::<String>, 0);
        loop {
            let question = Question { token: token.as_deref(), root: b"kit/", ..*question };
            let page = page(&files, &question, Paging { most, repeats: false, serial }).unwrap();
            all.extend(page.items.iter().map(|item| String::from_utf8(item.name.clone()).unwrap()));
            serial += 1;
            match page.next {
                Some(next) if serial < 100 => token = Some(next),
                Some(_) => panic!("it never ends"),
                None => return all,
            }
        }
    }

    #[test]
    fn pages_join_whatever_their_size() {
        for max in [1, 2, 5, 9] {
            let everything = Question { max, ..Question::default() };
            assert_eq!(names(&everything, None), ["a", "b/c", "b/d", "b0", "c"], "{max}");
            let folded = Question { max, is_folded: true, ..Question::default() };
            assert_eq!(names(&folded, Some(1)), ["a", "b/", "b0", "c"], "{max}");
        }
        let rest = Question { max: 9, prefix: b"b", start_after: b"b/c", ..Question::default() };
        assert_eq!(names(&rest, None), ["b/d", "b0"]);
    }

    #[test]
    fn a_page_that_repeats_gives_the_token_that_it_was_asked_with() {
        let files = files();
        let question = Question { root: b"kit/", max: 2, ..Question::default() };
        let paging = Paging { most: None, repeats: true, serial: 7 };
        let first = page(&files, &question, paging).unwrap();
        let again = page(&files, &Question { token: first.next.as_deref(), ..question }, paging).unwrap();
        assert_eq!(first.next, again.next);
        assert_eq!(first.items[1].name, again.items[1].name);
        let never = Question { token: Some("x"), ..Question::default() };
        assert!(page(&files, &never, Paging::default()).is_none());
    }
}
