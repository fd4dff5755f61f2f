//! Random operations with a clock of their own, against a model that is too simple to be wrong
//! (`reference.rs`).
//!
//! A failure names its seed: `KINGTIDE_SEED=<seed>` runs that schedule alone.

use fastrand::Rng;

use super::reference::{Letter, List, Model};
use super::*;

/// Schedules of one test, and operations in each.
const SCHEDULES: u64 = 700;
const OPERATIONS: usize = 80;

const HOURS_12: i64 = 43_200_000;

/// A receipt handle and what the model knows of it.
#[derive(Clone, Debug)]
struct Held {
    queue: &'static str,
    handle: String,
    label: u64,
    receipt: u64,
}

const STANDARD: [&str; 2] = ["jobs", "dead"];
const FIFO: [&str; 2] = ["jobs.fifo", "dead.fifo"];

struct Schedule {
    house: House,
    model: Model,
    random: Rng,
    held: Vec<Held>,
    /// Message ids by body.
    ids: BTreeMap<String, String>,
    queues: [&'static str; 2],
}

impl Schedule {
    fn new(seed: u64, queues: [&'static str; 2]) -> Schedule {
        let mut random = Rng::with_seed(seed);
        let mut house = House::new();
        let mut model = Model {
            lists: BTreeMap::new(),
            now: START.0,
            labels: 0,
        };
        let fifo = queues == FIFO;
        let redrive = random.bool().then(|| random.i64(1..4));
        for (place, name) in [queues[1], queues[0]].into_iter().enumerate() {
            let (visibility, delay, retention) = (random.i64(1..40), random.i64(0..3) * 5, random.i64(60..200));
            let is_source = place == 1;
            let redrive = redrive.filter(|_| is_source);
            let policy = redrive.map(|most| redrive_to(queues[1], most));
            let [visible, delayed, retained] = [visibility, delay, retention].map(|number| number.to_string());
            let mut attributes = vec![
                ("VisibilityTimeout", visible.as_str()),
                ("DelaySeconds", &delayed),
                ("MessageRetentionPeriod", &retained),
            ];
            attributes.extend(policy.as_deref().map(|policy| ("RedrivePolicy", policy)));
            attributes.extend(fifo.then_some(("FifoQueue", "true")));
            house.create(name, &attributes);
            let list = List {
                fifo,
                visibility: visibility * 1000,
                delay: delay * 1000,
                retention: retention * 1000,
                redrive: redrive.map(|most| (queues[1], most)),
                ..List::default()
            };
            model.lists.insert(name, list);
        }
        Schedule {
            house,
            model,
            random,
            held: Vec::new(),
            ids: BTreeMap::new(),
            queues,
        }
    }

    fn step(&mut self, number: usize) {
        self.model.settle();
        let queue = self.queues[usize::from(self.random.u8(..) < 50)];
        match self.random.u8(0..100) {
            0..30 => self.send(queue, number),
            30..55 => self.receive(queue),
            55..70 => self.delete(),
            70..80 => self.change_visibility(),
            80..92 => {
                self.house.now.0 += self.random.i64(0..20_000);
                self.model.now = self.house.now.0;
            }
            92..94 => self.change_delay(queue),
            94..95 => self.purge(queue),
            95..97 => self.house.with(|queues| queues.due(&[queue.to_owned()])).expect("done"),
            97..98 => self.house.desk = Desk::new(self.random.u64(..), "us-east-1"),
            _ => self.lose(queue),
        }
        self.model.settle();
        for queue in self.queues {
            // Looked at now and then only, so that what is due piles up.
            if self.random.u8(..) < 60 {
                assert_eq!(self.house.counts(queue), self.model.counts(queue), "counts of {queue}");
            }
        }
    }

    fn send(&mut self, queue: &'static str, number: usize) {
        let fifo = self.model.lists[queue].fifo;
        let body = format!("m{number}");
        let delay = (!fifo && self.random.bool()).then(|| self.random.i64(0..30));
        let group = fifo.then(|| format!("g{}", self.random.u8(0..3)));
        let dedup = format!("d{}", self.random.u8(0..40));
        let same = self.model.send(queue, &body, delay, group.as_deref(), &dedup);
        let sent = self.house.send_as(
            queue,
            Send {
                delay,
                group,
                deduplication: fifo.then_some(dedup),
                ..message(&body)
            },
        );
        match same {
            Some(body) => assert_eq!(self.ids.get(&body), Some(&sent.message_id), "sent before as {body}"),
            None => drop(self.ids.insert(body, sent.message_id)),
        }
    }

    fn receive(&mut self, queue: &'static str) {
        let max = self.random.usize(1..6);
        let visibility = self.random.bool().then(|| self.random.i64(0..30));
        let expected = self.model.receive(queue, max, visibility);
        let received = self.house.receive_as(Receive {
            max: Some(max as i64),
            visibility,
            ..receive(queue)
        });
        let told = |received: &Received| {
            let count = received.system["ApproximateReceiveCount"].clone();
            (received.body.clone(), count, received.system["SentTimestamp"].clone())
        };
        let wanted = |letter: &Letter| {
            (
                letter.body.clone(),
                letter.receives.to_string(),
                letter.sent_at.to_string(),
            )
        };
        assert_eq!(
            received.iter().map(told).collect::<Vec<_>>(),
            expected.iter().map(wanted).collect::<Vec<_>>(),
            "received from {queue}"
        );
        for (received, letter) in received.into_iter().zip(expected) {
            assert_eq!(self.ids.get(&received.body), Some(&received.message_id));
            self.held.push(Held {
                queue,
                handle: received.receipt,
                label: letter.label,
                receipt: letter.receipt,
            });
        }
    }

    fn any_held(&mut self) -> Option<Held> {
        let last = self.held.len().saturating_sub(8);
        let from = if self.random.bool() { last } else { 0 };
        (from < self.held.len()).then(|| self.held[self.random.usize(from..self.held.len())].clone())
    }

    fn delete(&mut self) {
        let Some(held) = self.any_held() else { return };
        let now = self.model.now;
        let list = self.model.lists.get_mut(held.queue).expect("known");
        let place = list.letters.iter().position(|letter| letter.label == held.label);
        let is_current =
            |letter: &Letter| letter.receipt == held.receipt && letter.in_flight && letter.visible_at > now;
        let is_allowed = place.is_none_or(|place| !list.fifo || is_current(&list.letters[place]));
        if let Some(place) = place.filter(|_| is_allowed) {
            list.letters.remove(place);
        }
        let done = self.house.try_perform(&delete(held.queue, &held.handle));
        assert_eq!(done.is_ok(), is_allowed, "{held:?}: {done:?}");
    }

    fn change_visibility(&mut self) {
        let Some(held) = self.any_held() else { return };
        let seconds = if self.random.u8(..) < 40 {
            43_190
        } else {
            self.random.i64(0..40)
        };
        let now = self.model.now;
        let list = self.model.lists.get_mut(held.queue).expect("known");
        let fifo = list.fifo;
        let letter = list
            .letters
            .iter_mut()
            .find(|letter| letter.label == held.label && letter.receipt == held.receipt);
        let until = now + seconds * 1000;
        let letter =
            letter.filter(|letter| (!fifo || letter.visible_at > now) && until <= letter.received_at + HOURS_12);
        let is_allowed = letter.is_some();
        // One that is visible again stays so.
        if let Some(letter) = letter.filter(|letter| letter.visible_at > now) {
            letter.visible_at = until;
            letter.in_flight = seconds > 0;
        }
        let done = self.house.try_perform(&visibility(held.queue, &held.handle, seconds));
        assert_eq!(done.is_ok(), is_allowed, "{held:?} for {seconds} s: {done:?}");
    }

    fn change_delay(&mut self, queue: &'static str) {
        let delay = self.random.i64(0..20);
        self.house.perform(&set(queue, &[("DelaySeconds", &delay.to_string())]));
        let list = self.model.lists.get_mut(queue).expect("known");
        let changed = list.delay != delay * 1000;
        list.delay = delay * 1000;
        let now = self.model.now;
        let delayed = |letter: &&mut Letter| letter.visible_at > now && !letter.in_flight;
        for letter in list.letters.iter_mut().filter(delayed).filter(|_| list.fifo && changed) {
            letter.visible_at = letter.sent_at + list.delay;
        }
    }

    fn purge(&mut self, queue: &'static str) {
        let now = self.model.now;
        let list = self.model.lists.get_mut(queue).expect("known");
        let is_allowed = list.purged_at.is_none_or(|at| now >= at + 60_000);
        if is_allowed {
            list.letters.clear();
            list.purged_at = Some(now);
        }
        let queue = queue.to_owned();
        let done = self.house.try_perform(&Operation::PurgeQueue { queue });
        assert_eq!(done.is_ok(), is_allowed, "{done:?}");
    }

    /// A transaction that is given up leaves nothing.
    fn lose(&mut self, queue: &'static str) {
        let house = &mut self.house;
        let tx = house.rows.unchecked_transaction().expect("begins");
        house.desk.begin();
        let mut queues = Queues::open(&tx, &mut house.desk, house.now, &house.jobs);
        let take = Operation::ReceiveMessage(Receive {
            max: Some(10),
            ..receive(queue)
        });
        let change = set(queue, &[("VisibilityTimeout", "77")]);
        for operation in [take, change] {
            let done = queues.perform(&Caller::default(), &operation).expect("the store works");
            assert!(done.is_ok(), "{done:?}");
        }
        tx.rollback().expect("rolled back");
    }
}

fn run(from: u64, queues: [&'static str; 2]) {
    let only: Option<u64> = std::env::var("KINGTIDE_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in (from..from + SCHEDULES).filter(|seed| only.is_none_or(|only| only == *seed)) {
        let mut schedule = Schedule::new(seed, queues);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..OPERATIONS).for_each(|number| schedule.step(number));
        }));
        assert!(result.is_ok(), "seed {seed} of {queues:?} fails: see above");
    }
}

#[test]
fn standard_queues_do_what_the_model_does() {
    run(0, STANDARD);
}

#[test]
fn standard_queues_do_what_the_model_does_in_other_schedules() {
    run(10_000, STANDARD);
}

#[test]
fn fifo_queues_do_what_the_model_does() {
    run(20_000, FIFO);
}

#[test]
fn fifo_queues_do_what_the_model_does_in_other_schedules() {
    run(30_000, FIFO);
}
