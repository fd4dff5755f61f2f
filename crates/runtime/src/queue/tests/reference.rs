//! The model that the queues are held against: each queue a list, looked through from its start for everything.

use std::collections::BTreeMap;

pub(super) const MINUTES_5: i64 = 300_000;

#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) label: u64,
    pub(super) body: String,
    pub(super) sent_at: i64,
    pub(super) visible_at: i64,
    pub(super) in_flight: bool,
    pub(super) receives: i64,
    pub(super) received_at: i64,
    /// Of the last receive in this queue.
    pub(super) receipt: u64,
    pub(super) group: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) fifo: bool,
    pub(super) visibility: i64,
    pub(super) delay: i64,
    pub(super) retention: i64,
    pub(super) redrive: Option<(&'static str, i64)>,
    pub(super) letters: Vec<Letter>,
    /// Deduplication id, when, and the body it stands for.
    pub(super) sent: Vec<(String, i64, String)>,
    pub(super) purged_at: Option<i64>,
}

pub(super) struct Model {
    pub(super) lists: BTreeMap<&'static str, List>,
    pub(super) now: i64,
    pub(super) labels: u64,
}

impl List {
    /// What has come back, and what is too old, at the time.
    pub(super) fn settle(&mut self, now: i64) {
        self.letters
            .retain(|letter| letter.visible_at > now || letter.sent_at + self.retention > now);
        for letter in &mut self.letters {
            letter.in_flight &= letter.visible_at > now;
        }
    }

    /// The places of the next letters, in order.
    pub(super) fn next(&self, now: i64, max: usize) -> Vec<usize> {
        let visible = |place: &usize| self.letters[*place].visible_at <= now;
        let places = (0..self.letters.len()).filter(visible);
        if !self.fifo {
            return places.take(max).collect();
        }
        let held = |group: &Option<String>| {
            let mut letters = self.letters.iter();
            letters.any(|letter| letter.group == *group && letter.in_flight)
        };
        let open: Vec<usize> = places.filter(|place| !held(&self.letters[*place].group)).collect();
        let mut groups: Vec<&Option<String>> = Vec::new();
        for place in &open {
            let group = &self.letters[*place].group;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let of = |group: &&Option<String>| {
            let group = (*group).clone();
            open.iter()
                .copied()
                .filter(move |place| self.letters[*place].group == group)
        };
        groups.iter().flat_map(of).take(max).collect()
    }
}

impl Model {
    pub(super) fn settle(&mut self) {
        let now = self.now;
        self.lists.values_mut().for_each(|list| list.settle(now));
    }

    pub(super) fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    /// The body that the answer stands for, and whether it is new.
    pub(super) fn send(
        &mut self,
        queue: &str,
        body: &str,
        delay: Option<i64>,
        group: Option<&str>,
        dedup: &str,
    ) -> Option<String> {
        let (now, label) = (self.now, self.label());
        let list = self.lists.get_mut(queue).expect("known");
        if list.fifo {
            let known = list
                .sent
                .iter()
                .rev()
                .find(|(id, at, _)| id == dedup && *at > now - MINUTES_5);
            if let Some((_, _, body)) = known {
                return Some(body.clone());
            }
            list.sent.push((dedup.to_owned(), now, body.to_owned()));
        }
        list.letters.push(Letter {
            label,
            body: body.to_owned(),
            sent_at: now,
            visible_at: now + delay.map_or(list.delay, |delay| delay * 1000),
            in_flight: false,
            receives: 0,
            received_at: 0,
            receipt: 0,
            group: group.map(str::to_owned),
        });
        None
    }

    pub(super) fn receive(&mut self, queue: &str, max: usize, visibility: Option<i64>) -> Vec<Letter> {
        let now = self.now;
        loop {
            let list = &self.lists[queue];
            let places = list.next(now, max);
            let redrive = list.redrive;
            let dies = |place: &usize| redrive.is_some_and(|(_, most)| list.letters[*place].receives >= most);
            let dead: Vec<usize> = places.iter().copied().filter(dies).collect();
            if dead.is_empty() {
                let list = self.lists.get_mut(queue).expect("known");
                let hidden = visibility.map_or(list.visibility, |seconds| seconds * 1000);
                let take = |place: usize| {
                    let letter = &mut list.letters[place];
                    letter.receives += 1;
                    letter.receipt += 1;
                    letter.received_at = now;
                    letter.visible_at = now + hidden;
                    letter.in_flight = hidden > 0;
                    letter.clone()
                };
                return places.into_iter().map(take).collect();
            }
            let target = redrive.expect("some died").0;
            let labels: Vec<u64> = dead.iter().map(|place| list.letters[*place].label).collect();
            for old in labels {
                let label = self.label();
                let letters = &mut self.lists.get_mut(queue).expect("known").letters;
                let place = letters.iter().position(|letter| letter.label == old).expect("there");
                let letter = letters.remove(place);
                let target = self.lists.get_mut(target).expect("known");
                target.letters.push(Letter {
                    label,
                    sent_at: if target.fifo { now } else { letter.sent_at },
                    visible_at: now,
                    in_flight: false,
                    receipt: 0,
                    ..letter
                });
                target.settle(now);
            }
        }
    }

    pub(super) fn counts(&self, queue: &str) -> (u64, u64, u64) {
        let letters = &self.lists[queue].letters;
        let hidden = |letter: &&Letter| letter.visible_at > self.now;
        let in_flight = letters.iter().filter(hidden).filter(|letter| letter.in_flight).count() as u64;
        let delayed = letters.iter().filter(hidden).filter(|letter| !letter.in_flight).count() as u64;
        (letters.len() as u64 - in_flight - delayed, in_flight, delayed)
    }
}
