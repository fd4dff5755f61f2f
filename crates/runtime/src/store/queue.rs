//! What waits: offered longest-predicted first, then in the order it was sent.

use kingtide_core::engine::event::{Delivery, Ledger, Receive, Received};
use kingtide_core::id::RunId;
use kingtide_core::time::Timestamp;
use rusqlite::{Row, params};

use super::{Batch, StoreError};

/// A read stops when it has so many bytes of bodies; the engine asks again.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

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
        let mut bytes = 0;
        let mut more = false;
        while let Some(row) = rows.next()? {
            // One at least, however large.
            more = bytes > MOST_BYTES;
            if more {
                break;
            }
            let body: String = row.get(5)?;
            bytes += body.len() as u64;
            deliveries.push(delivery(receive.run, row, body.len() as u64)?);
            bodies.push(body);
        }
        let exhausted = !more && (deliveries.len() as u64) < u64::from(receive.max);
        let sql = "SELECT min(visible_at) FROM task WHERE run = ?1 AND state = 'waiting' AND visible_at IS NOT NULL";
        let next_visible: Option<i64> = self
            .tx
            .prepare_cached(sql)?
            .query_row([receive.run.0], |row| row.get(0))?;
        let received = Received {
            run: receive.run,
            exhausted,
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

fn delivery(run: RunId, row: &Row<'_>, bytes: u64) -> rusqlite::Result<Delivery> {
    let memory: Option<i64> = row.get(4)?;
    Ok(Delivery {
        task: run.task(row.get(0)?),
        attempts: row.get(1)?,
        ledger: Ledger {
            failures: row.get(2)?,
            losses: row.get(3)?,
            memory: memory.map(|bytes| bytes as u64),
        },
        bytes,
    })
}
