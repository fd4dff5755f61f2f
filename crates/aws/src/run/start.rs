//! `start`: a run is opened by its number, which nobody else can have, with its documents, and last of all its execution is started. What is
//! interrupted in between leaves a number without an execution, which nobody misses.

use std::fs::File;
use std::path::Path;

use kingtide_core::cloud::start::Start as Input;
use kingtide_core::id::RunId;
use kingtide_remote::record::{self, Number, Opener, Predictions, RunDocument};
use kingtide_remote::request::s3::{self, Condition};
use kingtide_remote::request::states;
use kingtide_remote::wire::{Event, FailureKind, Start, Started};
use serde_json::{Map, Value as Json};

use super::is_taken;
use crate::failure::{Failure, Outcome, file};
use crate::site::{Site, now_ms, of_job, output};

/// The planner counts in seconds; what is kept is kept in milliseconds.
const MS: f64 = 1000.0;

pub(crate) fn start(site: &mut Site<'_>, start: &Start) -> Outcome {
    let stack = site.deployed()?;
    let bucket = output(&stack, "Bucket")?;
    let machine = of_job(&stack, &start.job, "StateMachine")?;
    let path = Path::new(&start.messages);
    let messages = File::open(path).map_err(|error| file(path, &error))?;
    let (run, execution) = claim(site, bucket, &start.job, machine)?;
    let keys = site.keys().run(run);
    s3::put_file(site.client, bucket, &keys.messages(), &messages, Condition::Always)?;
    if !start.predictions.is_empty() {
        let in_ms = |(mu, sigma): &(f64, f64)| (mu + MS.ln(), *sigma);
        let predictions = Predictions {
            predictions: start.predictions.iter().map(in_ms).collect(),
        };
        put(site, bucket, &keys.predictions(), &record::write(&predictions))?;
    }
    let input = Input::of_run(u64::try_from(run.0).unwrap_or_default());
    let document = RunDocument {
        run: run.0,
        job: start.job.clone(),
        execution: execution.clone(),
        opened_ms: now_ms(),
        by: Opener::Cli,
        total: start.count,
        deadline_ms: start.deadline,
        workers: start.workers,
        max_cost: start.max_cost,
        inputs: inputs(&input, &start.by),
    };
    // The last of the documents: a run that has it is whole.
    put(site, bucket, &keys.document(), &record::write(&document))?;
    let name = execution.rsplit(':').next().unwrap_or_default();
    let execution = states::start(site.client, machine, name, &input)?;
    site.say(Event::Started(Started { run: run.0, execution }))
}

fn put(site: &Site<'_>, bucket: &str, key: &str, body: &[u8]) -> Outcome {
    s3::put(site.client, bucket, key, body, Condition::Always)?;
    Ok(())
}

fn inputs(input: &Json, by: &str) -> Map<String, Json> {
    let mut inputs = input.as_object().cloned().unwrap_or_default();
    inputs.insert("who".to_owned(), Json::from(by));
    inputs
}

/// The next number that is free, with the execution that is to have it.
fn claim(site: &Site<'_>, bucket: &str, job: &str, machine: &str) -> Outcome<(RunId, String)> {
    let keys = site.keys();
    let newest = s3::list_page(site.client, bucket, &keys.numbers(), "", "", 1)?;
    let newest = newest.objects.first().and_then(|object| keys.parse_number(&object.key));
    let mut run = RunId(newest.map_or(1, |newest| newest.0 + 1));
    loop {
        let execution = execution(machine, job, run)?;
        let number = Number {
            job: job.to_owned(),
            execution: execution.clone(),
        };
        let body = record::write(&number);
        match s3::put(site.client, bucket, &keys.number(run), &body, Condition::Absent) {
            Ok(_) => return Ok((run, execution)),
            // Somebody was quicker, or an answer of ours was lost: the number after it is as good.
            Err(error) if is_taken(&error) => run = RunId(run.0 + 1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The ARN that an execution of a machine has by its name, which is that of the run.
fn execution(machine: &str, job: &str, run: RunId) -> Outcome<String> {
    let parts: Vec<&str> = machine.splitn(7, ':').collect();
    let ["arn", partition, "states", region, account, "stateMachine", machine] = parts[..] else {
        return Err(Failure::new(
            FailureKind::Stack,
            format!("`{machine}` is no state machine"),
        ));
    };
    // A name of Step Functions has up to 80 characters.
    let job = job.get(..60).unwrap_or(job);
    Ok(format!(
        "arn:{partition}:states:{region}:{account}:execution:{machine}:{job}-{run}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_named_for_its_run() {
        let machine = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:RetrainMachine-x1";
        assert_eq!(
            execution(machine, "retrain", RunId(12)).expect("a machine"),
            "arn:aws-cn:states:cn-north-1:123456789012:execution:RetrainMachine-x1:retrain-12"
        );
        assert!(execution("RetrainMachine", "retrain", RunId(12)).is_err());
    }
}
