//! Between the words of a task's document and those of core.

use kingtide_core::drain;
use kingtide_core::engine::event::{self, Ledger};
use kingtide_core::time::Timestamp;

use super::task::{Claim, Standing, Usage};

impl From<Claim> for drain::Entry {
    fn from(claim: Claim) -> drain::Entry {
        drain::Entry {
            attempt: claim.attempt,
            ledger: Ledger {
                failures: claim.failures,
                losses: claim.losses,
                memory: claim.memory,
            },
            standing: match claim.standing {
                Standing::Held { until_ms } => drain::Standing::Held {
                    until: Timestamp(until_ms),
                },
                Standing::Ended => drain::Standing::Ended,
                Standing::Over => drain::Standing::Over,
            },
        }
    }
}

impl From<drain::Entry> for Claim {
    fn from(entry: drain::Entry) -> Claim {
        Claim {
            attempt: entry.attempt,
            failures: entry.ledger.failures,
            losses: entry.ledger.losses,
            memory: entry.ledger.memory,
            standing: match entry.standing {
                drain::Standing::Held { until } => Standing::Held { until_ms: until.0 },
                drain::Standing::Ended => Standing::Ended,
                drain::Standing::Over => Standing::Over,
            },
        }
    }
}

impl From<Usage> for event::Usage {
    fn from(usage: Usage) -> event::Usage {
        let Usage {
            cpu_ms,
            memory_peak,
            read_bytes,
            written_bytes,
        } = usage;
        event::Usage {
            cpu_ms,
            memory_peak,
            read_bytes,
            written_bytes,
        }
    }
}

impl From<event::Usage> for Usage {
    fn from(usage: event::Usage) -> Usage {
        let event::Usage {
            cpu_ms,
            memory_peak,
            read_bytes,
            written_bytes,
        } = usage;
        Usage {
            cpu_ms,
            memory_peak,
            read_bytes,
            written_bytes,
        }
    }
}
