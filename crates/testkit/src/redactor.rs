//! Makes what programs print comparable: what differs from run to run (durations, times, sizes, process numbers, paths) is
//! replaced by a word in brackets. Columns that were padded to a redacted value are pulled together.
//!
//! Written by hand and not with regular expressions, which would cost the build more than these few rules do.

/// What is replaced by rule; texts known beforehand are replaced with [`Redactor::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `1.2 s`, `350ms`, `1m 3s`, `2 hours` → `[DURATION]`.
    Durations,
    /// `2026-08-12T10:11:12.5Z`, `2026-08-12 10:11`, `10:11:12`, `2026-08-12` → `[TIME]`.
    Times,
    /// `12.3 MiB`, `512 B`, `2GiB` → `[SIZE]`.
    Sizes,
    /// `pid 123`, `pid=123`, `process 123` → `pid [PID]`.
    Pids,
    /// Numbers of a JSON object by their key: `"wall_s":1.25` → `"wall_s":[NUMBER]`, the same for `_ms`, `_at`, `_bytes`,
    /// `pid`, `seconds` and `memory`.
    JsonNumbers,
}

/// Replaces what differs from run to run.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Vec<Rule>,
    /// In the order of their addition, so longer paths are to come first.
    texts: Vec<(String, String)>,
}

const DURATION_UNITS: &[&str] = &[
    "ns", "µs", "us", "ms", "s", "m", "min", "h", "d", "sec", "second", "seconds", "minute", "minutes", "hour",
    "hours", "day", "days",
];
const SIZE_UNITS: &[&str] = &[
    "B", "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "K", "M", "G", "bytes", "byte",
];

impl Default for Redactor {
    fn default() -> Redactor {
        Redactor::new()
    }
}

impl Redactor {
    /// With every rule.
    pub fn new() -> Redactor {
        let rules = vec![Rule::Durations, Rule::Times, Rule::Sizes, Rule::Pids, Rule::JsonNumbers];
        Redactor {
            rules,
            texts: Vec::new(),
        }
    }

    /// Without one of them, where the test means just that value.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Redactor {
        self.rules.retain(|known| *known != rule);
        self
    }

    /// Replaces a text wherever it stands.
    #[must_use]
    pub fn replace(mut self, text: &str, by: &str) -> Redactor {
        if !text.is_empty() {
            self.texts.push((text.to_owned(), by.to_owned()));
        }
        self
    }

    /// The text without what differs from run to run.
    pub fn redact(&self, text: &str) -> String {
        let text = self
            .texts
            .iter()
            .fold(text.to_owned(), |text, (known, by)| text.replace(known.as_str(), by));
        let mut redacted: String = text.split_inclusive('\n').map(|line| self.line(line)).collect();
        if !text.ends_with('\n') && redacted.ends_with('\n') {
            redacted.pop();
        }
        redacted
    }

    fn line(&self, line: &str) -> String {
        let mut redacted = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            // In the middle of a word or number nothing begins.
            let begins = redacted
                .chars()
                .next_back()
                .is_none_or(|last| !last.is_alphanumeric() && !"_.-".contains(last));
            match begins.then(|| self.at(rest, &redacted)).flatten() {
                Some((length, word)) => {
                    pull_together(&mut redacted);
                    redacted.push_str(word);
                    rest = &rest[length..];
                    let spaces = rest.len() - rest.trim_start_matches(' ').len();
                    if spaces > 1 {
                        rest = &rest[spaces - 1..];
                    }
                }
                None => {
                    let length = rest.chars().next().map_or(rest.len(), char::len_utf8);
                    redacted.push_str(&rest[..length]);
                    rest = &rest[length..];
                }
            }
        }
        redacted
    }

    /// What begins here: how many bytes it has and what stands for it.
    fn at(&self, rest: &str, before: &str) -> Option<(usize, &'static str)> {
        let has = |rule: Rule| self.rules.contains(&rule);
        if !rest.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        if has(Rule::JsonNumbers) && follows_key(before) {
            return Some((number(rest)?, "[NUMBER]"));
        }
        if has(Rule::Pids) && follows_pid(before) {
            return Some((digits(rest), "[PID]"));
        }
        // What follows a colon is a place (`kingtide.toml:10:12`), not a time.
        if has(Rule::Times)
            && !before.ends_with(':')
            && let Some(length) = time(rest)
        {
            return Some((length, "[TIME]"));
        }
        if has(Rule::Durations)
            && let Some(length) = duration(rest)
        {
            return Some((length, "[DURATION]"));
        }
        if has(Rule::Sizes)
            && let Some(length) = quantity(rest, SIZE_UNITS)
        {
            return Some((length, "[SIZE]"));
        }
        None
    }
}

