//! Finds the run of this execution, or opens it: the number after the newest, if nobody else has taken it; then its messages, and last of all the
//! document by which it is whole.

use std::time::Duration;

use kingtide_core::cloud::cost::Worker;
use kingtide_core::cloud::fargate::Size as Fargate;
use kingtide_core::cloud::prices::Prices;
use kingtide_core::cloud::rung::Rung;
use kingtide_core::cloud::start::By;
use kingtide_core::dispatch::{Limits, Memory, Opening, Size};
use kingtide_core::id::RunId;
use kingtide_core::message::Message;
use kingtide_core::plan::burst::{Luck, failure_rate};
use kingtide_core::plan::configuration::Configuration;
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::project::Deadline;
use kingtide_core::project::aws::Architecture;
use kingtide_core::time::Timestamp;
use kingtide_remote::record::{self, Number, Opener, Predictions, Progress, RunDocument};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::{Client, Kind, OrAbsent, quotas};
use serde_json::{Map, Value, json};

use super::DispatchError;
use super::learnt;
use super::orders::Orders;
use crate::voice::say;
use crate::worker::left::insist;
use crate::worker::now;

/// From `RunTask` until a worker receives: an image of some hundred megabytes.
const START_UP: Duration = Duration::from_secs(60);
/// So many of the newest numbers are looked at for that of this execution.
const NEWEST: u32 = 20;

/// A run as it is taken up.
pub(crate) struct Opened {
    pub(crate) opening: Opening,
    pub(crate) run: Option<Run>,
    /// The tag of `progress.json`, where there is one.
    pub(crate) record: Option<String>,
}

/// A run that is open.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) document: RunDocument,
    /// By their seq, from 1.
    pub(crate) bodies: Vec<String>,
}

pub(crate) fn open(client: &Client, orders: &Orders) -> Result<Opened, DispatchError> {
    let clerk = Clerk { client, orders };
    let id = match orders.start.run {
        Some(run) => RunId(i64::try_from(run).unwrap_or(i64::MAX)),
        None => match clerk.taken_by()? {
            Some(other) => return Ok(clerk.nothing(other)),
            None => clerk.number()?,
        },
    };
    let run = clerk.run(id)?;
    say(&format!("{}-{id}: {} messages", orders.job.name, run.bodies.len()));
    let keys = orders.keys.run(id);
    let found = clerk.get(&keys.progress())?;
    let (record, memory) = match found {
        None => (None, None),
        Some(found) => {
            let progress: Progress = read(&keys.progress(), &found.body)?;
            let memory = Memory::read(&progress.state).map_err(|error| DispatchError::Calls(error.to_string()))?;
            (Some(found.head.etag), Some(memory))
        }
    };
    let opening = clerk.opening(&run, memory)?;
    Ok(Opened {
        opening,
        run: Some(run),
        record,
    })
}

/// Opens it.
struct Clerk<'a> {
    client: &'a Client,
    orders: &'a Orders,
}

