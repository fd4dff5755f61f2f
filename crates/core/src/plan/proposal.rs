//! A run that has not begun, looked at from all sides: how many workers, when it is done, how likely in time, at what cost, and what would
//! change that.

use std::time::Duration;

use super::burst::{Draws, Finish, Luck, Order, Tariff, coarse};
use super::lognormal::LogNormal;
use super::size::{self, Terms};

/// Tasks that alone are late so often decide.
const DECIDING: f64 = 0.02;
/// More tasks are bundled: memory stays bounded, and an answer comes at once.
const MOST_TASKS: usize = 5_000;
/// So many of them are named.
const MOST_DECIDING: usize = 5;
/// What a machine twice as fast would do is asked of at most so many tasks.
const MOST_FASTER: usize = 20;
/// A remedy that does not reach the confidence is named when it is so much better.
const WORTH: f64 = 0.05;
/// Beyond what can be had, so many times as many workers are looked at.
const BEYOND: usize = 16;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Beside the others of their run.
    pub tasks: &'a [LogNormal],
    pub luck: Luck,
    /// From the trigger to the first attempt.
    pub start: Duration,
    /// From the trigger; `None`: whenever it is done.
    pub deadline: Option<Duration>,
    pub confidence: f64,
    /// Workers that can be had.
    pub slots: usize,
    /// Exactly so many, whatever would be better.
    pub workers: Option<usize>,
    /// Of a worker for an hour; `None`: it costs nothing.
    pub hourly: Option<f64>,
    pub tariff: Tariff,
    pub seed: u64,
}

/// What a number of workers comes to.
#[derive(Clone, Debug)]
pub struct Choice {
    pub workers: usize,
    pub finish: Finish,
    /// Of the deadline, where there is one.
    pub chance: Option<f64>,
    /// Where it has a price, in its currency.
    pub cost: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub chosen: Choice,
    /// Fewer, as many, and more: the trade-off. More than can be had is what a larger machine would do.
    pub alternatives: Vec<Choice>,
    /// Tasks that alone may be too late, by their numbers, with the chance of it.
    pub deciding: Vec<(usize, f64)>,
    /// What would bring the confidence that was not reached.
    pub remedies: Vec<Remedy>,
}

/// What would bring the wanted confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Remedy {
    /// As much more time: a later deadline, or an earlier start.
    Time(Duration),
    /// So many workers.
    Workers(usize),
    /// Machines twice as fast for so many tasks, the longest; with this chance, which may still be less.
    Faster { tasks: usize, chance: f64 },
}

impl Proposal {
    /// The answer to a question; the same for the same seed.
    pub fn of(question: &Question<'_>) -> Proposal {
        let tasks = question.tasks;
        let draws = Draws::of(
            &coarse(tasks, MOST_TASKS),
            &question.luck,
            Order::LongestFirst,
            question.seed,
        );
        let most = question.slots.max(1).min(tasks.len().max(1));
        let terms = |deadline| Terms {
            deadline,
            confidence: question.confidence,
            start: question.start,
            most,
            tariff: question.hourly.map(|_| question.tariff),
        };
        let workers = match (question.workers, question.deadline) {
            (Some(workers), _) => workers.clamp(1, tasks.len().max(1)),
            (None, Some(deadline)) => size::size(&draws, &terms(deadline)).workers.max(1),
            (None, None) => most,
        };
        let look = |workers| question.look(&draws, workers);
        let chosen = look(workers);
        let alternatives = around(workers, tasks.len()).map(|other| match other == workers {
            true => chosen.clone(),
            false => look(other),
        });
        let mut proposal = Proposal {
            alternatives: alternatives.collect(),
            deciding: Vec::new(),
            remedies: Vec::new(),
            chosen,
        };
        if let Some(deadline) = question.deadline {
            let room = deadline.saturating_sub(question.start);
            let known: Vec<LogNormal> = tasks
                .iter()
                .map(|task| task.in_any_run(&question.luck.common))
                .collect();
            proposal.deciding = size::deciding(&known, room, DECIDING);
            proposal.deciding.truncate(MOST_DECIDING);
            if proposal
                .chosen
                .chance
                .is_some_and(|chance| chance < question.confidence)
            {
                proposal.remedies = question.remedies(&draws, &proposal.chosen, deadline);
            }
        }
        proposal
    }
}

