//! What the tests of a dispatcher have in common: a run of long tasks, and answers to what it wants.

use super::super::*;
use crate::engine::event::Outcome;
use crate::plan::burst::Luck;
use crate::plan::lognormal::LogNormal;
use crate::project::{Job, load};

pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn job(lines: &str) -> Job {
    let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n{lines}\n");
    let (project, findings) = load(&source);
    project.unwrap_or_else(|| panic!("{findings:?}")).jobs["j"].clone()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

/// So many messages of about twenty minutes, the later the longer.
pub(super) fn opening(messages: i64) -> Opening {
    let of = |seq: i64| LogNormal::around(20 * MINUTE + Duration::from_secs(seq as u64), 0.2);
    Opening {
        name: "stack/7".to_owned(),
        job: job(""),
        messages: (1..=messages).map(|seq| (seq, of(seq))).collect(),
        other: of(0),
        serves_others: false,
        luck: Luck::NONE,
        opened_at: at(0),
        deadline: None,
        limits: Limits::default(),
        sizes: vec![Size {
            vcpus: 1.0,
            hourly: 0.06,
            spot_hourly: 0.02,
        }],
        start_up: Duration::from_secs(45),
        taken_by: None,
        seed: 1,
        memory: None,
    }
}

pub(super) fn launches(effects: &[Effect]) -> Vec<&Launch> {
    let launches = effects.iter().filter_map(|effect| match effect {
        Effect::Launch(launch) => Some(launch),
        _ => None,
    });
    launches.collect()
}

pub(super) fn count(effects: &[Effect]) -> u32 {
    launches(effects).iter().map(|launch| launch.count).sum()
}

pub(super) fn progress(effects: &[Effect]) -> &Progress {
    let saved = effects.iter().find_map(|effect| match effect {
        Effect::Save(progress) => Some(progress),
        _ => None,
    });
    saved.expect("it was saved")
}

/// Every launch is accepted.
pub(super) fn accept(dispatcher: &mut Dispatcher, now: Timestamp, effects: &[Effect]) -> Vec<String> {
    let mut all = Vec::new();
    for launch in launches(effects) {
        let accepted: Vec<String> = (0..launch.count).map(|one| format!("{}/{one}", launch.token)).collect();
        all.extend(accepted.clone());
        let event = Event::Launched {
            number: launch.number,
            accepted,
            failures: Vec::new(),
        };
        assert_eq!(dispatcher.apply(now, event), []);
    }
    all
}

pub(super) fn sent(dispatcher: &mut Dispatcher, now: Timestamp, effects: &[Effect]) -> Vec<i64> {
    let mut all = Vec::new();
    let mut effects = effects.to_vec();
    while !effects.is_empty() {
        let batches = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send(seqs) => Some(seqs),
            _ => None,
        });
        let batches: Vec<Vec<i64>> = batches.collect();
        effects = Vec::new();
        for seqs in batches {
            assert!(seqs.len() <= 10);
            all.extend(&seqs);
            effects.extend(dispatcher.apply(now, Event::Sent(seqs)));
        }
    }
    all
}

pub(super) fn worker(id: &str, status: Status) -> Sighting {
    Sighting {
        id: id.to_owned(),
        size: 0,
        market: Market::OnDemand,
        paid_from: Some(at(30)),
        status,
    }
}

pub(super) fn stopped(seconds: i64, code: &str, reason: &str, exit_code: Option<i32>) -> Status {
    Status::Stopped {
        at: at(seconds),
        code: Some(code.to_owned()),
        reason: Some(reason.to_owned()),
        exit_code,
    }
}

pub(super) fn look(dispatcher: &mut Dispatcher, now: Timestamp, seen: Observation) -> Vec<Effect> {
    dispatcher.apply(now, Event::Observed(Box::new(seen)))
}

pub(super) fn abandoned(seqs: &[i64]) -> Event {
    let ends = seqs.iter().map(|seq| End {
        seq: *seq,
        attempt: 0,
        outcome: Outcome::Stopped,
        took: Duration::ZERO,
    });
    Event::Abandoned(ends.collect())
}