impl Clerk<'_> {
    fn get(&self, key: &str) -> Result<Option<s3::Found>, DispatchError> {
        Ok(insist(|| s3::get(self.client, &self.orders.bucket, key).or_absent())?)
    }

    /// Whether it is written by this.
    fn put_if_absent(&self, key: &str, body: &[u8]) -> Result<bool, DispatchError> {
        let put = || match s3::put(self.client, &self.orders.bucket, key, body, Condition::Absent) {
            Ok(_) => Ok(true),
            Err(error) if error.is(Kind::Precondition) => Ok(false),
            Err(error) => Err(error),
        };
        Ok(insist(put)?)
    }

    fn number_document(&self) -> Vec<u8> {
        record::write(&Number {
            job: self.orders.job.name.clone(),
            execution: self.orders.execution.clone(),
        })
    }

    /// Which other execution has the event that started this one.
    fn taken_by(&self) -> Result<Option<String>, DispatchError> {
        let event = self.orders.start.event.as_ref().unwrap_or(&self.orders.execution);
        let key = self.orders.keys.start(&event.replace('/', "-"));
        if self.put_if_absent(&key, &self.number_document())? {
            return Ok(None);
        }
        let found = self.get(&key)?;
        let of = found.map(|found| read::<Number>(&key, &found.body)).transpose()?;
        Ok(of
            .map(|of| of.execution)
            .filter(|other| *other != self.orders.execution))
    }

    /// The number that an earlier dispatcher of this execution has taken, or a new one.
    fn number(&self) -> Result<RunId, DispatchError> {
        let keys = &self.orders.keys;
        let page = insist(|| s3::list_page(self.client, &self.orders.bucket, &keys.numbers(), "", "", NEWEST))?;
        let newest: Vec<RunId> = page
            .objects
            .iter()
            .filter_map(|object| keys.parse_number(&object.key))
            .collect();
        for run in &newest {
            let key = keys.number(*run);
            let number = self
                .get(&key)?
                .map(|found| read::<Number>(&key, &found.body))
                .transpose()?;
            if number.is_some_and(|number| is_execution(&number.execution, &self.orders.execution)) {
                return Ok(*run);
            }
        }
        let mut run = RunId(newest.first().map_or(1, |newest| newest.0 + 1));
        // A number of ours whose answer was lost stays without a run, which nobody misses.
        while !self.put_if_absent(&keys.number(run), &self.number_document())? {
            run = RunId(run.0 + 1);
        }
        Ok(run)
    }

    /// The run with its messages; opened where it is not.
    fn run(&self, id: RunId) -> Result<Run, DispatchError> {
        let keys = self.orders.keys.run(id);
        let document = self.get(&keys.document())?;
        let document = match document {
            Some(found) => read(&keys.document(), &found.body)?,
            None => self.open(id)?,
        };
        let bodies = match self.get(&keys.messages())? {
            None => Vec::new(),
            Some(found) => lines(&found.body),
        };
        Ok(Run { id, document, bodies })
    }

    fn open(&self, id: RunId) -> Result<RunDocument, DispatchError> {
        let orders = self.orders;
        let keys = orders.keys.run(id);
        let messages = match &orders.params {
            Some(key) => self.get(key)?.map(|found| found.body).unwrap_or_default(),
            // What has arrived is the message where a job has no others.
            None => orders.start.key.as_ref().map_or_else(Vec::new, |key| {
                let bucket = orders.start.bucket.clone().unwrap_or_default();
                json!({ "bucket": bucket, "key": key }).to_string().into_bytes()
            }),
        };
        insist(|| {
            s3::put(
                self.client,
                &orders.bucket,
                &keys.messages(),
                &messages,
                Condition::Always,
            )
        })?;
        let trigger = orders
            .start
            .at
            .as_deref()
            .and_then(Deadline::moment)
            .unwrap_or(orders.started);
        let mut inputs = Map::new();
        for (name, value) in [
            ("event", &orders.start.event),
            ("bucket", &orders.start.bucket),
            ("key", &orders.start.key),
        ] {
            inputs.extend(
                value
                    .as_ref()
                    .map(|value| (name.to_owned(), Value::from(value.as_str()))),
            );
        }
        let document = RunDocument {
            run: id.0,
            job: orders.job.name.clone(),
            execution: orders.execution.clone(),
            opened_ms: now().0,
            by: match orders.start.by {
                By::Cli => Opener::Cli,
                By::Schedule => Opener::Schedule,
                By::Trigger => Opener::Trigger,
                By::Doorbell => Opener::Doorbell,
            },
            total: lines(&messages).len() as u64,
            deadline_ms: orders.job.deadline.as_ref().map(|deadline| deadline.due(trigger).0),
            workers: None,
            max_cost: None,
            inputs,
        };
        let body = record::write(&document);
        insist(|| s3::put(self.client, &orders.bucket, &keys.document(), &body, Condition::Always))?;
        Ok(document)
    }

    fn opening(&self, run: &Run, memory: Option<Memory>) -> Result<Opening, DispatchError> {
        let orders = self.orders;
        let configurations: Vec<Configuration> = run
            .bodies
            .iter()
            .map(|body| Configuration::of(&Message::of_body(body)))
            .collect();
        let key = orders.keys.run(run.id).predictions();
        let told = self
            .get(&key)?
            .map(|found| read::<Predictions>(&key, &found.body))
            .transpose()?;
        let learnt = learnt::knowledge(self.client, orders, run.id, &configurations)?;
        let foreseen: Vec<LogNormal> = match told {
            Some(told) if told.predictions.len() == run.bodies.len() => {
                let of = |(mu, sigma): (f64, f64)| LogNormal { mu, sigma };
                told.predictions.into_iter().map(of).collect()
            }
            _ => configurations.iter().map(|of| learnt.knowledge.predict(of)).collect(),
        };
        let luck = Luck {
            common: learnt.knowledge.common(),
            failure: failure_rate(learnt.failures, learnt.attempts),
            retries: orders.job.retries,
            backoff: orders.job.backoff,
        };
        let quota = |code| quotas::fargate(self.client, code).ok();
        let workers = [orders.max_workers, orders.job.max_workers, run.document.workers];
        let costs = [orders.job.cloud.max_cost, run.document.max_cost];
        Ok(Opening {
            name: format!("{}/{}", orders.stack, run.id),
            job: orders.job.clone(),
            other: learnt.knowledge.predict(&Configuration::of(&Message(Map::new()))),
            serves_others: run.bodies.is_empty(),
            messages: (1..).zip(foreseen).collect(),
            luck,
            opened_at: Timestamp(run.document.opened_ms),
            deadline: run.document.deadline_ms.map(Timestamp),
            limits: Limits {
                vcpus: quota(quotas::FARGATE_ON_DEMAND),
                spot_vcpus: quota(quotas::FARGATE_SPOT),
                workers: workers.into_iter().flatten().min(),
                max_cost: costs.into_iter().flatten().reduce(f64::min),
                spot: orders.spot,
            },
            sizes: sizes(self.client.region(), orders),
            start_up: START_UP,
            taken_by: None,
            seed: run.id.0.cast_unsigned(),
            memory,
        })
    }

    fn nothing(&self, other: String) -> Opened {
        let orders = self.orders;
        let opening = Opening {
            name: orders.stack.clone(),
            job: orders.job.clone(),
            messages: Vec::new(),
            other: LogNormal::around(START_UP, 1.0),
            serves_others: false,
            luck: Luck::NONE,
            opened_at: orders.started,
            deadline: None,
            limits: Limits::default(),
            sizes: sizes(self.client.region(), orders),
            start_up: START_UP,
            taken_by: Some(other),
            seed: 0,
            memory: None,
        };
        Opened {
            opening,
            run: None,
            record: None,
        }
    }
}