impl Question<'_> {
    fn look(&self, draws: &Draws, workers: usize) -> Choice {
        let finish = draws.finish(workers, self.start);
        let hours = |seconds: f64| seconds / 3600.0;
        Choice {
            workers,
            chance: self.deadline.map(|deadline| finish.chance(deadline)),
            cost: self
                .hourly
                .map(|price| price * hours(draws.paid(workers, &self.tariff))),
            finish,
        }
    }

    fn remedies(&self, draws: &Draws, chosen: &Choice, deadline: Duration) -> Vec<Remedy> {
        let late = chosen.finish.quantile(self.confidence).saturating_sub(deadline);
        let mut remedies = vec![Remedy::Time(late)];
        let limit = (self.slots.max(1) * BEYOND).min(self.tasks.len());
        let chances = draws.chances(self.start, deadline, limit);
        match chances.fewest(self.confidence) {
            Some(workers) if workers > chosen.workers => remedies.push(Remedy::Workers(workers)),
            Some(_) => {}
            None => remedies.extend(self.faster(chosen.workers, deadline)),
        }
        remedies
    }

    /// Twice as fast: as few of the longest as bring the confidence, else the most that are looked at.
    fn faster(&self, workers: usize, deadline: Duration) -> Option<Remedy> {
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|task| std::cmp::Reverse(self.tasks[*task].quantile(0.8)));
        let chance = |count: usize| {
            let mut tasks = self.tasks.to_vec();
            for task in &order[..count] {
                tasks[*task].mu -= 2.0_f64.ln();
            }
            let draws = Draws::of(&coarse(&tasks, MOST_TASKS), &self.luck, Order::LongestFirst, self.seed);
            draws.finish(workers, self.start).chance(deadline)
        };
        let most = MOST_FASTER.min(self.tasks.len());
        let best = chance(most);
        // It has to be worth a machine.
        if best < self.confidence && best < chance(0) + WORTH {
            return None;
        }
        let (mut few, mut many) = (0, most);
        while many - few > 1 {
            let middle = few.midpoint(many);
            match chance(middle) >= best.min(self.confidence) {
                true => many = middle,
                false => few = middle,
            }
        }
        Some(Remedy::Faster {
            tasks: many,
            chance: chance(many),
        })
    }
}

/// Three numbers of workers, of which one is this.
fn around(workers: usize, tasks: usize) -> impl Iterator<Item = usize> {
    let fewer = (workers * 2 / 3).max(1);
    let more = (workers * 3).div_ceil(2).min(tasks.max(1));
    let mut three = vec![fewer, workers, more.max(workers)];
    three.dedup();
    three.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn question(tasks: &[LogNormal]) -> Question<'_> {
        Question {
            tasks,
            luck: Luck::NONE,
            start: Duration::ZERO,
            deadline: Some(60 * MINUTE),
            confidence: 0.9,
            slots: 8,
            workers: None,
            hourly: None,
            tariff: Tariff::AS_USED,
            seed: 1,
        }
    }

    #[test]
    fn what_costs_nothing_is_all_taken_and_the_rest_is_told() {
        let tasks = vec![LogNormal::around(10 * MINUTE, 0.2); 40];
        let proposal = Proposal::of(&question(&tasks));
        assert_eq!((proposal.chosen.workers, proposal.chosen.cost), (8, None));
        let workers: Vec<usize> = proposal.alternatives.iter().map(|of| of.workers).collect();
        assert_eq!(workers, [5, 8, 12]);
        assert!(proposal.chosen.chance.expect("a deadline") > 0.9);
        assert_eq!((proposal.deciding, proposal.remedies), (vec![], vec![]));
    }

    #[test]
    fn where_there_are_too_few_workers_it_says_how_many_would_do() {
        let tasks = vec![LogNormal::around(10 * MINUTE, 0.2); 80];
        let proposal = Proposal::of(&question(&tasks));
        assert!(proposal.chosen.chance.expect("a deadline") < 0.1);
        let [Remedy::Time(more), Remedy::Workers(workers)] = proposal.remedies[..] else {
            panic!("{:?}", proposal.remedies);
        };
        assert!((40..60).contains(&(more.as_secs() / 60)), "{more:?}");
        assert!((14..18).contains(&workers), "{workers}");
        let enough = Question {
            workers: Some(workers),
            ..question(&tasks)
        };
        assert!(Proposal::of(&enough).chosen.chance >= Some(0.9));
    }

    #[test]
    fn where_one_task_decides_only_time_or_a_faster_machine_helps() {
        let mut tasks = vec![LogNormal::around(10 * MINUTE, 0.2); 20];
        tasks[3] = LogNormal::around(70 * MINUTE, 0.1);
        let proposal = Proposal::of(&question(&tasks));
        assert_eq!(proposal.deciding.len(), 1);
        assert_eq!(proposal.deciding[0].0, 3);
        let [Remedy::Time(more), Remedy::Faster { tasks, chance }] = proposal.remedies[..] else {
            panic!("{:?}", proposal.remedies);
        };
        assert!((15..25).contains(&(more.as_secs() / 60)), "{more:?}");
        assert!(tasks == 1 && chance > 0.9, "{tasks} {chance}");
    }

    #[test]
    fn a_price_makes_fewer_of_them() {
        let tasks = vec![LogNormal::around(MINUTE, 0.2); 60];
        let paid = Question {
            slots: 60,
            hourly: Some(0.6),
            tariff: Tariff {
                start: MINUTE / 2,
                least: MINUTE,
            },
            ..question(&tasks)
        };
        let proposal = Proposal::of(&paid);
        assert!(
            (1..=3).contains(&proposal.chosen.workers),
            "{}",
            proposal.chosen.workers
        );
        let cost = proposal.chosen.cost.expect("a price");
        assert!((0.58..0.75).contains(&cost), "{cost}");
    }

    #[test]
    fn one_task_and_none() {
        let one = [LogNormal::around(10 * MINUTE, 0.2)];
        let proposal = Proposal::of(&question(&one));
        assert_eq!((proposal.chosen.workers, proposal.alternatives.len()), (1, 1));
        let none = Proposal::of(&question(&[]));
        assert_eq!(none.chosen.finish.quantile(0.95), Duration::ZERO);
        assert_eq!(none.chosen.chance, Some(1.0));
    }
}
