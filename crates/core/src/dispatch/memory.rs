//! What a dispatcher has to know of itself to go on after its own loss: what it has asked for, whom it has started, what was spent. All else
//! is seen. It is written as JSON, with `progress.json`; what a later version adds, an earlier one passes over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use thiserror::Error;

use super::event::{Launch, Market};
use super::warning::Kind;
use crate::time::Timestamp;

/// A dispatcher's own record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// How many dispatchers this run has had.
    pub(super) dispatchers: u32,
    /// The number of the last launch.
    pub(super) launches: u32,
    /// Launches that have not been answered, or are to be made again.
    pub(super) asked: BTreeMap<u32, Asked>,
    /// Workers that are not known to have stopped, by their ARNs.
    pub(super) crew: BTreeMap<String, Worker>,
    /// Those that are, and when they did: ECS goes on to list them for an hour.
    pub(super) settled: BTreeMap<String, Timestamp>,
    /// Dollars, of those that have stopped.
    pub(super) spent: f64,
    pub(super) started: u32,
    pub(super) lost: u32,
    /// All messages are in the queue, or were.
    pub(super) is_sent: bool,
    /// So many workers are wanted.
    pub(super) wanted: u32,
    /// What people were told and is so still.
    pub(super) said: BTreeSet<Kind>,
    /// When the last task that is over ended.
    pub(super) last_over: Option<Timestamp>,
    /// The run is ended before all is done, since then.
    pub(super) ending: Option<(Why, Timestamp)>,
}

/// A launch whose answer is awaited, or that is made again after a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) launch: Launch,
    pub(super) at: Timestamp,
    /// How often it was throttled.
    pub(super) tries: u32,
    /// It is to be made again then; `None` while it is under way.
    pub(super) again: Option<Timestamp>,
}

/// A worker that has not stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worker {
    pub(super) size: usize,
    pub(super) market: Market,
    pub(super) asked_at: Timestamp,
    /// ECS has last spoken of it then.
    pub(super) seen_at: Timestamp,
    pub(super) paid_from: Option<Timestamp>,
    pub(super) is_running: bool,
    /// It was told to stop.
    pub(super) told_at: Option<Timestamp>,
}

/// Why a run is ended before all is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Cancelled,
    /// It takes longer than `max_duration`.
    TooLong,
    /// It has cost what it may.
    Capped,
    /// Nothing more can come of it.
    Hopeless(String),
}

/// A record that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the dispatcher's own record lacks `{0}`, or has something else there")]
pub struct MemoryError(&'static str);

impl Market {
    fn word(self) -> &'static str {
        match self {
            Market::OnDemand => "on_demand",
            Market::Spot => "spot",
        }
    }

    fn named(word: &str) -> Option<Market> {
        [Market::OnDemand, Market::Spot]
            .into_iter()
            .find(|market| market.word() == word)
    }
}

impl Memory {
    /// As it is written down.
    pub fn json(&self) -> Json {
        let asked = self.asked.values().map(|asked| {
            let Launch {
                number,
                count,
                size,
                market,
                token,
            } = &asked.launch;
            json!({
                "number": number, "count": count, "size": size, "market": market.word(), "token": token,
                "at_ms": asked.at.0, "tries": asked.tries,
            })
        });
        let crew = self.crew.iter().map(|(id, worker)| {
            let of = json!({
                "size": worker.size, "market": worker.market.word(),
                "asked_ms": worker.asked_at.0, "seen_ms": worker.seen_at.0,
                "paid_ms": worker.paid_from.map(|at| at.0),
                "running": worker.is_running,
                "told_ms": worker.told_at.map(|at| at.0),
            });
            (id.clone(), of)
        });
        let ending = self.ending.as_ref().map(|(why, since)| {
            let (word, reason) = match why {
                Why::Cancelled => ("cancelled", None),
                Why::TooLong => ("too_long", None),
                Why::Capped => ("capped", None),
                Why::Hopeless(reason) => ("hopeless", Some(reason)),
            };
            json!({ "why": word, "reason": reason, "since_ms": since.0 })
        });
        json!({
            "dispatchers": self.dispatchers,
            "launches": self.launches,
            "asked": asked.collect::<Vec<_>>(),
            "crew": crew.collect::<Map<_, _>>(),
            "settled": self.settled.iter().map(|(id, at)| (id.clone(), json!(at.0))).collect::<Map<_, _>>(),
            "spent": self.spent,
            "started": self.started,
            "lost": self.lost,
            "sent": self.is_sent,
            "wanted": self.wanted,
            "said": self.said.iter().map(|kind| kind.word()).collect::<Vec<_>>(),
            "last_over_ms": self.last_over.map(|at| at.0),
            "ending": ending,
        })
    }

