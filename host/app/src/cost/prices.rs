//! The table of prices: data that comes with the program, with its date and the pages that it is from, and goes behind the user's own.
//!
//! Owned here: reading the tables, and which place is charged how. Refused here: what a run asks for (`estimate`). Called by whoever opens a place.
//!
//! Bound: [`FILE_BYTES_MAX`] of the user's file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credenza_connect::wrap::Spent;
use serde::Serialize;
use toml_edit::{Document, Item, Table, TomlError};

use super::money::Money;

/// The name of the user's table in the folder of the configuration.
pub const NAME: &str = "prices.toml";
/// The table that comes with the program.
const EMBEDDED: &str = include_str!("prices.toml");
/// A thousand places.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const VERSION: i64 = 1;
/// Requests that a price is for.
const REQUESTS: u64 = 1000;
/// Bytes that a price is for.
const GB: u64 = 1_000_000_000;
/// What a place is charged for, which each of them must say.
const CHARGES: [&str; 7] = ["list", "get", "head", "put", "delete", "stored", "egress"];
const OTHERS: [&str; 4] = ["name", "page", "hosts", "days_min"];
const TOP: [&str; 4] = ["version", "date", "currency", "place"];

/// A table that cannot be read or is none.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The file cannot be read.
    #[error("the table of prices {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than any table.
    #[error("the table of prices {} has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// It is no TOML.
    #[error("the table of prices {}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// It says what cannot be meant.
    #[error("the table of prices {}, line {line}, `{key}`: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with it, and what to write.
        what: String,
    },
}

/// How a place is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Price {
    /// The provider, the region and the class of storage.
    pub name: String,
    /// Where the provider says so.
    pub page: String,
    /// When it did: a day.
    pub date: String,
    /// What the amounts are of.
    pub currency: String,
    /// Days that are charged for whatever is stored, however soon it is removed; 0 for none.
    pub days_min: u32,
    #[serde(skip)]
    hosts: Vec<String>,
    /// In the order of [`CHARGES`].
    #[serde(skip)]
    charges: [Money; CHARGES.len()],
}

impl Price {
    /// What was spent, in money. What is sent to a provider is not charged.
    #[must_use]
    pub fn of(&self, spent: &Spent) -> Money {
        let [list, get, head, put, delete, _, egress] = self.charges;
        let Spent { bytes_down, .. } = *spent;
        let requests =
            [(list, spent.list), (get, spent.get), (head, spent.head), (put, spent.put), (delete, spent.delete)];
        let requests = requests.into_iter().map(|(price, count)| price.for_pieces(count, REQUESTS));
        requests.fold(egress.for_pieces(bytes_down, GB), Money::plus)
    }

    /// What it takes to keep so many bytes for a month.
    #[must_use]
    pub fn of_month(&self, bytes: u64) -> Money {
        let [.., stored, _] = self.charges;
        stored.for_pieces(bytes, GB)
    }

    fn covers(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == pattern,
        })
    }
}

/// The prices that are known.
#[derive(Debug, Clone, Default)]
pub struct Prices(Vec<Arc<Price>>);

impl Prices {
    /// Those of the file in the folder of the configuration, if there is one, and then those that come with the program.
    ///
    /// # Errors
    /// When the file cannot be read or is no table.
    pub fn read(folder: Option<&Path>) -> Result<Self, PricesError> {
        let mut prices = match folder.map(|folder| folder.join(NAME)) {
            Some(path) => own(&path)?.map(|text| parse(&path, &text)).transpose()?.unwrap_or_default(),
            None => Vec::new(),
        };
        prices.extend(parse(Path::new(NAME), EMBEDDED)?);
        Ok(Self(prices))
    }

    /// How the place at a server is charged: `None` where that is not known.
    #[must_use]
    pub fn of_server(&self, server: &str) -> Option<Arc<Price>> {
        let server = server.split_once("://").map_or(server, |(_, rest)| rest);
        let host = server.split(['/', ':', ',']).next().unwrap_or_default().to_ascii_lowercase();
        self.0.iter().find(|price| price.covers(&host)).cloned()
    }
}

fn own(path: &Path) -> Result<Option<String>, PricesError> {
    let failed = |source| PricesError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(PricesError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(Some(text))
}

/// A text that is read, for its faults.
struct Reading<'t> {
    path: &'t Path,
    text: &'t str,
}

