//! What a dispatcher has to say to people: once when it comes to that, and once more when it is over.

use std::fmt;

use crate::time::Timestamp;

/// Something that people may want to act upon.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The deadline is less likely than was wanted.
    Late {
        chance: f64,
        wanted: f64,
        /// Seconds more that would do.
        short_s: u64,
        /// So many workers would do, where so many cannot be had.
        workers: Option<u32>,
    },
    /// It is likely again.
    InTime { chance: f64 },
    /// What the run may cost is not thought to be enough for all of it.
    Tight { foreseen: f64, max_cost: f64 },
    /// It has cost what it may: nothing more is begun.
    Capped { max_cost: f64 },
    /// The account's quota leaves room for fewer workers than are wanted.
    Quota { wanted: u32, most: u32 },
    /// AWS has no capacity, or starts nothing, since then.
    Unstarted { since: Timestamp, reason: String },
    /// Workers start again.
    Started,
    /// The queue takes no messages.
    Unsent { reason: String },
    /// Bucket, cluster or queues cannot be seen.
    Unseen { reason: String },
}

/// Kinds, for saying each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Late,
    Tight,
    Capped,
    Quota,
    Unstarted,
    Unsent,
    Unseen,
}

impl Kind {
    pub(super) const ALL: [Kind; 7] = [
        Kind::Late,
        Kind::Tight,
        Kind::Capped,
        Kind::Quota,
        Kind::Unstarted,
        Kind::Unsent,
        Kind::Unseen,
    ];

    /// As it is written down.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Late => "late",
            Kind::Tight => "tight",
            Kind::Capped => "capped",
            Kind::Quota => "quota",
            Kind::Unstarted => "unstarted",
            Kind::Unsent => "unsent",
            Kind::Unseen => "unseen",
        }
    }
}

impl Warning {
    /// It is about dollars; every other is about being done in time.
    pub fn is_of_cost(&self) -> bool {
        matches!(self, Warning::Tight { .. } | Warning::Capped { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Late {
                chance,
                wanted,
                short_s,
                workers,
            } => {
                let more = humantime::format_duration(std::time::Duration::from_secs(*short_s));
                let (chance, wanted) = (percent(*chance), percent(*wanted));
                write!(
                    f,
                    "the deadline is met with a chance of {chance}, {wanted} is wanted: {more} more would do"
                )?;
                match workers {
                    Some(workers) => write!(f, ", or {workers} workers"),
                    None => Ok(()),
                }
            }
            Warning::InTime { chance } => write!(f, "the deadline is met with a chance of {} again", percent(*chance)),
            Warning::Tight { foreseen, max_cost } => write!(
                f,
                "the run is thought to cost ${foreseen:.2}, and may cost ${max_cost:.2}: what is left by then is not begun"
            ),
            Warning::Capped { max_cost } => write!(
                f,
                "the run has cost its `max_cost` of ${max_cost:.2}: what runs is done, and nothing more is begun"
            ),
            Warning::Quota { wanted, most } => write!(
                f,
                "{wanted} workers are wanted, and the account's quota of vCPUs leaves room for {most}: ask for more at Service Quotas"
            ),
            Warning::Unstarted { reason, .. } => write!(f, "workers do not start: {reason}"),
            Warning::Started => write!(f, "workers start again"),
            Warning::Unsent { reason } => write!(f, "messages cannot be sent: {reason}"),
            Warning::Unseen { reason } => write!(f, "the run cannot be looked at: {reason}"),
        }
    }
}

fn percent(chance: f64) -> String {
    match chance {
        sure if sure > 0.995 => "over 99 %".to_owned(),
        hopeless if hopeless < 0.005 => "under 1 %".to_owned(),
        chance => format!("{:.0} %", chance * 100.0),
    }
}
