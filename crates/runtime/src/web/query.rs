//! What follows the `?`: names and values. Every name must be understood; one that is not is said, and never passed over.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Objection;
use crate::sqs::percent;

/// Rows of a page when nothing is said, and at most.
const LIMIT: usize = 100;
const MOST: usize = 1000;

/// Parameters that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn read(text: &str) -> Result<Query, Objection> {
        let mut parameters = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.contains_key(&name) {
                return Err(Objection::Unsound(format!("`{name}` is given twice")));
            }
            parameters.insert(name, value);
        }
        Ok(Query(parameters))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A parameter that is written in its own way; `what` says which.
    pub(super) fn parse<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Objection> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        let wrong = |_| Objection::Unsound(format!("`{name}={text}` is not {what}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// How many rows are wanted.
    pub(super) fn limit(&mut self) -> Result<usize, Objection> {
        let limit = self.parse("limit", "a number of rows")?.unwrap_or(LIMIT);
        match limit {
            1..=MOST => Ok(limit),
            _ => Err(Objection::Unsound(format!(
                "`limit={limit}` is not between 1 and {MOST}"
            ))),
        }
    }

    /// Nothing is left that nobody understood.
    pub(super) fn finish(&self) -> Result<(), Objection> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Objection::Unsound(format!("this path knows no parameter `{name}`"))),
        }
    }
}

fn decode(text: &str) -> Result<String, Objection> {
    let decoded = percent::decode(text.as_bytes(), true).into_owned();
    String::from_utf8(decoded).map_err(|_| Objection::Unsound("the query is not UTF-8".to_owned()))
}