impl Reading<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn wrong(&self, table: &Table, key: &str, what: &str) -> PricesError {
        let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| table.span());
        let line = self.line(span.map_or(0, |span| span.start));
        PricesError::Invalid { path: self.path.to_owned(), line, key: key.to_owned(), what: what.to_owned() }
    }

    fn known(&self, table: &Table, keys: &[&str]) -> Result<(), PricesError> {
        match table.iter().find(|(name, _)| !keys.contains(name)) {
            Some((name, _)) => {
                Err(self.wrong(table, name, &format!("there is no such key; there are {}", keys.join(", "))))
            }
            None => Ok(()),
        }
    }

    fn word(&self, table: &Table, key: &str) -> Result<String, PricesError> {
        let word = table.get(key).and_then(Item::as_str).filter(|word| !word.is_empty());
        word.map(str::to_owned).ok_or_else(|| self.wrong(table, key, "write a text in quotes"))
    }

    fn amount(&self, table: &Table, key: &str) -> Result<Money, PricesError> {
        let amount = Money::parse(&self.word(table, key)?);
        amount.map_err(|what| self.wrong(table, key, &format!("{what}, in quotes")))
    }

    fn hosts(&self, table: &Table) -> Result<Vec<String>, PricesError> {
        let list = table.get("hosts").and_then(Item::as_array);
        let hosts = list.map(|list| list.iter().map(|host| host.as_str().map(str::to_ascii_lowercase)).collect());
        let hosts: Option<Vec<String>> = hosts.unwrap_or_default();
        let is_host = |host: &String| {
            let rest = host.strip_prefix("*.").unwrap_or(host);
            !rest.is_empty() && !rest.contains(['*', '/', ':'])
        };
        hosts.filter(|hosts| !hosts.is_empty() && hosts.iter().all(is_host)).ok_or_else(|| {
            self.wrong(table, "hosts", "write a list of servers, such as [\"s3.example.com\", \"*.s3.example.com\"]")
        })
    }

    fn place(&self, table: &Table, date: &str, currency: &str) -> Result<Price, PricesError> {
        self.known(table, &[&CHARGES[..], &OTHERS[..]].concat())?;
        let mut charges = [Money::default(); CHARGES.len()];
        for (charge, key) in charges.iter_mut().zip(CHARGES) {
            *charge = self.amount(table, key)?;
        }
        let days = table.get("days_min").map(|days| days.as_integer().and_then(|days| u32::try_from(days).ok()));
        let days_min =
            days.unwrap_or(Some(0)).ok_or_else(|| self.wrong(table, "days_min", "write a number of days"))?;
        let (name, page, hosts) = (self.word(table, "name")?, self.word(table, "page")?, self.hosts(table)?);
        Ok(Price { name, page, date: date.to_owned(), currency: currency.to_owned(), days_min, hosts, charges })
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Arc<Price>>, PricesError> {
    let reading = Reading { path, text };
    let document = Document::parse(text).map_err(|error: TomlError| PricesError::Syntax {
        path: path.to_owned(),
        line: reading.line(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })?;
    let top = document.as_table();
    reading.known(top, &TOP)?;
    if top.get("version").and_then(Item::as_integer) != Some(VERSION) {
        return Err(reading.wrong(top, "version", "begin the file with: version = 1"));
    }
    let (date, currency) = (reading.word(top, "date")?, reading.word(top, "currency")?);
    if date.parse::<jiff::civil::Date>().is_err() {
        return Err(reading.wrong(top, "date", "write the day on which these were the prices, such as \"2025-06-30\""));
    }
    let places = top.get("place").map(|places| {
        places
            .as_array_of_tables()
            .ok_or_else(|| reading.wrong(top, "place", "write a table for each place: [[place]]"))
    });
    let places = places.transpose()?.into_iter().flatten();
    places.map(|place| reading.place(place, &date, &currency).map(Arc::new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_comes_along_is_dated_and_names_its_pages() {
        let prices = Prices::read(None).unwrap();
        assert!(prices.0.len() >= 8);
        for price in &prices.0 {
            assert!(price.page.starts_with("https://") && price.currency == "USD", "{price:?}");
        }
        let s3 = prices.of_server("https://s3.eu-west-1.amazonaws.com/backups/prefix").unwrap();
        let spent =
            Spent { list: 1000, get: 2000, put: 1000, bytes_down: 2 * GB, bytes_up: 9 * GB, ..Spent::default() };
        assert_eq!(s3.of(&spent).to_string(), "0.1908");
        assert_eq!(s3.of_month(100 * GB).to_string(), "2.30");
        assert!(prices.of_server("acme.r2.cloudflarestorage.com").is_some());
        assert!(prices.of_server("s3.eu-central-003.backblazeb2.com:443/bucket").is_some());
        for unknown in
            ["127.0.0.1:9000/bucket", "", "r2.cloudflarestorage.com.example.org", ".r2.cloudflarestorage.com"]
        {
            assert!(prices.of_server(unknown).is_none(), "{unknown}");
        }
    }

    const OWN: &str = "version = 1\ndate = \"2026-01-31\"\ncurrency = \"EUR\"\n[[place]]\nname = \"ours\"\npage = \"contract\"\nhosts = [\"127.0.0.1\"]\n\
        list = \"1\"\nget = \"2\"\nhead = \"0\"\nput = \"4\"\ndelete = \"0\"\nstored = \"0\"\negress = \"0\"\n";

    #[test]
    fn a_table_of_the_user_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), OWN).unwrap();
        let prices = Prices::read(Some(folder.path())).unwrap();
        let ours = prices.of_server("http://127.0.0.1:4567/bucket").unwrap();
        assert_eq!((ours.date.as_str(), ours.currency.as_str()), ("2026-01-31", "EUR"));
        assert_eq!(ours.of(&Spent { put: 500, get: 250, ..Spent::default() }).to_string(), "2.50");
        assert!(prices.of_server("s3.us-east-1.amazonaws.com").is_some());
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_line() {
        for (old, new, line, key) in [
            ("version = 1", "version = 2", 1, "version"),
            ("2026-01-31", "yesterday", 2, "date"),
            ("get = \"2\"", "get = 0.5", 9, "get"),
            ("get = \"2\"", "get = \"free\"", 9, "get"),
            ("get = ", "gets = ", 9, "gets"),
            ("[\"127.0.0.1\"]", "[\"http://x\"]", 7, "hosts"),
        ] {
            let refused = parse(Path::new("p"), &OWN.replace(old, new)).unwrap_err();
            let PricesError::Invalid { line: at, key: of, .. } = &refused else { panic!("{refused}") };
            assert_eq!((*at, of.as_str()), (line, key), "{refused}");
        }
        assert!(matches!(parse(Path::new("p"), "a = "), Err(PricesError::Syntax { line: 1, .. })));
    }
}
