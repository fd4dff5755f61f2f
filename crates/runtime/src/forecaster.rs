//! Foresees runs while they are worked off, on a thread of its own: the loop tells it what has happened and never waits for it. After each
//! look it rests long enough to cost next to nothing; a run of which nothing is heard is looked at again as the clock goes on.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use kingtide_core::id::RunId;
use kingtide_core::plan::burst::Luck;
use kingtide_core::plan::lognormal::LogNormal;
use kingtide_core::plan::model::VAGUE;
use kingtide_core::plan::outlook::{Outlook, Prediction};
use kingtide_core::time::Timestamp;

use crate::inbox::Inbound;
use crate::notice::{Due, Forecast};
use crate::runtime::now;
use crate::turn::Mailbox;

/// After a look that took so long, a hundred times as long: less than one in a hundred of a core.
const REST: u32 = 100;
/// But never less, however quick, nor more.
const LEAST_REST: Duration = Duration::from_millis(250);
const MOST_REST: Duration = Duration::from_secs(30);
/// Runs of which nothing is heard.
const CLOCK: Duration = Duration::from_secs(10);
/// Where nothing was known before, so many have to tell first.
const PILOTS: u64 = 3;
const SEED: u64 = 1;
/// Tasks that are named as what a late run hangs on.
const DECIDING: usize = 3;

/// What has happened.
#[derive(Debug)]
pub(crate) enum Told {
    /// A run is worked off.
    Opened(Box<Opened>),
    Added(RunId, Vec<(i64, LogNormal)>),
    Started(RunId, i64, Timestamp),
    /// An attempt has ended, and its task waits again, perhaps until a time.
    PutBack(RunId, i64, Option<Timestamp>),
    /// Its deadline is another now.
    Due(RunId, Option<(Timestamp, f64)>),
    /// A task is over; a success with how long it took.
    Over(RunId, i64, Option<Duration>),
    /// So many may be worked on side by side.
    Slots(RunId, u32),
    Closed(RunId),
}

/// A run as it is taken up.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) run: RunId,
    /// Not over, in the order in which they are given away.
    pub(crate) tasks: Vec<(i64, LogNormal)>,
    pub(crate) luck: Luck,
    pub(crate) slots: u32,
    /// By when, and how sure one would be of it.
    pub(crate) due: Option<(Timestamp, f64)>,
}

/// What is foreseen of a run.
#[derive(Debug)]
pub(crate) struct Foreseen {
    pub(crate) run: RunId,
    /// When that was.
    pub(crate) at: Timestamp,
    /// `None`: nothing is known yet.
    pub(crate) forecast: Option<Forecast>,
    pub(crate) predictions: BTreeMap<i64, Prediction>,
    /// Where the deadline is less sure than was wanted.
    pub(crate) doubt: Option<Doubt>,
}

/// Why a deadline is doubtful, and what would help.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    /// So much later it would be sure enough.
    pub(crate) short: Duration,
    /// So long the machine is busy with runs that came before.
    pub(crate) behind: Duration,
    /// So many side by side would do.
    pub(crate) workers: Option<u32>,
    /// Tasks that alone may be too late, and the chance of it.
    pub(crate) deciding: Vec<(i64, f64)>,
}

/// The loop's end of it. Dropped, the thread ends.
#[derive(Debug)]
pub(crate) struct Forecaster(Sender<Vec<Told>>);

impl Forecaster {
    pub(crate) fn start(mailbox: Mailbox) -> io::Result<Forecaster> {
        let (sender, told) = mpsc::channel();
        let desk = Desk {
            runs: BTreeMap::new(),
            mailbox,
        };
        std::thread::Builder::new()
            .name("forecaster".to_owned())
            .spawn(move || desk.work(&told))?;
        Ok(Forecaster(sender))
    }

    pub(crate) fn tell(&self, told: Vec<Told>) {
        // A thread that is gone has nothing to foresee.
        let _ = self.0.send(told);
    }
}

struct Desk {
    runs: BTreeMap<RunId, Run>,
    mailbox: Mailbox,
}

struct Run {
    outlook: Outlook,
    slots: u32,
    due: Option<(Timestamp, f64)>,
    /// Before anything was seen, whether something was known.
    is_vague: bool,
}

