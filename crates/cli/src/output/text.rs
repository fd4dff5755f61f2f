//! Durations, sizes, counts and moments as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kingtide_core::time::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Two units at the most: `12 ms`, `3.4 s`, `2 min 05 s`, `1 h 12 min`, `3 d 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() < 1000 => format!("{} ms", duration.as_millis()),
        0..=9 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// No finer than it needs to be: `45 s`, `12 min`, `1 h 12 min`, `3 d 4 h`.
pub(crate) fn rough(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3599 => format!("{} min", seconds / 60),
        _ => duration(length),
    }
}

/// For clocks that tick: `0:07`, `12:34`, `1:02:03`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds % 3600 / 60, seconds % 60),
    }
}

/// One unit, rounded down: `3 min ago`.
pub(crate) fn ago(duration: Duration) -> String {
    match duration.as_secs() {
        0..=1 => "just now".to_owned(),
        seconds @ 2..=119 => format!("{seconds} s ago"),
        seconds @ 120..=7199 => format!("{} min ago", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// In powers of 1024: `640 B`, `1.5 GiB`, `2 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let text = bytesize::ByteSize::b(bytes).display().iec().to_string();
    text.replace(".0 ", " ")
}

/// A part of a whole in the whole's unit: `1.2/8 GiB`.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let unit = (1..=4).rev().find(|power| whole >= 1 << (10 * power)).unwrap_or(0);
    let tenths = |bytes: u64| {
        let tenths = (u128::from(bytes) * 10 + (1 << (10 * unit)) / 2) >> (10 * unit);
        match tenths % 10 {
            0 => (tenths / 10).to_string(),
            rest => format!("{}.{rest}", tenths / 10),
        }
    };
    format!(
        "{}/{} {}",
        tenths(part),
        tenths(whole),
        ["B", "KiB", "MiB", "GiB", "TiB"][unit]
    )
}

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 task`, `2 tasks`
pub(crate) fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

pub(crate) use kingtide_runtime::view::json::rfc3339;
pub(crate) use kingtide_runtime::words::{chance, moment};

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Columns that a text takes on a terminal; sequences for colours take none.
pub(crate) fn width(text: &str) -> usize {
    without_colours(text).width()
}

/// Rows that a text takes on a terminal of so many columns, which folds what is wider.
pub(crate) fn rows_taken(text: &str, columns: usize) -> usize {
    let mut rows = 1;
    let mut used = 0;
    for character in without_colours(text).chars() {
        let width = character.width().unwrap_or(0);
        if used + width > columns {
            rows += 1;
            used = 0;
        }
        used += width;
    }
    rows
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("\x1b[") {
        plain.push_str(&rest[..start]);
        let tail = &rest[start + 2..];
        rest = tail
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or("", |end| &tail[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

/// Cut to a number of columns, with `…` where something was cut. For texts without colours.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// What a task is called: its parameters, cut to a number of columns, or its number where it has none.
pub(crate) fn task_label(label: &str, seq: i64, columns: usize) -> String {
    match label {
        "" => format!("task {seq}"),
        label => tame(&cut(label, columns)),
    }
}

/// On one line and harmless: what programs and files wrote may hold sequences that command a terminal.
pub(crate) fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect()
}

/// The bytes of `2026-11-24T03:08:00.123Z `, which stands before each line of a log.
pub(crate) const STAMP: usize = 25;

pub(crate) fn is_stamped(line: &[u8]) -> bool {
    line.len() >= STAMP && line[4] == b'-' && line[10] == b'T' && line[23] == b'Z' && line[24] == b' '
}

pub(crate) fn without_stamp(line: &str) -> &str {
    if is_stamped(line.as_bytes()) {
        &line[STAMP..]
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let said = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [0, 999, 1000, 9999, 59_999, 125_000, 4_320_000, 273_600_000].map(said),
            [
                "0 ms",
                "999 ms",
                "1.0 s",
                "9.9 s",
                "59 s",
                "2 min 05 s",
                "1 h 12 min",
                "3 d 4 h"
            ]
        );
        assert_eq!(
            [0, 59, 3599, 4320].map(|s| rough(Duration::from_secs(s))),
            ["0 s", "59 s", "59 min", "1 h 12 min"]
        );
        assert_eq!(
            [7, 754, 3723].map(|s| clock(Duration::from_secs(s))),
            ["0:07", "12:34", "1:02:03"]
        );
        assert_eq!(
            [1, 5, 300, 7200, 200_000].map(|s| ago(Duration::from_secs(s))),
            ["just now", "5 s ago", "5 min ago", "2 h ago", "2 d ago"]
        );
    }

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1, 2000].map(|n| plural(n, "task")),
            ["0 tasks", "1 task", "2,000 tasks"]
        );
        assert_eq!([0.001, 0.934, 0.999].map(chance), ["<1 %", "93 %", ">99 %"]);
        assert_eq!([640, 2 << 30, 3 << 29].map(bytes), ["640 B", "2 GiB", "1.5 GiB"]);
        assert_eq!(
            [share(1_288_490_188, 8 << 30), share(0, 3 << 29), share(1 << 30, 640)],
            ["1.2/8 GiB", "0/1.5 GiB", "1073741824/640 B"]
        );
        assert_eq!(moment(Timestamp(1_785_765_900_000)), "2026-08-03 14:05:00Z");
    }

    #[test]
    fn a_cut_text_never_takes_more_columns() {
        assert_eq!(cut("dest=BOS", 8), "dest=BOS");
        assert_eq!(cut("dest=BOS", 7), "dest=B…");
        assert_eq!(cut("東京都庁", 5), "東京…");
        assert_eq!(cut("東京都庁", 0), "");
        assert_eq!(width("\x1b[1;31mfailed\x1b[0m!"), 7);
        // The second half of a wide character does not stand on a row of its own.
        assert_eq!(
            [("", 8), ("dest=BOS", 8), ("dest=BOS", 7), ("東京都庁", 3)]
                .map(|(text, columns)| rows_taken(text, columns)),
            [1, 1, 2, 4]
        );
        assert_eq!(tame("a\x1b[2Jb\tc\r\n"), "a[2Jb c");
    }
}
