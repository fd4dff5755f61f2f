//! A worker on AWS, as a state machine: it receives a message, claims the attempt, keeps both while the program runs, records what came of
//! it, and only then is done with the message; it leaves when nothing is there to receive, or when it is told to. Pure: calls are effects,
//! their answers events. One message at a time.
//!
//! SQS may hand out a message twice, and twelve hours after its receive for good; what keeps two workers from the same attempt is the claim,
//! a conditional write to the bucket (`claim.rs`).

mod claim;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::claim::{Claim, Entry, Standing};
use crate::engine::event::{End, Ledger, Outcome, Stop};
use crate::engine::retry::{self, Verdict};
use crate::engine::task::Input;
use crate::project::Job;
use crate::time::Timestamp;

/// What is received stays hidden for so long after each word of its worker (a third of it apart): a lost worker's message is another's
/// soon.
pub const VISIBILITY: Duration = Duration::from_secs(180);
const BEAT: Duration = Duration::from_secs(60);
/// So many receives in a row that found nothing: one may have asked servers that hold none of the messages
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const EMPTY: u32 = 3;
/// A message that another worker has claimed is looked at again after this.
const AGAIN: Duration = Duration::from_secs(120);

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer to `Effect::Receive`; whether there was a message.
    Received(bool),
    /// The answer to `Effect::Claim`.
    Claimed(Claim),
    /// The program has ended, and what it left is in the bucket.
    Exited(End),
    /// It has ended well, and what it left cannot be taken; why, in words.
    Invalid(String),
    /// The answer to `Effect::Record` and to `Effect::Abandon`: what came of the attempt is in the bucket.
    Recorded,
    /// The answer to `Effect::Close`: the queue knows.
    Closed,
    /// The message is no longer held: somebody else may have it.
    Unheld,
    /// A Spot notice, or TERM: leave, and soon.
    Leave,
    /// The time that was asked for has come.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the queue, waiting as long as it lets.
    Receive,
    /// Claim an attempt at the message that is held.
    Claim,
    /// Start the program, and take what it leaves.
    Run { attempt: u32, ledger: Ledger },
    /// Keep the message and the claim for so long from now.
    Extend(Duration),
    /// End the program.
    Stop(Stop),
    /// Write down what came of the attempt, and with it that it has ended.
    Record(Box<Record>),
    /// Write down that no attempt follows.
    Abandon,
    /// Be done with the message.
    Close(Close),
    /// End.
    Quit,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub attempt: u32,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub exit_code: Option<i32>,
    pub ledger: Ledger,
    /// Nothing follows it.
    pub is_final: bool,
}

/// How a message is left.
#[derive(Clone, Debug, PartialEq)]
pub enum Close {
    /// It is done with.
    Delete,
    /// Somebody may receive it after this.
    Return(Duration),
    /// To the dead letters, with why; then it is deleted.
    Bury(String),
    /// To the queue of workers with more memory; then it is deleted.
    SendOn,
}

/// How a worker is employed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What it has, in bytes, where somebody else has more.
    pub memory: Option<u64>,
    /// Of a service: it stays when the queue is empty.
    pub stays: bool,
}

/// A worker.
#[derive(Debug)]
pub struct Drain {
    job: Job,
    terms: Terms,
    state: State,
    is_leaving: bool,
    empty: u32,
    random: fastrand::Rng,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Receiving,
    Claiming,
    Running {
        attempt: u32,
        ledger: Ledger,
        beat: Timestamp,
    },
    /// It was told to stop, and why.
    Stopping {
        attempt: u32,
        ledger: Ledger,
        stop: Stop,
        beat: Timestamp,
    },
    Recording {
        close: Close,
    },
    Closing,
    Gone,
}

impl Drain {
    /// A worker, and the first thing that it does. `seed` decides the jitter of backoffs.
    pub fn new(job: Job, terms: Terms, seed: u64) -> (Drain, Vec<Effect>) {
        let drain = Drain {
            job,
            terms,
            state: State::Receiving,
            is_leaving: false,
            empty: 0,
            random: fastrand::Rng::with_seed(seed),
        };
        (drain, vec![Effect::Receive])
    }

