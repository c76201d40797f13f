//! The text of the file as tables whose values are asked for by name. What is wrong is noted with its line, and the reading goes on, so that all faults
//! are named at once.
//!
//! Owned here: lines, unknown keys, and values of the wrong type. Refused here: which keys there are (`keys`), what they mean (`file`).
//!
//! Bound: [`PROBLEMS_MAX`] faults.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml_edit::{Item, TableLike, Value};

use super::error::Problem;
use super::keys::{Form, Key};
use crate::configuration::suggestion;

/// Faults that are named at once.
const PROBLEMS_MAX: usize = 20;

/// A text that is read.
pub(super) struct Reading<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// One of its tables.
#[derive(Clone)]
pub(super) struct Part<'t> {
    reading: &'t Reading<'t>,
    keys: &'static [Key],
    /// The keys above it, with dots between them.
    path: String,
    /// Where it begins.
    line: usize,
    table: &'t dyn TableLike,
}

impl<'t> Reading<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::new(Vec::new()) }
    }

    /// What was wrong, by line.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.borrow().clone();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    /// The line of a position, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The table at the top.
    pub(super) fn top(&'t self, table: &'t dyn TableLike, keys: &'static [Key]) -> Part<'t> {
        self.part(table, keys, String::new(), 1)
    }

    fn part(&'t self, table: &'t dyn TableLike, keys: &'static [Key], path: String, line: usize) -> Part<'t> {
        let part = Part { reading: self, keys, path, line, table };
        for (name, _) in table.iter() {
            if keys.iter().any(|key| key.name == name) {
                continue;
            }
            let near = suggestion(name, keys.iter().map(|key| key.name));
            let remedy = near.map_or_else(
                || {
                    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                    format!("there are {}", names.join(", "))
                },
                |near| format!("did you mean `{near}`?"),
            );
            part.problem(name, "there is no such key", &remedy);
        }
        part
    }
}

impl<'t> Part<'t> {
    /// Notes a fault at a key, or at the table where it has no such key.
    pub(super) fn problem(&self, key: &str, what: &str, remedy: &str) {
        let offset = self.table.key(key).and_then(toml_edit::Key::span).map(|span| span.start);
        let line = offset.map_or(self.line, |offset| self.reading.line(offset));
        let problem = Problem { line, key: self.named(key), what: what.to_owned(), remedy: remedy.to_owned() };
        let mut problems = self.reading.problems.borrow_mut();
        // The defaults are read for each job.
        if problems.len() < PROBLEMS_MAX && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn named(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<&'t str> {
        let item = self.table.get(key)?;
        let text = item.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.problem(key, &format!("it is {}", article(item)), "write a text in quotes, such as \"…\"");
        }
        text
    }

    /// A text that means something; why it does not is one sentence, with the remedy behind a colon.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        self.understood(key, text, parse(text))
    }

    /// The same of a text that may be a secret: it is not repeated.
    pub(super) fn parsed_secret<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        self.understood_secret(key, parse(text))
    }

    /// Notes why a text that is not repeated means nothing.
    pub(super) fn understood_secret<T>(&self, key: &str, parsed: Result<T, String>) -> Option<T> {
        let why = match parsed {
            Ok(value) => return Some(value),
            Err(why) => why,
        };
        let (what, remedy) = why.split_once(": ").unwrap_or((&why, "write it otherwise"));
        self.problem(key, what, remedy);
        None
    }

    /// A text as a path, which must be absolute; `~/` stands for the home.
    pub(super) fn absolute(&self, key: &str, text: &str) -> Option<PathBuf> {
        let expanded = crate::home::expand(Path::new(text)).map_err(|error| format!("{error}: write an absolute path"));
        let path = self.understood(key, text, expanded)?;
        if !path.is_absolute() {
            self.problem(key, "the path is not absolute", "write it from / on, or with ~/ before it");
        }
        Some(path)
    }

    /// Notes why a text means nothing.
    pub(super) fn understood<T>(&self, key: &str, text: &str, parsed: Result<T, String>) -> Option<T> {
        let why = match parsed {
            Ok(value) => return Some(value),
            Err(why) => why,
        };
        let (what, remedy) = why.split_once(": ").unwrap_or((&why, "write it otherwise"));
        self.problem(key, &format!("`{}` cannot be meant, {what}", text.escape_debug()), remedy);
        None
    }

    /// One text or a list of texts.
    pub(super) fn texts(&self, key: &str) -> Vec<&'t str> {
        let Some(item) = self.table.get(key) else { return Vec::new() };
        let texts = match item.as_array() {
            Some(list) => list.iter().map(Value::as_str).collect(),
            None => item.as_str().map(|text| vec![text]),
        };
        texts.unwrap_or_else(|| {
            self.problem(key, &format!("it is {}", article(item)), "write a text in quotes, or a list of them in [ ]");
            Vec::new()
        })
    }

    /// A list of texts that is not empty.
    pub(super) fn command(&self, key: &str) -> Vec<&'t str> {
        if self.table.get(key).is_some_and(Item::is_str) {
            let remedy = "write the program and each argument by itself: [\"pg_dump\", \"-Fc\", \"shop\"]";
            self.problem(key, "it is one text, and no shell takes it apart", remedy);
            return Vec::new();
        }
        let words = self.texts(key);
        if words.first().is_none_or(|program| program.is_empty()) && !self.has_problem(key) {
            self.problem(key, "it names no program", "write the program and its arguments: [\"pg_dump\", \"shop\"]");
        }
        words
    }

    fn has_problem(&self, key: &str) -> bool {
        let named = self.named(key);
        self.reading.problems.borrow().iter().any(|problem| problem.key == named)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        let Some(item) = self.table.get(key) else { return false };
        item.as_bool().unwrap_or_else(|| {
            self.problem(key, &format!("it is {}", article(item)), "write true or false, without quotes");
            false
        })
    }

    /// Whether the value is true or false, whatever else it may be.
    pub(super) fn is_flag(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Item::is_bool)
    }

    /// Whether the value is a text, whatever else it may be.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Item::is_str)
    }

    /// A whole number of that range.
    pub(super) fn count(&self, key: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let item = self.table.get(key)?;
        let count = item.as_integer().and_then(|number| u32::try_from(number).ok());
        let count = count.filter(|count| range.contains(count));
        if count.is_none() {
            let remedy = format!("write a whole number from {} to {}, without quotes", range.start(), range.end());
            self.problem(key, "it is no such number", &remedy);
        }
        count
    }

    /// The table behind a key.
    pub(super) fn part(&self, key: &str) -> Option<Self> {
        let (item, keys) = (self.table.get(key)?, self.keys_of(key));
        let Some(table) = item.as_table_like() else {
            self.problem(key, &format!("it is {}", article(item)), "write a table: { … }");
            return None;
        };
        Some(self.reading.part(table, keys, self.named(key), self.line_of(key)))
    }

    /// The tables in the list behind a key.
    pub(super) fn parts(&self, key: &str) -> Vec<Self> {
        let Some(item) = self.table.get(key) else { return Vec::new() };
        let (keys, path, line) = (self.keys_of(key), self.named(key), self.line_of(key));
        if let Some(tables) = item.as_array_of_tables() {
            let line_of = |table: &toml_edit::Table| table.span().map_or(line, |span| self.reading.line(span.start));
            return tables.iter().map(|table| self.reading.part(table, keys, path.clone(), line_of(table))).collect();
        }
        let values: Vec<&Value> = item.as_array().into_iter().flat_map(|list| list.iter()).collect();
        let tables: Option<Vec<_>> = values.iter().map(|value| value.as_inline_table()).collect();
        match tables.filter(|_| item.is_array()) {
            Some(tables) => {
                let line_of =
                    |table: &toml_edit::InlineTable| table.span().map_or(line, |span| self.reading.line(span.start));
                tables.iter().map(|table| self.reading.part(*table, keys, path.clone(), line_of(table))).collect()
            }
            None => {
                self.problem(key, &format!("it is {}", article(item)), "write a list of tables: [ { … }, { … } ]");
                Vec::new()
            }
        }
    }

    /// The tables behind a key, by the names that the user gave them.
    pub(super) fn named_parts(&self, key: &str) -> Vec<(&'t str, Self)> {
        let Some(item) = self.table.get(key) else { return Vec::new() };
        let (keys, path) = (self.keys_of(key), self.named(key));
        let Some(table) = item.as_table_like() else {
            self.problem(key, &format!("it is {}", article(item)), &format!("write a table with a name: [{key}.NAME]"));
            return Vec::new();
        };
        let mut parts = Vec::new();
        for (name, item) in table.iter() {
            let offset = table.key(name).and_then(toml_edit::Key::span).map(|span| span.start);
            let line = offset.map_or(self.line, |offset| self.reading.line(offset));
            match item.as_table_like() {
                Some(below) => parts.push((name, self.reading.part(below, keys, format!("{path}.{name}"), line))),
                None => self.problem(
                    key,
                    &format!("`{name}` is {}", article(item)),
                    &format!("write a table: [{key}.NAME]"),
                ),
            }
        }
        parts
    }

    fn line_of(&self, key: &str) -> usize {
        let offset = self.table.key(key).and_then(toml_edit::Key::span).map(|span| span.start);
        offset.map_or(self.line, |offset| self.reading.line(offset))
    }

    /// The keys of the tables behind a key.
    fn keys_of(&self, name: &str) -> &'static [Key] {
        match self.keys.iter().find(|key| key.name == name).map(|key| &key.form) {
            Some(
                Form::Table(keys)
                | Form::Tables(keys)
                | Form::Named(keys)
                | Form::WordOrTable(_, keys)
                | Form::DaysOrTable(keys),
            ) => keys,
            _ => &[],
        }
    }
}

/// What a value is, for a person.
fn article(item: &Item) -> String {
    match item.type_name() {
        "string" => "an empty text".to_owned(),
        "integer" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list of something else".to_owned(),
        other => format!("a value of another kind ({other})"),
    }
}