/// Leaves one of several spaces at the end: they were there to align what is replaced now.
fn pull_together(text: &mut String) {
    let trimmed = text.trim_end_matches(' ').len();
    // Indentation is no alignment.
    if trimmed > 0 && text.len() > trimmed + 1 {
        text.truncate(trimmed + 1);
    }
}

/// Whether the text ends in `"key":` of a number that differs from run to run.
fn follows_key(before: &str) -> bool {
    let Some(key) = before
        .trim_end_matches(' ')
        .strip_suffix(':')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return false;
    };
    let key = key.rsplit('"').next().unwrap_or_default();
    ["_s", "_ms", "_at", "_bytes", "pid", "seconds", "memory"]
        .iter()
        .any(|end| key.ends_with(end))
}

fn follows_pid(before: &str) -> bool {
    let word = before.trim_end_matches([' ', '=', ':']);
    let marked = word.len() < before.len();
    marked && ["pid", "PID", "process"].iter().any(|name| word.ends_with(name))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// `12`, `1.5`, `1e-3`.
fn number(text: &str) -> Option<usize> {
    let mut length = digits(text);
    if length == 0 {
        return None;
    }
    if let Some(fraction) = text[length..]
        .strip_prefix('.')
        .map(digits)
        .filter(|fraction| *fraction > 0)
    {
        length += 1 + fraction;
    }
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let exponent = digits(&exponent[sign..]);
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    Some(length)
}

/// A number with one of the units, at most one space between.
fn quantity(text: &str, units: &[&str]) -> Option<usize> {
    let value = number(text)?;
    let space = usize::from(text[value..].starts_with(' '));
    let unit = &text[value + space..];
    let length: usize = unit
        .chars()
        .take_while(|letter| letter.is_alphanumeric())
        .map(char::len_utf8)
        .sum();
    units.contains(&&unit[..length]).then_some(value + space + length)
}

/// One or several quantities of time: `1m 3s`, `1m3s`, `2 h 5 min`.
fn duration(text: &str) -> Option<usize> {
    let mut length = part_of_duration(text)?;
    loop {
        let space = usize::from(text[length..].starts_with(' '));
        match part_of_duration(&text[length + space..]) {
            Some(more) => length += space + more,
            None => return Some(length),
        }
    }
}

/// As `quantity`, and another part may follow at once: `1m3s`.
fn part_of_duration(text: &str) -> Option<usize> {
    let value = number(text)?;
    let space = usize::from(text[value..].starts_with(' '));
    let unit = &text[value + space..];
    let length: usize = unit
        .chars()
        .take_while(|letter| letter.is_alphabetic())
        .map(char::len_utf8)
        .sum();
    let ends = unit[length..]
        .chars()
        .next()
        .is_none_or(|next| !next.is_alphanumeric() || (space == 0 && next.is_ascii_digit()));
    (ends && DURATION_UNITS.contains(&&unit[..length])).then_some(value + space + length)
}

/// A date, a time of day, or both; with fraction and zone.
fn time(text: &str) -> Option<usize> {
    let date = shape(text, "dddd-dd-dd");
    let mut length = match date {
        Some(date) => {
            let joined = &text[date..];
            let clock = joined.strip_prefix(['T', ' ']).and_then(clock).map(|clock| clock + 1);
            date + clock.unwrap_or(0)
        }
        None => clock(text)?,
    };
    let zone = &text[length..];
    length += match shape(zone, "+dd:dd").or_else(|| shape(zone, "-dd:dd")) {
        Some(zone) => zone,
        None if zone.starts_with('Z') => 1,
        None if zone.starts_with(" UTC") => 4,
        None => 0,
    };
    let ends = text[length..].chars().next().is_none_or(|next| !next.is_alphanumeric());
    ends.then_some(length)
}

/// `10:11:12.5`, `10:11:12` or `10:11`.
fn clock(text: &str) -> Option<usize> {
    let Some(length) = shape(text, "dd:dd:dd") else {
        return shape(text, "dd:dd");
    };
    let fraction = text[length..].strip_prefix(['.', ',']).map_or(0, digits);
    Some(length + if fraction > 0 { fraction + 1 } else { 0 })
}

/// The length of `pattern` where the text has a digit for each of its `d` and the same for all else.
fn shape(text: &str, pattern: &str) -> Option<usize> {
    let mut bytes = text.bytes();
    let fits = pattern.bytes().all(|expected| match (bytes.next(), expected) {
        (Some(byte), b'd') => byte.is_ascii_digit(),
        (byte, expected) => byte == Some(expected),
    });
    fits.then_some(pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Redactor::new().redact(text), expected);
    }

    #[test]
    fn durations() {
        check("took 1.25 s, 350ms, 0s", "took [DURATION], [DURATION], [DURATION]");
        check(
            "1m 3s left, 1m3s left, 2 h 5 min",
            "[DURATION] left, [DURATION] left, [DURATION]",
        );
        check("after 3 seconds.", "after [DURATION].");
        check("5 succeeded, 3 models, 1st", "5 succeeded, 3 models, 1st");
    }

    #[test]
    fn times() {
        check("at 2026-08-12T10:11:12.123Z.", "at [TIME].");
        check("2026-08-12 10:11:12+02:00 up", "[TIME] up");
        check("since 10:11:12, on 2026-08-12", "since [TIME], on [TIME]");
        check("kingtide.toml:4:7", "kingtide.toml:4:7");
        check("line 12:345", "line 12:345");
    }

    #[test]
    fn sizes_and_processes() {
        check("peak 12.3 MiB of 2GiB, 512 B", "peak [SIZE] of [SIZE], [SIZE]");
        check("keeper (pid 4711), pid=12", "keeper (pid [PID]), pid=[PID]");
        check("retrain-12/37", "retrain-12/37");
        check("version 0.1.0", "version 0.1.0");
    }

    #[test]
    fn json() {
        let text = r#"{"run":3,"wall_s":1.5e-3,"peak_bytes": 12,"tasks":{"total":5}}"#;
        check(
            text,
            r#"{"run":3,"wall_s":[NUMBER],"peak_bytes": [NUMBER],"tasks":{"total":5}}"#,
        );
    }

    #[test]
    fn alignment_goes_with_the_value_but_not_indentation() {
        check(
            "BOS    1.2 s   ok\nLAX   12.2 s   ok\n",
            "BOS [DURATION] ok\nLAX [DURATION] ok\n",
        );
        check("    12 s", "    [DURATION]");
        check("a    b", "a    b");
    }

    #[test]
    fn what_the_test_means_can_be_kept() {
        let redactor = Redactor::new().without(Rule::Sizes).replace("/tmp/kt-1", "[ROOT]");
        assert_eq!(
            redactor.redact("/tmp/kt-1/a: 2 GiB in 3 s"),
            "[ROOT]/a: 2 GiB in [DURATION]"
        );
        assert_eq!(redactor.redact("µ12 größer"), "µ12 größer");
        assert_eq!(redactor.redact(""), "");
    }
}