impl Desk {
    fn work(mut self, told: &Receiver<Vec<Told>>) {
        let mut has_news = false;
        loop {
            if !has_news {
                // With nothing to foresee, nothing wakes it.
                let news = match self.runs.is_empty() {
                    true => told.recv().map_err(RecvTimeoutError::from),
                    false => told.recv_timeout(CLOCK),
                };
                match news {
                    Ok(news) => self.take(news),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.take(told.try_iter().flatten().collect());
            let began = Instant::now();
            if !self.look() {
                return;
            }
            let rest = (began.elapsed() * REST).clamp(LEAST_REST, MOST_REST);
            has_news = self.rest(told, Instant::now() + rest);
        }
    }

    /// Takes in what is told meanwhile; whether anything was. A run that is new is not kept waiting.
    fn rest(&mut self, told: &Receiver<Vec<Told>>, until: Instant) -> bool {
        let mut has_news = false;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Ok(news) = told.recv_timeout(left) else { break };
            let is_new = news.iter().any(|told| matches!(told, Told::Opened(_)));
            self.take(news);
            has_news = true;
            if is_new {
                break;
            }
        }
        has_news
    }

    fn take(&mut self, news: Vec<Told>) {
        for told in news {
            match told {
                Told::Opened(opened) => {
                    self.runs.insert(opened.run, Run::of(*opened));
                }
                Told::Closed(run) => {
                    self.runs.remove(&run);
                }
                Told::Added(run, tasks) => self.with(run, |run| {
                    for (seq, of) in tasks {
                        run.outlook.add(seq, of);
                    }
                }),
                Told::Started(run, seq, at) => self.with(run, |run| run.outlook.start(seq, at)),
                Told::PutBack(run, seq, until) => self.with(run, |run| run.outlook.put_back(seq, until)),
                Told::Due(run, due) => self.with(run, |run| run.due = due),
                Told::Over(run, seq, took) => self.with(run, |run| run.outlook.end(seq, took)),
                Told::Slots(run, slots) => self.with(run, |run| run.slots = slots),
            }
        }
    }

    fn with(&mut self, run: RunId, change: impl FnOnce(&mut Run)) {
        // One whose tasks nobody foresees is not here.
        if let Some(run) = self.runs.get_mut(&run) {
            change(run);
        }
    }

    /// Whether the loop still listens.
    fn look(&self) -> bool {
        let now = now();
        // The machine works off one run after the other.
        let mut before = Duration::ZERO;
        for (id, run) in &self.runs {
            let foreseen = run.look(*id, now, before);
            if let Some(forecast) = &foreseen.forecast {
                before = before.max(forecast.p50.since(now));
            }
            if !self.mailbox.send(Inbound::Foreseen(Box::new(foreseen))) {
                return false;
            }
        }
        true
    }
}

impl Run {
    fn of(opened: Opened) -> Run {
        Run {
            outlook: Outlook::new(opened.tasks, opened.luck),
            slots: opened.slots,
            due: opened.due,
            is_vague: opened.luck.common.sigma > VAGUE,
        }
    }

