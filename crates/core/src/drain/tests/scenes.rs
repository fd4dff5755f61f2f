//! One worker, step by step.

use super::*;

#[test]
fn a_quiet_day() {
    let (mut drain, effects) = Drain::new(job(""), Terms::default(), 1);
    assert_eq!(effects, [Effect::Receive]);
    let at = |seconds: i64| Timestamp(seconds * 1000);
    assert_eq!(drain.apply(at(0), Event::Received(true)), [Effect::Claim]);
    let claim = Claim::Mine {
        attempt: 1,
        ledger: Ledger::default(),
    };
    let run = Effect::Run {
        attempt: 1,
        ledger: Ledger::default(),
    };
    assert_eq!(drain.apply(at(0), Event::Claimed(claim)), [run]);
    assert_eq!(drain.next_wakeup(), Some(at(60)));
    assert_eq!(drain.apply(at(59), Event::Tick), []);
    assert_eq!(drain.apply(at(60), Event::Tick), [Effect::Extend(VISIBILITY)]);
    let effects = drain.apply(at(70), Event::Exited(End::Code(0)));
    assert!(
        matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Succeeded)
    );
    assert_eq!(drain.apply(at(70), Event::Recorded), [Effect::Close(Close::Delete)]);
    assert_eq!(drain.apply(at(71), Event::Closed), [Effect::Receive]);
    assert_eq!(drain.apply(at(90), Event::Received(false)), [Effect::Receive]);
    assert_eq!(drain.apply(at(110), Event::Received(false)), [Effect::Receive]);
    assert_eq!(drain.apply(at(130), Event::Received(false)), [Effect::Quit]);
    assert!(drain.is_gone());
}

#[test]
fn a_notice_gives_the_message_back_at_once_and_costs_no_retry() {
    let (mut drain, _) = Drain::new(job("retries = 0"), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    assert_eq!(drain.apply(now, Event::Leave), [Effect::Stop(Stop::Release)]);
    let effects = drain.apply(now, Event::Exited(End::Signal(15)));
    assert!(matches!(&effects[..], [Effect::Record(record)] if !record.is_final && record.ledger == ledger));
    assert_eq!(
        drain.apply(now, Event::Recorded),
        [Effect::Close(Close::Return(Duration::ZERO))]
    );
    assert_eq!(drain.apply(now, Event::Closed), [Effect::Quit]);
}

#[test]
fn what_was_done_before_its_queue_knew_is_not_done_again() {
    let entry = Entry {
        attempt: 3,
        ledger: Ledger::default(),
        standing: Standing::Over,
    };
    assert_eq!(
        Entry::claim(Some(entry), Timestamp(0), VISIBILITY, None),
        (None, Claim::Done)
    );
    assert_eq!(entry.ended(3, Ledger::default(), true), None, "it has ended");
    let (mut drain, _) = Drain::new(job(""), Terms::default(), 1);
    drain.apply(Timestamp(0), Event::Received(true));
    let effects = drain.apply(Timestamp(0), Event::Claimed(Claim::Done));
    assert_eq!(effects, [Effect::Close(Close::Delete)]);
}

#[test]
fn what_may_not_run_twice_does_not() {
    let held = Entry {
        attempt: 1,
        ledger: Ledger::default(),
        standing: Standing::Held { until: Timestamp(0) },
    };
    let (_, claim) = Entry::claim(Some(held), Timestamp(1), VISIBILITY, None);
    let (mut drain, _) = Drain::new(job("on_crash = \"fail\""), Terms::default(), 1);
    drain.apply(Timestamp(1), Event::Received(true));
    let effects = drain.apply(Timestamp(1), Event::Claimed(claim));
    assert!(matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Lost));
}

#[test]
fn what_outgrows_a_worker_goes_to_a_larger_one() {
    let terms = Terms {
        memory: Some(1 << 30),
        stays: false,
    };
    let grows = job("memory = \"1GiB\"\nmemory_max = \"4GiB\"");
    let (mut drain, _) = Drain::new(grows.clone(), terms, 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    let effects = drain.apply(now, Event::Exited(End::OutOfMemory));
    let [Effect::Record(record)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(!record.is_final && record.ledger.memory == Some(2 << 30) && record.ledger.failures == 0);
    assert_eq!(drain.apply(now, Event::Recorded), [Effect::Close(Close::SendOn)]);
    // The small queue's copy comes again: its worker was lost before the queue knew.
    let grown = Entry {
        attempt: 1,
        ledger: record.ledger,
        standing: Standing::Ended,
    };
    let claim = |memory| Entry::claim(Some(grown), now, VISIBILITY, memory).1;
    assert_eq!(claim(Some(1 << 30)), Claim::Outgrown);
    assert!(matches!(claim(Some(2 << 30)), Claim::Mine { attempt: 2, .. }));
    assert!(matches!(claim(None), Claim::Mine { attempt: 2, .. }));
}

#[test]
fn what_is_cancelled_is_not_begun_and_no_dead_letter() {
    let (mut drain, _) = Drain::new(job(""), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    assert_eq!(drain.apply(now, Event::Claimed(Claim::Cancelled)), [Effect::Abandon]);
    assert_eq!(drain.apply(now, Event::Recorded), [Effect::Close(Close::Delete)]);
    let over = Entry::abandoned(None, now).expect("nobody is at it");
    assert_eq!((over.attempt, over.standing), (0, Standing::Over));
    assert_eq!(Entry::abandoned(Some(over), now), None, "it is over");
    let (held, _) = Entry::claim(None, now, VISIBILITY, None);
    assert_eq!(Entry::abandoned(held, now), None, "somebody is at it");
    assert!(Entry::abandoned(held, now + VISIBILITY).is_some(), "nobody is any more");
}

#[test]
fn what_was_left_and_cannot_be_taken_is_a_failure() {
    let (mut drain, _) = Drain::new(job("retries = 0"), Terms::default(), 1);
    let now = Timestamp(0);
    drain.apply(now, Event::Received(true));
    let ledger = Ledger::default();
    drain.apply(now, Event::Claimed(Claim::Mine { attempt: 1, ledger }));
    let effects = drain.apply(now, Event::Invalid("the result file is not JSON".to_owned()));
    assert!(matches!(&effects[..], [Effect::Record(record)] if record.is_final && record.outcome == Outcome::Failed));
    let effects = drain.apply(now, Event::Recorded);
    assert_eq!(
        effects,
        [Effect::Close(Close::Bury("the result file is not JSON".to_owned()))]
    );
}

#[test]
fn a_service_stays_until_it_is_told_to_leave() {
    let terms = Terms {
        stays: true,
        ..Terms::default()
    };
    let (mut drain, _) = Drain::new(job(""), terms, 1);
    for _ in 0..10 {
        assert_eq!(drain.apply(Timestamp(0), Event::Received(false)), [Effect::Receive]);
    }
    drain.apply(Timestamp(0), Event::Leave);
    assert_eq!(drain.apply(Timestamp(0), Event::Received(false)), [Effect::Quit]);
}
