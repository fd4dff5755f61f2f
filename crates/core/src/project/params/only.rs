//! `k=v` on the command line: as a filter of rows (`--only`) and as a message.

use serde_json::{Map, Value as Json};

use crate::finding::{Finding, Findings, suggestion};
use crate::message::{Message, value_text};

/// Lets through the rows whose parameters are as said: of several values of one parameter any will do.
#[derive(Clone, Debug, Default)]
pub struct Only {
    pairs: Vec<Pair>,
    /// The names of the first row, for a suggestion.
    names: Vec<String>,
    rows: u64,
    accepted: u64,
}

#[derive(Clone, Debug)]
struct Pair {
    name: String,
    value: String,
    /// Whether any row has such a parameter, and whether any has that value.
    known: bool,
    matched: bool,
    /// Whether the row at hand has that value.
    holds: bool,
}

impl Only {
    /// Reads `k=v` pairs.
    pub fn parse<S: AsRef<str>>(pairs: &[S]) -> Result<Only, Findings> {
        let mut findings = Findings::default();
        let pairs = pairs.iter().filter_map(|pair| split(pair.as_ref(), &mut findings));
        let pair = |(name, value): (&str, &str)| Pair {
            name: name.to_owned(),
            value: value.to_owned(),
            known: false,
            matched: false,
            holds: false,
        };
        let only = Only {
            pairs: pairs.map(pair).collect(),
            ..Only::default()
        };
        if findings.has_errors() { Err(findings) } else { Ok(only) }
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether the row is wanted. Every row must be shown here for `finish` to be right.
    pub fn accepts(&mut self, message: &Message) -> bool {
        if self.rows == 0 && !self.pairs.is_empty() {
            self.names = message.0.keys().cloned().collect();
        }
        self.rows += 1;
        for pair in &mut self.pairs {
            let value = message.0.get(&pair.name);
            pair.known |= value.is_some();
            let matches = value.is_some_and(|value| match value {
                Json::String(text) => *text == pair.value,
                other => value_text(other) == pair.value,
            });
            pair.matched |= matches;
            pair.holds = matches;
        }
        let all = self.pairs.iter().all(|pair| {
            let same = self.pairs.iter().filter(|other| other.name == pair.name);
            same.into_iter().any(|other| other.holds)
        });
        self.accepted += u64::from(all);
        all
    }

    /// What there is to say once all rows have been seen: names no row has, and that nothing is left.
    pub fn finish(self) -> Findings {
        let mut findings = Findings::default();
        if self.rows == 0 {
            return findings;
        }
        for pair in self.pairs.iter().filter(|pair| !pair.known) {
            let finding = Finding::error("unknown-filter", format!("no row has a parameter `{}`", pair.name));
            findings.push(match suggestion(&pair.name, self.names.iter().map(String::as_str)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("the rows have {}", self.names.join(", "))),
            });
        }
        if findings.0.is_empty() && self.accepted == 0 {
            let unmatched: Vec<String> = self
                .pairs
                .iter()
                .filter(|pair| !pair.matched)
                .map(Pair::to_string)
                .collect();
            let message = match unmatched.is_empty() {
                true => format!("none of {} rows is all of {}", self.rows, joined(&self.pairs)),
                false => format!("none of {} rows has {}", self.rows, unmatched.join(" or ")),
            };
            findings.push(Finding::error("no-match", message));
        }
        findings
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

fn joined(pairs: &[Pair]) -> String {
    pairs.iter().map(Pair::to_string).collect::<Vec<_>>().join(" ")
}

/// A message from `k=v` pairs; the values are the strings they are.
pub fn message_from_pairs<S: AsRef<str>>(pairs: &[S]) -> Result<Message, Findings> {
    let mut findings = Findings::default();
    let mut map = Map::new();
    for pair in pairs {
        let Some((name, value)) = split(pair.as_ref(), &mut findings) else {
            continue;
        };
        if map.insert(name.to_owned(), Json::from(value)).is_some() {
            findings.push(Finding::error("bad-pair", format!("`{name}` is given twice")));
        }
    }
    if findings.has_errors() {
        Err(findings)
    } else {
        Ok(Message(map))
    }
}

fn split<'p>(pair: &'p str, findings: &mut Findings) -> Option<(&'p str, &'p str)> {
    let halves = pair.split_once('=').filter(|(name, _)| !name.is_empty());
    if halves.is_none() {
        let finding = Finding::error("bad-pair", format!("`{pair}` is not name=value"));
        findings.push(finding.help("write a parameter and its value, such as dest=BOS"));
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let bodies = [
            r#"{"dest":"BOS","depth":4}"#,
            r#"{"dest":"LAX","depth":4}"#,
            r#"{"dest":"LAX","depth":8}"#,
        ];
        bodies.map(|body| Message::parse(body).expect("an object")).to_vec()
    }

    fn filtered(pairs: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut only = Only::parse(pairs).expect("pairs");
        let kept = messages()
            .iter()
            .filter(|message| only.accepts(message))
            .map(Message::label)
            .collect();
        let said = only.finish().0.into_iter();
        (
            kept,
            said.map(|finding| format!("{}: {}", finding.code, finding.message))
                .collect(),
        )
    }

    #[test]
    fn all_pairs_must_hold() {
        assert_eq!(
            filtered(&["dest=LAX", "depth=4"]),
            (vec!["dest=LAX depth=4".to_owned()], vec![])
        );
        assert_eq!(filtered(&[]).0.len(), 3);
    }

    #[test]
    fn a_filter_that_cannot_match_says_why() {
        assert_eq!(
            filtered(&["des=LAX"]).1,
            ["unknown-filter: no row has a parameter `des`"]
        );
        assert_eq!(filtered(&["dest=JFK"]).1, ["no-match: none of 3 rows has dest=JFK"]);
        assert_eq!(
            filtered(&["dest=BOS", "depth=8"]).1,
            ["no-match: none of 3 rows is all of dest=BOS depth=8"]
        );
        assert_eq!(Only::parse(&["dest"]).expect_err("no value").0[0].code, "bad-pair");
    }

    #[test]
    fn a_message_is_made_of_pairs() {
        let message = message_from_pairs(&["dest=BOS", "depth=4", "text=a=b", "empty="]).expect("pairs");
        assert_eq!(message.body(), r#"{"dest":"BOS","depth":"4","text":"a=b","empty":""}"#);
        let findings = message_from_pairs(&["=x", "a=1", "a=2"]).expect_err("two mistakes");
        assert_eq!(findings.0.len(), 2);
    }
}
