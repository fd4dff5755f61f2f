//! Single decisions of a dispatcher; whole runs, with everything that goes wrong, are simulated in the testkit.

mod stage;

use self::stage::*;
use super::*;
use crate::engine::event::{Outcome, RunState};

fn hundred_at_once() -> Opening {
    Opening {
        deadline: Some(at(3600)),
        ..opening(100)
    }
}

#[test]
fn it_commits_before_it_acts_and_sends_the_longest_first() {
    let (mut dispatcher, effects) = Dispatcher::new(at(0), hundred_at_once());
    assert!(matches!(effects[0], Effect::Save(_)), "{effects:?}");
    assert!(matches!(effects.last(), Some(Effect::Observe(_))));
    assert_eq!(progress(&effects).memory.asked_count() as u32, count(&effects));
    assert!((40..=100).contains(&count(&effects)), "{}", count(&effects));
    assert!(launches(&effects).iter().all(|launch| launch.count <= 10));
    let sent = sent(&mut dispatcher, at(1), &effects);
    assert_eq!(sent, (1..=100).rev().collect::<Vec<_>>());
}

#[test]
fn quota_file_and_budget_bound_the_workers() {
    let limited = |limits: Limits| {
        let opening = Opening {
            limits,
            ..hundred_at_once()
        };
        let (_, effects) = Dispatcher::new(at(0), opening);
        (count(&effects), effects)
    };
    let (workers, effects) = limited(Limits {
        vcpus: Some(6.0),
        ..Limits::default()
    });
    assert_eq!(workers, 6);
    let warned = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Warn(Warning::Quota { most: 6, .. })));
    assert!(warned, "{:?}", &effects[..3]);
    let (workers, _) = limited(Limits {
        workers: Some(9),
        ..Limits::default()
    });
    assert_eq!(workers, 9);
    let (_, effects) = limited(Limits {
        max_cost: Some(0.5),
        ..Limits::default()
    });
    assert!(
        matches!(effects[0], Effect::Warn(Warning::Tight { .. })),
        "{:?}",
        effects[0]
    );
}

#[test]
fn a_dispatcher_that_was_lost_between_commit_and_act_asks_for_the_same_again() {
    let (_, effects) = Dispatcher::new(at(0), hundred_at_once());
    let memory = Memory::read(&progress(&effects).memory.json()).expect("it was written by us");
    let again = Opening {
        memory: Some(memory),
        ..hundred_at_once()
    };
    let (mut dispatcher, second) = Dispatcher::new(at(100), again);
    assert_eq!(launches(&second), launches(&effects));
    accept(&mut dispatcher, at(101), &second);
    let third = look(&mut dispatcher, at(102), Observation::default());
    assert_eq!(count(&third), 0, "they are there");
    assert_eq!(
        sent(&mut dispatcher, at(103), &third).len(),
        100,
        "whether they were sent is not known"
    );
}

#[test]
fn a_lost_worker_is_replaced_when_its_message_comes_back() {
    let (mut dispatcher, effects) = Dispatcher::new(at(0), opening(1));
    let ids = accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let begins = vec![Begin {
        seq: 1,
        attempt: 1,
        at: at(50),
    }];
    let hidden = Backlog {
        hidden: 1,
        ..Backlog::default()
    };
    let seen = |tasks: Vec<Sighting>, queue: Backlog| Observation {
        begins: begins.clone(),
        tasks,
        queues: vec![queue],
        ..Observation::default()
    };
    let running = seen(vec![worker(&ids[0], Status::Running)], hidden);
    assert_eq!(count(&look(&mut dispatcher, at(300), running)), 0);
    let lost = stopped(301, "InfrastructureHealth", "the host was retired", None);
    let effects = look(
        &mut dispatcher,
        at(315),
        seen(vec![worker(&ids[0], lost.clone())], hidden),
    );
    assert_eq!(count(&effects), 0, "its message is hidden for a while");
    assert_eq!(progress(&effects).workers.lost, 1);
    let effects = look(&mut dispatcher, at(440), seen(vec![worker(&ids[0], lost)], hidden));
    assert_eq!(count(&effects), 1, "it is there when the worker is");
}

