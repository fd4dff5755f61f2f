//! Does what the dispatcher has decided, in its order. Its record is written over what this dispatcher has read or written last, and nothing behind it is
//! done before that is stored: who finds another's record there has been replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::cloud::variables;
use kingtide_core::dispatch::{self, Effect, End, Event, Launch, Market, Warning};
use kingtide_core::project::Mode;
use kingtide_exec::collect::chain;
use kingtide_remote::record::{self, Arrival, Foreseen, Place, Progress, RunKeys, Workers};
use kingtide_remote::request::ecs::{self, Start};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::sqs::{self, Letter};
use kingtide_remote::request::{self, Client, Kind, OrAbsent};
use serde_json::json;

use super::opening::{Run, read};
use super::orders::Orders;
use super::sight::{self, ON_DEMAND, SPOT};
use super::{DispatchError, closing};
use crate::voice::say;
use crate::worker::claims::Claims;
use crate::worker::hand::{RUN, SEQ};
use crate::worker::left::insist;

/// As much as goes into one request, with room for what is around bodies.
const MOST_BYTES: usize = sqs::MOST_BYTES - 64 * 1024;

/// Where a run is directed from.
pub(crate) struct Desk {
    client: Client,
    orders: Orders,
    /// `None` where another execution has it.
    run: Option<Run>,
    /// The tag of what was written last.
    etag: Option<String>,
}

impl Desk {
    pub(crate) fn new(client: Client, orders: Orders, run: Option<Run>, etag: Option<String>) -> Desk {
        Desk {
            client,
            orders,
            run,
            etag,
        }
    }

