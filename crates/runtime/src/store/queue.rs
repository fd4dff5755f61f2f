//! What waits: offered longest-predicted first, then in the order it was sent.

use kingtide_core::engine::event::{Delivery, Ledger, Receive, Received};
use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use rusqlite::{Row, params};

use super::{Batch, StoreError};

/// The answer to a `Receive`: for the engine, and the bodies for whoever starts them, in the same order.
#[derive(Debug)]
pub struct Offer {
    pub received: Received,
    pub bodies: Vec<String>,
}

impl Batch<'_> {
    /// The first waiting messages in order. They are leased only when the engine's answer is written.
    pub fn receive(&self, receive: Receive, now: Timestamp) -> Result<Offer, StoreError> {
        self.promote(receive.run, now)?;
        let sql = "SELECT task.seq, attempt, failures, losses, memory, body
                   FROM task JOIN message USING (run, seq)
                   WHERE task.run = ?1 AND state = 'waiting' AND visible_at IS NULL
                   ORDER BY predicted DESC, task.seq LIMIT ?2";
        let mut statement = self.tx.prepare_cached(sql)?;
        let (mut deliveries, mut bodies) = (Vec::new(), Vec::new());
        let mut rows = statement.query(params![receive.run.0, receive.max])?;
        while let Some(row) = rows.next()? {
            deliveries.push(delivery(receive.run, row)?);
            bodies.push(row.get(5)?);
        }
        let sql = "SELECT min(visible_at) FROM task WHERE run = ?1 AND state = 'waiting' AND visible_at IS NOT NULL";
        let next_visible: Option<i64> = self
            .tx
            .prepare_cached(sql)?
            .query_row([receive.run.0], |row| row.get(0))?;
        let received = Received {
            run: receive.run,
            asked: receive.max,
            deliveries,
            next_visible: next_visible.map(Timestamp),
        };
        Ok(Offer { received, bodies })
    }

    /// Those whose time has come wait no longer.
    fn promote(&self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE task SET visible_at = NULL
                   WHERE run = ?1 AND state = 'waiting' AND visible_at IS NOT NULL AND visible_at <= ?2";
        self.tx.prepare_cached(sql)?.execute(params![run.0, now.0])?;
        Ok(())
    }
}

fn delivery(run: RunId, row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let memory: Option<i64> = row.get(4)?;
    Ok(Delivery {
        task: run.task(row.get(0)?),
        attempts: row.get(1)?,
        ledger: Ledger {
            failures: row.get(2)?,
            losses: row.get(3)?,
            memory: memory.map(|bytes| bytes as u64),
        },
    })
}