#[test]
fn a_retry_that_waits_is_waited_for_without_a_worker() {
    let (mut dispatcher, effects) = Dispatcher::new(at(0), opening(1));
    let ids = accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let gone = stopped(200, "EssentialContainerExited", "", Some(0));
    let seen = |visible: u64, hidden: u64| Observation {
        begins: vec![Begin {
            seq: 1,
            attempt: 1,
            at: at(50),
        }],
        tasks: vec![worker(&ids[0], gone.clone())],
        queues: vec![Backlog {
            visible,
            hidden,
            delayed: 0,
        }],
        ..Observation::default()
    };
    for round in 0..10 {
        assert_eq!(count(&look(&mut dispatcher, at(210 + round * 15), seen(0, 1))), 0);
    }
    assert_eq!(count(&look(&mut dispatcher, at(400), seen(1, 0))), 1, "it is due");
}

#[test]
fn what_has_vanished_is_sent_again() {
    let (mut dispatcher, effects) = Dispatcher::new(at(0), opening(2));
    accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let mut again = Vec::new();
    for round in 1..60 {
        let now = at(round * 15);
        let seen = Observation {
            queues: vec![Backlog::default()],
            ..Observation::default()
        };
        let effects = look(&mut dispatcher, now, seen);
        accept(&mut dispatcher, now, &effects);
        again.extend(
            sent(&mut dispatcher, now, &effects)
                .into_iter()
                .map(|seq| (seq, round * 15)),
        );
        if again.len() == 2 {
            break;
        }
    }
    assert_eq!(again.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 1]);
    assert!(again[0].1 > 300, "not at once: {again:?}");
}

#[test]
fn an_image_that_is_not_there_ends_the_run_with_that() {
    let (mut dispatcher, effects) = Dispatcher::new(at(0), opening(20));
    let ids = accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let why = "CannotPullContainerError: manifest unknown";
    let tasks = ids
        .iter()
        .map(|id| worker(id, stopped(40, "TaskFailedToStart", why, None)));
    let seen = Observation {
        tasks: tasks.collect(),
        ..Observation::default()
    };
    let effects = look(&mut dispatcher, at(45), seen.clone());
    let Some(Effect::Abandon(seqs)) = effects.last() else {
        panic!("{effects:?}")
    };
    assert_eq!((seqs.len(), count(&effects)), (20, 0));
    let effects = dispatcher.apply(at(46), abandoned(seqs));
    let [Effect::Finish(ending)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((ending.state, ending.counts.cancelled), (RunState::Failed, 20));
    assert!(
        ending.reason.as_ref().is_some_and(|reason| reason.contains(why)),
        "{ending:?}"
    );
    assert!(dispatcher.is_finished() && dispatcher.next_wakeup().is_none());
}

#[test]
fn the_cap_ends_what_has_not_begun_and_nothing_that_runs() {
    let limits = Limits {
        max_cost: Some(0.05),
        workers: Some(1),
        ..Limits::default()
    };
    let (mut dispatcher, effects) = Dispatcher::new(at(0), Opening { limits, ..opening(3) });
    let ids = accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let begins = vec![Begin {
        seq: 3,
        attempt: 1,
        at: at(60),
    }];
    let running = Observation {
        begins: begins.clone(),
        tasks: vec![worker(&ids[0], Status::Running)],
        queues: vec![Backlog::default()],
        ..Observation::default()
    };
    // Fifty minutes at six cents an hour.
    let effects = look(&mut dispatcher, at(30 + 3000), running);
    assert!(
        matches!(effects[0], Effect::Warn(Warning::Capped { .. })),
        "{:?}",
        effects[0]
    );
    assert!(effects.contains(&Effect::Abandon(vec![1, 2, 3])), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Stop { .. })));
    // The one that runs is held, and so not abandoned.
    assert_eq!(dispatcher.apply(at(3031), abandoned(&[1, 2])), []);
    let ends = vec![End {
        seq: 3,
        attempt: 1,
        outcome: Outcome::Succeeded,
        took: 55 * MINUTE,
    }];
    let seen = |status| Observation {
        begins: begins.clone(),
        ends: ends.clone(),
        tasks: vec![worker(&ids[0], status)],
        queues: vec![Backlog::default()],
        ..Observation::default()
    };
    let effects = look(&mut dispatcher, at(3400), seen(Status::Running));
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Stop { .. })),
        "it has nothing more to do"
    );
    let effects = look(
        &mut dispatcher,
        at(3415),
        seen(stopped(3410, "UserInitiated", "the run is over", Some(0))),
    );
    let Some(Effect::Finish(ending)) = effects.last() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        ending.reason.as_deref(),
        Some("it has cost its `max_cost` of $0.05: 2 of 3 tasks were not done")
    );
}