    /// The answers, in the order of what was asked.
    pub(crate) fn perform(&mut self, effects: Vec<Effect>) -> Result<Vec<Event>, DispatchError> {
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                Effect::Finish(ending) => {
                    closing::close(&self.client, &self.orders, self.run.as_ref(), &ending)?;
                }
                Effect::Save(progress) => self.save(&progress)?,
                Effect::Send(seqs) => events.extend(self.send(&seqs)?),
                Effect::Launch(launch) => events.push(self.launch(&launch)),
                Effect::Observe(known) => events.extend(self.observe(&known)?),
                Effect::Stop { tasks, reason } => {
                    for task in tasks {
                        // One that has stopped already is as good.
                        let _ = ecs::stop(&self.client, &self.orders.cluster, &task, &reason);
                    }
                }
                Effect::Abandon(seqs) => events.push(self.abandon(&seqs)?),
                Effect::Warn(warning) => self.warn(&warning),
            }
        }
        Ok(events)
    }

    /// Into the log, and where somebody wants to hear of it to EventBridge, whose rules pass it on. One that is not taken is no reason to stop.
    fn warn(&self, warning: &Warning) {
        let text = warning.to_string();
        say(&format!("warning: {text}"));
        if !self.orders.warns {
            return;
        }
        let detail = json!({
            "stack": self.orders.stack,
            "job": self.orders.job.name,
            "run": format!("{}-{}", self.orders.job.name, self.run().id),
            "text": text,
        });
        let kind = match warning.is_of_cost() {
            true => variables::EVENT_COST,
            false => variables::EVENT_LATE,
        };
        match request::events::put(&self.client, variables::EVENT_SOURCE, kind, &detail) {
            Ok(true) => {}
            Ok(false) => say("EventBridge has not taken that warning"),
            Err(error) => say(&format!("that warning reaches nobody: {error}")),
        }
    }

    fn keys(&self) -> RunKeys {
        self.orders.keys.run(self.run().id)
    }

    fn run(&self) -> &Run {
        self.run.as_ref().expect("an execution without a run only finishes")
    }

    fn save(&mut self, progress: &dispatch::Progress) -> Result<(), DispatchError> {
        let key = self.keys().progress();
        let body = record::write(&of_progress(progress));
        let condition = self.etag.as_deref().map_or(Condition::Absent, Condition::Match);
        let written = insist(
            || match s3::put(&self.client, &self.orders.bucket, &key, &body, condition) {
                Ok(head) => Ok(Some(head.etag)),
                Err(error) if error.is(Kind::Precondition) || error.is(Kind::NotFound) => Ok(None),
                Err(error) => Err(error),
            },
        )?;
        if let Some(etag) = written {
            self.etag = Some(etag);
            return Ok(());
        }
        // It may have been this very write, whose answer was lost.
        let found = insist(|| s3::get(&self.client, &self.orders.bucket, &key).or_absent())?;
        match found {
            Some(found) if found.body == body => {
                self.etag = Some(found.head.etag);
                Ok(())
            }
            _ => Err(DispatchError::Replaced),
        }
    }

    fn send(&self, seqs: &[i64]) -> Result<Vec<Event>, DispatchError> {
        let mut events = Vec::new();
        let mut batch: Vec<(i64, Letter)> = Vec::new();
        let mut bytes = 0;
        for seq in seqs {
            let letter = self.letter(*seq)?;
            if bytes + letter.body.len() > MOST_BYTES && !batch.is_empty() {
                self.send_batch(&std::mem::take(&mut batch), &mut events);
                bytes = 0;
            }
            bytes += letter.body.len();
            batch.push((*seq, letter));
        }
        self.send_batch(&batch, &mut events);
        Ok(events)
    }

    fn send_batch(&self, batch: &[(i64, Letter)], events: &mut Vec<Event>) {
        if batch.is_empty() {
            return;
        }
        let letters: Vec<Letter> = batch.iter().map(|(_, letter)| letter.clone()).collect();
        let all = || batch.iter().map(|(seq, _)| *seq);
        let first = &self.orders.rungs[0].queue_url;
        match sqs::send(&self.client, first, &letters) {
            Ok(untaken) if untaken.is_empty() => events.push(Event::Sent(all().collect())),
            Ok(untaken) => {
                let missing: Vec<i64> = untaken.iter().filter_map(|of| Some(batch.get(of.index)?.0)).collect();
                let why = untaken[0].message.clone();
                events.push(Event::Sent(all().filter(|seq| !missing.contains(seq)).collect()));
                events.push(Event::NotSent { seqs: missing, why });
            }
            Err(error) => events.push(Event::NotSent {
                seqs: all().collect(),
                why: chain(&error),
            }),
        }
    }

    /// A task's message, also where somebody else has sent it first.
    fn letter(&self, seq: i64) -> Result<Letter, DispatchError> {
        let run = self.run();
        let own = usize::try_from(seq - 1).ok().and_then(|index| run.bodies.get(index));
        let body = match own {
            Some(body) => body.clone(),
            None => {
                let key = self.keys().arrival(seq);
                let found = insist(|| s3::get(&self.client, &self.orders.bucket, &key))?;
                read::<Arrival>(&key, &found.body)?.body
            }
        };
        let attributes = BTreeMap::from([(RUN.to_owned(), run.id.to_string()), (SEQ.to_owned(), seq.to_string())]);
        Ok(Letter {
            body,
            attributes,
            ..Letter::default()
        })
    }

    fn launch(&self, launch: &Launch) -> Event {
        let orders = &self.orders;
        let number = launch.number;
        let Some(rung) = orders.rungs.get(launch.size) else {
            let why = "InvalidParameterException: there is no such size".to_owned();
            return Event::Refused { number, why };
        };
        let market = match launch.market {
            Market::Spot => SPOT,
            Market::OnDemand => ON_DEMAND,
        };
        let container = match orders.job.mode {
            Mode::Task => variables::CONTAINER_JOB,
            Mode::Consumer => variables::CONTAINER_SIDECAR,
        };
        let told = BTreeMap::from([(variables::RUN.to_owned(), self.run().id.to_string())]);
        let has_own_network = rung.capacity.is_none();
        let start = Start {
            cluster: &orders.cluster,
            definition: &rung.definition,
            count: launch.count,
            client_token: &launch.token,
            started_by: &self.started_by(),
            capacity_provider: rung.capacity.as_deref().unwrap_or(market),
            subnets: if has_own_network { &orders.subnets } else { &[] },
            security_groups: if has_own_network { &orders.security_groups } else { &[] },
            public_address: orders.has_public_ip,
            environment: &BTreeMap::from([(container.to_owned(), told)]),
            tags: &BTreeMap::new(),
        };
        match ecs::run(&self.client, &start) {
            Ok(started) => Event::Launched {
                number,
                accepted: started.tasks.into_iter().map(|task| task.task_arn).collect(),
                failures: started
                    .failures
                    .into_iter()
                    .map(|failure| failure.reason.or(failure.detail).unwrap_or_default())
                    .collect(),
            },
            Err(error) => Event::Refused {
                number,
                why: format!("{}: {}", error.code, error.message),
            },
        }
    }

    /// By which its workers are found: at most 36 characters.
    fn started_by(&self) -> String {
        format!("kingtide-{}", self.run().id)
    }

    fn observe(&self, known: &[String]) -> Result<Vec<Event>, DispatchError> {
        let keys = self.keys();
        let mut events = Vec::new();
        let cancelled = s3::head(&self.client, &self.orders.bucket, &keys.cancel()).or_absent();
        if matches!(cancelled, Ok(Some(_))) {
            events.push(Event::Cancel);
        }
        let seen = sight::look(&self.client, &self.orders, &keys, &self.started_by(), known);
        events.push(match seen {
            Ok(seen) => Event::Observed(Box::new(seen)),
            Err(error) => Event::Unseen(chain(&error)),
        });
        Ok(events)
    }

    fn abandon(&self, seqs: &[i64]) -> Result<Event, DispatchError> {
        let run = self.run();
        let keys = self.keys();
        let claims = Claims {
            client: &self.client,
            keys: &self.orders.keys,
            bucket: &self.orders.bucket,
            place: &Place::default(),
        };
        let mut ends = Vec::new();
        for seq in seqs {
            let claimed = claims.abandon(run.id.task(*seq))?;
            let Some(end) = claimed.and_then(|claimed| claimed.document.end(*seq)) else {
                continue;
            };
            let key = keys.end(&end);
            insist(|| s3::put(&self.client, &self.orders.bucket, &key, &[], Condition::Always))?;
            ends.push(End {
                seq: end.seq,
                attempt: end.attempt,
                outcome: end.outcome,
                took: Duration::from_millis(end.took_ms),
            });
        }
        Ok(Event::Abandoned(ends))
    }
}

/// As it is written down.
fn of_progress(progress: &dispatch::Progress) -> Progress {
    Progress {
        at_ms: progress.at.0,
        counts: progress.counts.into(),
        running: progress.running,
        workers: Workers {
            wanted: progress.workers.wanted,
            starting: progress.workers.starting,
            running: progress.workers.running,
            lost: progress.workers.lost,
            started: progress.workers.started,
        },
        foreseen: progress.foreseen.map(|foreseen| Foreseen {
            median_ms: foreseen.median.0,
            high_ms: foreseen.high.0,
            chance: foreseen.chance,
        }),
        dollars: progress.dollars,
        warnings: progress.warnings.iter().map(ToString::to_string).collect(),
        state: progress.memory.json(),
    }
}