    /// When `Event::Tick` is due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        match self.state {
            State::Running { beat, .. } | State::Stopping { beat, .. } => Some(beat),
            _ => None,
        }
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Takes in what has happened. What comes too late to mean anything is passed over.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        match (event, self.state.clone()) {
            (Event::Received(false), State::Receiving) => {
                self.empty += 1;
                match (self.empty >= EMPTY && !self.terms.stays) || self.is_leaving {
                    true => self.quit(),
                    false => vec![Effect::Receive],
                }
            }
            (Event::Received(true), State::Receiving) => {
                self.empty = 0;
                match self.is_leaving {
                    true => self.close(Close::Return(Duration::ZERO)),
                    false => {
                        self.state = State::Claiming;
                        vec![Effect::Claim]
                    }
                }
            }
            (Event::Claimed(claim), State::Claiming) => self.claimed(now, claim),
            (Event::Exited(end), State::Running { attempt, ledger, .. }) => self.judge(attempt, ledger, &end),
            (
                Event::Exited(end),
                State::Stopping {
                    attempt, ledger, stop, ..
                },
            ) => match stop {
                // It is another's; whatever we would say of it is not ours to say.
                Stop::Fence => self.next(),
                // Done in time is done.
                _ if end == End::Code(0) => self.judge(attempt, ledger, &end),
                _ => self.judge(attempt, ledger, &End::Stopped(stop)),
            },
            (Event::Invalid(why), State::Running { attempt, ledger, .. } | State::Stopping { attempt, ledger, .. }) => {
                let jitter = self.random.f64();
                let verdict = retry::judge_invalid(&self.job, ledger, &why, jitter);
                self.record(attempt, verdict)
            }
            (Event::Recorded, State::Recording { close }) => self.close(close),
            // It is another's by now, who will be done with it.
            (Event::Unheld, State::Recording { .. }) => self.close(Close::Return(AGAIN)),
            (Event::Closed, State::Closing) => self.next(),
            (Event::Unheld, State::Running { attempt, ledger, beat }) => self.stop(attempt, ledger, Stop::Fence, beat),
            (Event::Unheld, State::Claiming) => self.next(),
            (Event::Leave, state) => self.leave(state),
            (Event::Tick, State::Running { attempt, ledger, beat }) if beat <= now => {
                let beat = now + BEAT;
                self.state = State::Running { attempt, ledger, beat };
                vec![Effect::Extend(VISIBILITY)]
            }
            (
                Event::Tick,
                State::Stopping {
                    attempt,
                    ledger,
                    stop,
                    beat,
                },
            ) if beat <= now => {
                let beat = now + BEAT;
                self.state = State::Stopping {
                    attempt,
                    ledger,
                    stop,
                    beat,
                };
                match stop {
                    Stop::Fence => Vec::new(),
                    _ => vec![Effect::Extend(VISIBILITY)],
                }
            }
            _ => Vec::new(),
        }
    }

    fn claimed(&mut self, now: Timestamp, claim: Claim) -> Vec<Effect> {
        match claim {
            Claim::Mine { attempt, ledger } => {
                if self.is_leaving {
                    // Claimed and not begun: it costs nothing.
                    return self.judge(attempt, ledger, &End::Stopped(Stop::Release));
                }
                self.state = State::Running {
                    attempt,
                    ledger,
                    beat: now + BEAT,
                };
                vec![Effect::Run { attempt, ledger }]
            }
            Claim::Done => self.close(Close::Delete),
            Claim::Others => self.close(Close::Return(AGAIN)),
            Claim::Outgrown => self.close(Close::SendOn),
            Claim::Cancelled => {
                self.state = State::Recording { close: Close::Delete };
                vec![Effect::Abandon]
            }
            Claim::Lost { attempt, ledger } => {
                let verdict = retry::judge_loss(&self.job, ledger);
                match verdict.input {
                    Input::Failed { again: true } => {
                        let ledger = verdict.ledger;
                        self.claimed(now, Claim::Mine { attempt, ledger })
                    }
                    // It is lost so often that it takes the machine with it, or may not be run twice.
                    _ => self.record(attempt, verdict),
                }
            }
        }
    }

    /// Tells the program to end, where it runs.
    fn leave(&mut self, state: State) -> Vec<Effect> {
        self.is_leaving = true;
        match state {
            State::Running { attempt, ledger, beat } => self.stop(attempt, ledger, Stop::Release, beat),
            _ => Vec::new(),
        }
    }

    fn stop(&mut self, attempt: u32, ledger: Ledger, stop: Stop, beat: Timestamp) -> Vec<Effect> {
        self.state = State::Stopping {
            attempt,
            ledger,
            stop,
            beat,
        };
        vec![Effect::Stop(stop)]
    }

    /// By the same rules as here.
    fn judge(&mut self, attempt: u32, ledger: Ledger, end: &End) -> Vec<Effect> {
        let jitter = self.random.f64();
        let verdict = retry::judge(&self.job, ledger, attempt, end, false, jitter);
        self.record(attempt, verdict)
    }

    fn record(&mut self, attempt: u32, verdict: Verdict) -> Vec<Effect> {
        let close = match verdict.input {
            Input::Succeeded { .. } | Input::Skipped | Input::Cancelled => Close::Delete,
            Input::Failed { again: true } if verdict.ledger.needs_more_than(self.terms.memory) => Close::SendOn,
            Input::Released | Input::Failed { again: true } => Close::Return(verdict.delay),
            _ => Close::Bury(verdict.reason.clone().unwrap_or_default()),
        };
        let record = Record {
            attempt,
            outcome: verdict.outcome,
            reason: verdict.reason,
            exit_code: verdict.exit_code,
            ledger: verdict.ledger,
            is_final: !matches!(close, Close::Return(_) | Close::SendOn),
        };
        self.state = State::Recording { close };
        vec![Effect::Record(Box::new(record))]
    }

    fn close(&mut self, close: Close) -> Vec<Effect> {
        self.state = State::Closing;
        vec![Effect::Close(close)]
    }

    /// The next message, if it is to stay.
    fn next(&mut self) -> Vec<Effect> {
        if self.is_leaving {
            return self.quit();
        }
        self.state = State::Receiving;
        vec![Effect::Receive]
    }

    fn quit(&mut self) -> Vec<Effect> {
        self.state = State::Gone;
        vec![Effect::Quit]
    }
}