    /// `before`: how long the machine is busy with other runs.
    fn look(&self, id: RunId, now: Timestamp, before: Duration) -> Foreseen {
        let level = self.outlook.level(now);
        let mut foreseen = Foreseen {
            run: id,
            at: now,
            forecast: None,
            predictions: BTreeMap::new(),
            doubt: None,
        };
        if self.is_vague && self.outlook.seen() < PILOTS {
            return foreseen;
        }
        foreseen.predictions = self
            .outlook
            .running()
            .map(|seq| (seq, self.outlook.prediction(seq, &level)))
            .filter_map(|(seq, of)| Some((seq, of?)))
            .collect();
        let finish = self.outlook.finish(now, self.slots as usize, &level, SEED);
        let due = self.due.map(|(at, confidence)| Due {
            at,
            chance: finish.chance(at.since(now + before)),
            confidence,
        });
        foreseen.forecast = Some(Forecast {
            p50: now + before + finish.quantile(0.5),
            p95: now + before + finish.quantile(0.95),
            due,
        });
        if let Some(due) = due.filter(|due| due.chance < due.confidence) {
            let room = due.at.since(now + before);
            let most = u32::try_from(self.outlook.left()).unwrap_or(u32::MAX);
            let reaches = |workers: u32| {
                let finish = self.outlook.finish(now, workers as usize, &level, SEED);
                finish.chance(room) >= due.confidence
            };
            foreseen.doubt = Some(Doubt {
                short: (now + before + finish.quantile(due.confidence)).since(due.at),
                behind: before,
                workers: fewest(self.slots, most, reaches),
                deciding: self.outlook.deciding(now, due.at.since(now), &level, DECIDING),
            });
        }
        foreseen
    }
}

/// The fewest above `from` that are enough, if `most` are.
fn fewest(from: u32, most: u32, enough: impl Fn(u32) -> bool) -> Option<u32> {
    if most <= from || !enough(most) {
        return None;
    }
    let (mut few, mut many) = (from, most);
    while many - few > 1 {
        let middle = few.midpoint(many);
        match enough(middle) {
            true => many = middle,
            false => few = middle,
        }
    }
    Some(many)
}

#[cfg(test)]
mod tests {
    use kingtide_core::plan::lognormal::Common;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn opened(tasks: i64, due_in: Option<u32>) -> Opened {
        let of = LogNormal::around(10 * MINUTE, 0.1);
        Opened {
            run: RunId(1),
            tasks: (1..=tasks).map(|seq| (seq, of)).collect(),
            luck: Luck::NONE,
            slots: 4,
            due: due_in.map(|minutes| (Timestamp(0) + minutes * MINUTE, 0.9)),
        }
    }

    fn look(run: &Run, minutes: u32) -> Foreseen {
        run.look(RunId(1), Timestamp(0) + minutes * MINUTE, Duration::ZERO)
    }

    #[test]
    fn a_deadline_that_is_sure_is_not_doubted() {
        let run = Run::of(opened(20, Some(70)));
        let foreseen = look(&run, 0);
        let forecast = foreseen.forecast.expect("durations are known");
        assert!(
            (49.0..56.0).contains(&(forecast.p50.0 as f64 / 60_000.0)),
            "{forecast:?}"
        );
        assert!(forecast.due.expect("it has one").chance > 0.95 && foreseen.doubt.is_none());
    }

    #[test]
    fn a_doubt_says_what_would_help() {
        let run = Run::of(opened(20, Some(40)));
        let doubt = look(&run, 0).doubt.expect("it is late");
        assert!((10..20).contains(&(doubt.short.as_secs() / 60)), "{doubt:?}");
        assert!(matches!(doubt.workers, Some(6..=7)), "{doubt:?}");
        let run = Run::of(opened(20, Some(9)));
        let doubt = look(&run, 0).doubt.expect("each task is too long");
        assert_eq!((doubt.workers, doubt.deciding.len()), (None, DECIDING));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let mut vague = opened(20, Some(40));
        vague.luck.common = Common {
            sigma: 3.0,
            degrees: 8.0,
        };
        let mut run = Run::of(vague);
        assert!(look(&run, 0).forecast.is_none());
        for seq in 1..=3 {
            run.outlook.start(seq, Timestamp(0));
            run.outlook.end(seq, Some(10 * MINUTE));
        }
        run.outlook.start(4, Timestamp(0));
        let foreseen = look(&run, 10);
        assert!(foreseen.forecast.is_some());
        assert_eq!(foreseen.predictions.keys().collect::<Vec<_>>(), [&4]);
    }

    #[test]
    fn a_machine_that_is_busy_begins_later() {
        let run = Run::of(opened(20, Some(70)));
        let later = run.look(RunId(1), Timestamp(0), 30 * MINUTE);
        assert!(later.forecast.expect("known").due.expect("it has one").chance < 0.05);
    }

    #[test]
    fn the_fewest_that_are_enough() {
        assert_eq!(fewest(2, 100, |workers| workers >= 37), Some(37));
        assert_eq!(fewest(2, 100, |_| false), None);
        assert_eq!(fewest(2, 2, |_| true), None);
    }
}
