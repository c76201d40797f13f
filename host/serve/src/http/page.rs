//! A folder as a plain page, and as the answer to PROPFIND; both are written while they are read.

use credenza_listen::{Pen, written};
use credenza_model::Timestamp;

use super::body::Sent;
use super::place::{Node, Row, Rows};
use crate::entry::{Readers, etag_of, http_date};

const HEAD: &str = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><style>body{font:1rem system-ui;margin:2rem}td,th{padding:.1rem 1rem .1rem 0;text-align:left}td.n{text-align:right}</style>";
const DAV_HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">";

/// A folder for a browser.
pub(super) fn listing(node: Node, path: &str, readers: &Readers) -> Sent {
    let (mut pen, sent) = written();
    let (title, readers) = (escaped(&shown(path)), readers.clone());
    let is_archived = node.archived().is_some();
    tokio::spawn(async move {
        let downloads = match is_archived {
            true => {
                "<p><a href='?download=zip'>zip</a> <a href='?download=tar'>tar</a> <a href='?link'>link for a day</a></p>"
            }
            false => "",
        };
        let up = if title == "/" { "" } else { "<p><a href='../'>up</a></p>" };
        let head = format!(
            "{HEAD}<title>{title}</title><h1>{title}</h1>{up}{downloads}<table><tr><th>name<th>bytes<th>changed"
        );
        if pen.put(&head).await && rows(&mut pen, node, &readers, html).await {
            let _ = pen.put("</table>\n").await;
            pen.end().await;
        }
    });
    Sent::Written(sent)
}

/// A resource, and with `deep` what lies in it, for a client of WebDAV.
pub(super) fn properties(node: Node, path: &str, deep: bool, readers: &Readers) -> Sent {
    let (mut pen, sent) = written();
    let slash = if node.is_folder() && !path.ends_with('/') { "/" } else { "" };
    let (path, readers) = (format!("{path}{slash}"), readers.clone());
    tokio::spawn(async move {
        let first = format!("{DAV_HEAD}{}", response(&path, &node));
        let is_listed = deep && node.is_folder();
        let of_row = |row: &Row| response(&format!("{path}{}", row.link()), &row.node);
        if pen.put(&first).await && (!is_listed || rows(&mut pen, node, &readers, of_row).await) {
            let _ = pen.put("</D:multistatus>\n").await;
            pen.end().await;
        }
    });
    Sent::Written(sent)
}

/// Writes what lies in a folder; false where that breaks off.
async fn rows(pen: &mut Pen, node: Node, readers: &Readers, write: impl Fn(&Row) -> String) -> bool {
    let mut rows = Rows::of(node);
    loop {
        match rows.next().await {
            Ok(page) if page.is_empty() => return true,
            Ok(page) => {
                for row in page {
                    if !pen.put(&write(&row)).await {
                        return false;
                    }
                }
            }
            Err(cause) => {
                readers.tell(&cause);
                return false;
            }
        }
    }
}

fn html(row: &Row) -> String {
    let name = escaped(&String::from_utf8_lossy(&row.name));
    let size = row.node.size().map(|size| size.to_string()).unwrap_or_default();
    let time = Timestamp { nanoseconds: 0, ..row.node.modified() };
    let slash = if row.node.is_folder() { "/" } else { "" };
    format!("\n<tr><td><a href='./{}'>{name}{slash}</a><td class=n>{size}<td>{time}", row.link())
}

fn response(href: &str, node: &Node) -> String {
    let mut properties = format!("<D:getlastmodified>{}</D:getlastmodified>", http_date(node.modified()));
    match node {
        Node::In(_, _, Some(record)) if !node.is_folder() => {
            let (size, etag) = (node.size().unwrap_or(0), escaped(&etag_of(record)));
            properties.push_str(&format!(
                "<D:resourcetype/><D:getcontentlength>{size}</D:getcontentlength><D:getetag>\"{etag}\"</D:getetag>"
            ));
        }
        _ => properties.push_str("<D:resourcetype><D:collection/></D:resourcetype>"),
    }
    format!(
        "\n<D:response><D:href>{}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
        escaped(href)
    )
}

/// A path as a person reads it.
fn shown(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Text between tags, and in quotes of either kind. Control characters, which XML cannot hold, are shown as a mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_no_markup() {
        assert_eq!(escaped("<a href='x'>&\"\u{7}"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}");
    }
}
