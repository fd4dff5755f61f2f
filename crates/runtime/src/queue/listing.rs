//! Lists of queues, page by page.

use super::{Queues, Refusal, invalid, limits};
use crate::sqs::fault::Fault;
use crate::sqs::operation::{Answer, Page};

/// How many names are returned, and after which name they start.
fn place(page: &Page) -> Result<(usize, String), Fault> {
    let limit = page.limit.unwrap_or(*limits::PAGE.end());
    if !limits::PAGE.contains(&limit) {
        return Err(invalid(
            "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.",
        ));
    }
    let after = match page.token.as_deref() {
        None | Some("") => String::new(),
        Some(token) => {
            let name = token.strip_prefix(TOKEN).filter(|name| !name.is_empty());
            name.ok_or_else(|| invalid("Invalid or expired next token."))?
                .to_owned()
        }
    };
    Ok((limit as usize, after))
}

/// A token is the last name of the page before.
const TOKEN: &str = "after-";

/// Without a limit SQS returns a thousand and no token for the rest.
fn answer(page: &Page, limit: usize, mut names: Vec<String>) -> Answer {
    let more = names.len() > limit;
    names.truncate(limit);
    let next = names.last().filter(|_| more && page.limit.is_some());
    Answer::Queues {
        next: next.map(|name| format!("{TOKEN}{name}")),
        names,
    }
}

impl Queues<'_> {
    pub(super) fn list_queues(&mut self, prefix: Option<&str>, page: &Page) -> Result<Answer, Refusal> {
        let (limit, after) = place(page)?;
        let prefix = prefix.unwrap_or_default();
        let sql = "SELECT name FROM queue WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name LIMIT ?3";
        let mut statement = self.rows.prepare_cached(sql)?;
        let names = statement.query_map(rusqlite::params![after, prefix, limit as i64 + 1], |row| row.get(0))?;
        let names = names.collect::<Result<Vec<String>, _>>()?;
        Ok(answer(page, limit, names))
    }

    /// The queues whose dead letters go to this one.
    pub(super) fn list_sources(&mut self, name: &str, page: &Page) -> Result<Answer, Refusal> {
        let queue = self.require(name)?;
        let (limit, after) = place(page)?;
        let sources = self.all(&after, i64::MAX)?.into_iter();
        let names = sources
            .filter(|source| {
                self.redrive_of(source)
                    .is_some_and(|redrive| redrive.target == queue.name)
            })
            .map(|source| source.name);
        let names = names.take(limit + 1).collect();
        Ok(answer(page, limit, names))
    }
}