    /// From what was written down.
    pub fn read(json: &Json) -> Result<Memory, MemoryError> {
        let of = Fields(json);
        let asked = of.list("asked")?.iter().map(|asked| {
            let of = Fields(asked);
            let number = of.number("number")?;
            let launch = Launch {
                number,
                count: of.number("count")?,
                size: of.number("size")? as usize,
                market: of.market()?,
                token: of.text("token")?.to_owned(),
            };
            let asked = Asked {
                launch,
                at: of.time("at_ms")?.ok_or(MemoryError("at_ms"))?,
                tries: of.number("tries")?,
                again: None,
            };
            Ok((number, asked))
        });
        let crew = of.table("crew")?.iter().map(|(id, worker)| {
            let of = Fields(worker);
            let worker = Worker {
                size: of.number("size")? as usize,
                market: of.market()?,
                asked_at: of.time("asked_ms")?.ok_or(MemoryError("asked_ms"))?,
                seen_at: of.time("seen_ms")?.ok_or(MemoryError("seen_ms"))?,
                paid_from: of.time("paid_ms")?,
                is_running: of.truth("running")?,
                told_at: of.time("told_ms")?,
            };
            Ok((id.clone(), worker))
        });
        let settled = of.table("settled")?.iter().map(|(id, at)| {
            let at = at.as_i64().ok_or(MemoryError("settled"))?;
            Ok((id.clone(), Timestamp(at)))
        });
        let words = of.list("said")?.iter().filter_map(Json::as_str);
        let said = words.filter_map(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word));
        Ok(Memory {
            dispatchers: of.number("dispatchers")?,
            launches: of.number("launches")?,
            asked: asked.collect::<Result<_, _>>()?,
            crew: crew.collect::<Result<_, _>>()?,
            settled: settled.collect::<Result<_, _>>()?,
            spent: json["spent"].as_f64().ok_or(MemoryError("spent"))?,
            started: of.number("started")?,
            lost: of.number("lost")?,
            is_sent: of.truth("sent")?,
            wanted: of.number("wanted")?,
            said: said.collect(),
            last_over: of.time("last_over_ms")?,
            ending: ending(&json["ending"])?,
        })
    }
}

fn ending(json: &Json) -> Result<Option<(Why, Timestamp)>, MemoryError> {
    if json.is_null() {
        return Ok(None);
    }
    let of = Fields(json);
    let why = match of.text("why")? {
        "cancelled" => Why::Cancelled,
        "too_long" => Why::TooLong,
        "capped" => Why::Capped,
        "hopeless" => Why::Hopeless(of.text("reason")?.to_owned()),
        _ => return Err(MemoryError("why")),
    };
    Ok(Some((why, of.time("since_ms")?.ok_or(MemoryError("since_ms"))?)))
}

/// Of an object.
struct Fields<'a>(&'a Json);

impl<'a> Fields<'a> {
    fn number(&self, name: &'static str) -> Result<u32, MemoryError> {
        let number = self.0[name].as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or(MemoryError(name))
    }

    fn truth(&self, name: &'static str) -> Result<bool, MemoryError> {
        self.0[name].as_bool().ok_or(MemoryError(name))
    }

    fn text(&self, name: &'static str) -> Result<&'a str, MemoryError> {
        self.0[name].as_str().ok_or(MemoryError(name))
    }

    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, MemoryError> {
        match &self.0[name] {
            Json::Null => Ok(None),
            at => at.as_i64().map(|at| Some(Timestamp(at))).ok_or(MemoryError(name)),
        }
    }

    fn market(&self) -> Result<Market, MemoryError> {
        Market::named(self.text("market")?).ok_or(MemoryError("market"))
    }

    fn list(&self, name: &'static str) -> Result<&'a Vec<Json>, MemoryError> {
        self.0[name].as_array().ok_or(MemoryError(name))
    }

    fn table(&self, name: &'static str) -> Result<&'a Map<String, Json>, MemoryError> {
        self.0[name].as_object().ok_or(MemoryError(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let launch = Launch {
            number: 3,
            count: 10,
            size: 1,
            market: Market::Spot,
            token: "0123-3".to_owned(),
        };
        let asked = Asked {
            launch,
            at: Timestamp(5),
            tries: 2,
            again: None,
        };
        let worker = Worker {
            size: 0,
            market: Market::OnDemand,
            asked_at: Timestamp(1),
            seen_at: Timestamp(2),
            paid_from: None,
            is_running: true,
            told_at: Some(Timestamp(3)),
        };
        let memory = Memory {
            dispatchers: 2,
            launches: 3,
            asked: BTreeMap::from([(3, asked)]),
            crew: BTreeMap::from([("arn".to_owned(), worker)]),
            settled: BTreeMap::from([("other".to_owned(), Timestamp(9))]),
            spent: 0.25,
            started: 12,
            lost: 1,
            is_sent: true,
            wanted: 10,
            said: BTreeSet::from([Kind::Late]),
            last_over: Some(Timestamp(8)),
            ending: Some((Why::Hopeless("no image".to_owned()), Timestamp(10))),
        };
        assert_eq!(Memory::read(&memory.json()), Ok(memory));
        assert_eq!(Memory::read(&Memory::default().json()), Ok(Memory::default()));
        assert_eq!(Memory::read(&json!({})), Err(MemoryError("asked")));
    }
}
