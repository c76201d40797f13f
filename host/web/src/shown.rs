//! Names, times and sizes as a person reads them. Names and contents are hostile: what could not be seen, or would turn the text around it, is written out.

use credenza_model::{Key, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Whether a character shows itself and changes nothing of others: no control, and none that turns the direction of text, ends a line or has no width.
pub(crate) fn is_visible(character: char) -> bool {
    let is_hidden = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    !is_hidden && !character.is_control()
}

/// A name, or a part of one, as [`Key`] writes it, and invisible characters as `\u{…}`. Different names are never shown alike for the sake of those.
pub(crate) fn name(bytes: &[u8]) -> String {
    text(&Key::new(bytes).to_string())
}

/// What an error says, and then each of its causes that says something else.
pub(crate) fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let line = cause.to_string();
        if !lines.contains(&line) {
            lines.push(line);
        }
        source = cause.source();
    }
    lines
}

/// A text on one line.
pub(crate) fn text(text: &str) -> String {
    escaped(text, |_| false)
}

/// A text that begins as a sentence does.
pub(crate) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A text with its own lines.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_visible(character) || is_kept(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

/// Bytes, with a unit of 1024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0_usize;
    let mut below = bytes;
    while below >= 1024 * 1024 && unit + 1 < UNITS.len() {
        below /= 1024;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(name) if bytes >= 1024 => {
            // What is left has less than 2^20 in its unit below, so that nothing overflows.
            let hundredths = below.saturating_mul(100) / 1024;
            format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
        }
        _ => format!("{bytes} B"),
    }
}

/// A number and its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A point in time: for the browser, and for a person in the zone of this machine.
pub(crate) struct Time {
    /// RFC 3339.
    pub(crate) exact: String,
    /// With the name of its zone.
    pub(crate) text: String,
}

/// The zone that times are shown in.
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// That of this machine.
    pub(crate) fn system() -> Self {
        Self(TimeZone::system())
    }

    /// The day of a time; none beyond the year 9999.
    pub(crate) fn day(&self, time: Timestamp) -> Option<Date> {
        Some(jiff::Timestamp::from_second(time.seconds).ok()?.to_zoned(self.0.clone()).date())
    }

    /// The last second of a day.
    pub(crate) fn end_of(&self, day: Date) -> Option<Timestamp> {
        let next = day.tomorrow().ok()?.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp { seconds: next.timestamp().as_second().saturating_sub(1), nanoseconds: 0 })
    }

    /// The time that a form has, such as `2026-12-01T08:00`; none where it has no such.
    pub(crate) fn civil(&self, text: &str) -> Option<Timestamp> {
        let time = text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp { seconds: time.timestamp().as_second(), nanoseconds: 0 })
    }

    /// A time to the second.
    pub(crate) fn time(&self, time: Timestamp) -> Time {
        let whole = Timestamp { nanoseconds: 0, ..time }.to_string();
        // What lies beyond the year 9999 has no local time.
        let text = jiff::Timestamp::from_second(time.seconds).map_or_else(
            |_| whole.clone(),
            |time| time.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        );
        Time { exact: whole, text }
    }
}

/// How long something takes, roughly.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..90 => count(seconds, "second", "seconds"),
        90..5400 => count(seconds.div_ceil(60), "minute", "minutes"),
        _ => count(seconds.div_ceil(3600), "hour", "hours"),
    }
}

/// How long ago something was, roughly.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.seconds.saturating_sub(then.seconds);
    let shown = |number: i64, one: &str, many: &str| format!("{} ago", count(number.unsigned_abs(), one, many));
    match seconds {
        ..0 => "after now, by the clock of this machine".to_owned(),
        0..120 => "just now".to_owned(),
        120..7200 => shown(seconds / 60, "minute", "minutes"),
        7200..172_800 => shown(seconds / 3600, "hour", "hours"),
        _ => shown(seconds / 86_400, "day", "days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_of_a_name_is_written_out() {
        for (bytes, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\x1b[2Jb", "a\\x1b[2Jb"),
            ("gpj\u{202e}exe".as_bytes(), "gpj\\u{202e}exe"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("\u{200b}".as_bytes(), "\\u{200b}"),
            ("\u{e9}\u{645}".as_bytes(), "\u{e9}\u{645}"),
            (b"<script>", "<script>"),
        ] {
            assert_eq!(name(bytes), shown);
        }
    }

    #[test]
    fn a_text_keeps_its_lines_and_nothing_else_that_moves() {
        assert_eq!(lines("a\tb\nc\x1b\u{2066}"), "a\tb\nc\\u{1b}\\u{2066}");
        assert_eq!(text("a\nb"), "a\\u{a}b");
    }

    #[test]
    fn sizes_are_binary() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (1 << 20, "1.00 MiB"),
            (5 << 30, "5.00 GiB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(size(u64::MAX), "16383.99 PiB");
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let at = |seconds| Timestamp { seconds, nanoseconds: 0 };
        for (then, reported) in [
            (1_000_000, "just now"),
            (999_000, "16 minutes ago"),
            (990_000, "2 hours ago"),
            (0, "11 days ago"),
            (2_000_000, "after now, by the clock of this machine"),
        ] {
            assert_eq!(ago(at(then), at(1_000_000)), reported);
        }
    }
}
