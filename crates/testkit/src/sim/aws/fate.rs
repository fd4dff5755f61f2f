//! What befalls tasks: they start, are told to stop, are killed, and Step Functions hears of it, or believes that it has.

use std::time::Duration;

use kingtide_core::dispatch::{Market, Status};
use kingtide_core::drain;
use serde_json::json;

use super::{Happening, Mutation, SECOND, World};
use crate::states::{Answer, Call, Service};

/// From TERM to KILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

impl World {
    /// What the execution asks for.
    pub(super) fn ask(&mut self, call: Option<Call>) {
        if let Some(at) = self
            .execution
            .next_wakeup()
            .filter(|_| self.mutation != Mutation::LeaveAlone)
        {
            self.at(at, Happening::Retried);
        }
        let Some(call) = call else { return };
        match call.service {
            Service::RunTask if self.strikes(20) => {
                let answer = Answer::Failed {
                    error: "ECS.AmazonECSException".to_owned(),
                    cause: "Capacity is unavailable at this time".to_owned(),
                };
                self.after(SECOND, Happening::Answered(answer));
            }
            Service::RunTask => {
                let start = self.cluster.add(None, Market::OnDemand, self.now, &mut self.random);
                self.awaited = Some(start.task);
                self.at(start.run, Happening::Started(start.task));
            }
            Service::GetObject => {
                let answer = match &self.bucket.outcome {
                    Some(outcome) => Answer::Done(json!({ "Body": outcome.to_string() })),
                    None => Answer::Failed {
                        error: "S3.NoSuchKeyException".to_owned(),
                        cause: "The specified key does not exist.".to_owned(),
                    },
                };
                self.after(SECOND, Happening::Answered(answer));
            }
        }
    }

    pub(super) fn started(&mut self, task: u64) {
        let now = self.now;
        let Some(of) = self.cluster.tasks.get_mut(&task).filter(|of| of.is_alive()) else {
            return;
        };
        match of.size {
            Some(_) if self.cluster.image_is_missing => {
                let reason = "CannotPullContainerError: manifest unknown";
                self.cluster.stop(task, now, Some("TaskFailedToStart"), reason, None);
            }
            Some(size) => {
                of.status = Status::Running;
                self.employ(task, size);
            }
            None => {
                of.status = Status::Running;
                self.direct(task);
            }
        }
    }

    /// TERM, and KILL after the time for it.
    pub(super) fn terminate(&mut self, task: u64, code: &'static str) {
        let Some(of) = self.cluster.tasks.get_mut(&task).filter(|of| of.is_alive()) else {
            return;
        };
        if of.stopping.is_some() {
            return;
        }
        of.stopping = Some(code);
        match self.hands.contains_key(&task) {
            true => {
                self.after(SECOND, Happening::Hand(task, None, drain::Event::Leave));
                self.after(STOP_TIMEOUT, Happening::Killed(task));
            }
            // It has not begun, or is the dispatcher, which keeps nothing.
            false => self.stopped(task, Some(code)),
        }
    }

    pub(super) fn kill(&mut self, task: u64) {
        self.stopped(task, Some("InfrastructureHealth"));
    }

    pub(super) fn stopped(&mut self, task: u64, code: Option<&'static str>) {
        let code = code.or(self.cluster.tasks.get(&task).and_then(|task| task.stopping));
        self.hands.remove(&task);
        self.directors.remove(&task);
        self.cluster.stop(task, self.now, code, "it was stopped", None);
        self.dispatcher_stopped(task);
    }

    /// Step Functions hears of it.
    pub(super) fn dispatcher_stopped(&mut self, task: u64) {
        if self.awaited != Some(task) {
            return;
        }
        self.awaited = None;
        let answer = match self.cluster.tasks[&task].status {
            Status::Stopped { exit_code: Some(0), .. } => Answer::Done(json!({ "LastStatus": "STOPPED" })),
            _ => Answer::Failed {
                error: "States.TaskFailed".to_owned(),
                cause: "{}".to_owned(),
            },
        };
        self.after(SECOND, Happening::Answered(answer));
    }

    pub(super) fn misfortune(&mut self) {
        if self.is_calm() {
            return;
        }
        let after = SECOND * self.random.u32(20..600);
        self.after(after, Happening::Misfortune);
        self.outcome.misfortunes += 1;
        let alive: Vec<(u64, Market, bool)> = self
            .cluster
            .alive()
            .map(|(id, task)| (id, task.market, task.size.is_some()))
            .collect();
        let Some((task, market, is_worker)) = self.random.choice(&alive).copied() else {
            return;
        };
        match self.random.u32(..6) {
            0 => self.kill(task),
            1 if market == Market::Spot => self.terminate(task, "SpotInterruption"),
            2 if is_worker => self.terminate(task, "InfrastructureHealth"),
            // Step Functions takes a dispatcher for lost that lives on.
            3 if self.awaited == Some(task) => {
                self.awaited = None;
                let answer = Answer::Failed {
                    error: "States.TaskFailed".to_owned(),
                    cause: "{}".to_owned(),
                };
                self.after(SECOND, Happening::Answered(answer));
            }
            _ => {}
        }
    }
}