fn sizes(region: &str, orders: &Orders) -> Vec<Size> {
    let prices = Prices::embedded();
    // Where nothing is known of a region, the first one's prices say at least which of two is cheaper.
    let prices = prices.region(region).or_else(|| prices.region("us-east-1"));
    let architecture = match std::env::consts::ARCH {
        "aarch64" => Architecture::Arm64,
        _ => Architecture::X86_64,
    };
    let of = |rung: &Rung| {
        let hourly = |is_spot| {
            let worker = Worker {
                size: Fargate {
                    cpu: rung.cpu,
                    memory_mib: rung.memory_mib,
                },
                architecture,
                is_spot,
                has_public_ip: orders.has_public_ip,
                disk_gib: f64::from(20 + rung.extra_gib),
            };
            prices.as_ref().and_then(|prices| worker.hourly(prices)).unwrap_or(0.0)
        };
        Size {
            vcpus: f64::from(rung.cpu) / 1024.0,
            hourly: hourly(false),
            spot_hourly: hourly(true),
        }
    };
    orders.rungs.iter().map(of).collect()
}

/// The same execution, by its name or by its ARN, which ends with that.
fn is_execution(written: &str, name: &str) -> bool {
    written.rsplit(':').next() == Some(name)
}

pub(super) fn lines(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

pub(super) fn read<T: serde::de::DeserializeOwned>(key: &str, body: &[u8]) -> Result<T, DispatchError> {
    record::read(key, body).map_err(|error| DispatchError::Calls(error.to_string()))
}