#[test]
fn spot_is_for_those_whose_rerun_still_fits() {
    let spot = |deadline: Option<i64>| {
        let limits = Limits {
            spot: true,
            ..Limits::default()
        };
        let opening = Opening {
            limits,
            deadline: deadline.map(|minutes| at(minutes * 60)),
            ..opening(10)
        };
        let (_, effects) = Dispatcher::new(at(0), opening);
        let on_spot = launches(&effects)
            .into_iter()
            .filter(|launch| launch.market == Market::Spot);
        (on_spot.map(|launch| launch.count).sum::<u32>(), count(&effects))
    };
    assert_eq!(spot(None), (10, 10));
    assert_eq!(spot(Some(600)).0, spot(Some(600)).1, "there is all the time");
    assert_eq!(spot(Some(45)).0, 0, "a rerun would be late");
}

#[test]
fn late_is_said_once_and_that_it_is_over_once() {
    let opening = Opening {
        deadline: Some(at(30 * 60)),
        limits: Limits {
            workers: Some(2),
            ..Limits::default()
        },
        ..opening(4)
    };
    let (mut dispatcher, effects) = Dispatcher::new(at(0), opening);
    let late = |effects: &[Effect]| {
        let warnings = effects.iter().filter_map(|effect| match effect {
            Effect::Warn(warning) => Some(warning.to_string()),
            _ => None,
        });
        warnings.collect::<Vec<_>>()
    };
    insta::assert_snapshot!(late(&effects).join("\n"), @"the deadline is met with a chance of under 1 %, 90 % is wanted: 22m 20s more would do");
    let ids = accept(&mut dispatcher, at(1), &effects);
    sent(&mut dispatcher, at(1), &effects);
    let seen = |ends: Vec<End>| Observation {
        tasks: ids.iter().map(|id| worker(id, Status::Running)).collect(),
        queues: vec![Backlog::default()],
        ends,
        ..Observation::default()
    };
    assert_eq!(
        late(&look(&mut dispatcher, at(15), seen(Vec::new()))),
        Vec::<String>::new()
    );
    let ends = (1..=4).map(|seq| End {
        seq,
        attempt: 1,
        outcome: Outcome::Succeeded,
        took: MINUTE,
    });
    let effects = look(&mut dispatcher, at(60), seen(ends.take(3).collect()));
    insta::assert_snapshot!(late(&effects).join("\n"), @"the deadline is met with a chance of 97 % again");
}

#[test]
fn an_event_that_another_has_taken_is_nothing_to_do() {
    let opening = Opening {
        taken_by: Some("execution-1".to_owned()),
        ..opening(5)
    };
    let (dispatcher, effects) = Dispatcher::new(at(0), opening);
    assert!(matches!(&effects[..], [Effect::Finish(ending)] if ending.state == RunState::Succeeded));
    assert!(dispatcher.is_finished());
}
