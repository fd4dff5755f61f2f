//! What a burst is paid for.

use super::super::prices::{ADDRESS, SPOT, TRANSITION, WRITE, task};
use super::agenda::{HOUR, Moment};

/// What tasks are paid for, in dollars.
pub(super) fn tasks(hourly: f64, address: f64, paid: Moment, paid_spot: Moment) -> f64 {
    let hours = |time: Moment| time as f64 / HOUR as f64;
    hours(paid) * (hourly + address) + hours(paid_spot) * (hourly * SPOT + address)
}

/// A dispatcher of a quarter of a vCPU for so long, with what it and the workers ask of bucket and state machine: eight writes for a task,
/// three and two listings for each look.
pub(super) fn dispatcher(over: Moment, tasks: usize) -> f64 {
    let hours = over as f64 / HOUR as f64;
    let looks = hours * 240.0;
    let requests = (8.0 * tasks as f64 + 5.0 * looks) * WRITE;
    hours * (task(0.25, 0.5) + ADDRESS) + requests + 6.0 * TRANSITION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weekly_burst_costs_what_it_is_said_to() {
        // 40 billed hours of 4 vCPUs and 8 GiB: about $7.9 on demand, $2.4 on Spot.
        assert!((40.0 * task(4.0, 8.0) - 7.9).abs() < 0.01);
        assert!((tasks(task(4.0, 8.0), 0.0, 0, 40 * HOUR) - 2.37).abs() < 0.01);
        // A dispatcher for an hour: two cents and a half.
        let cents = dispatcher(HOUR, 100) * 100.0;
        assert!((2.7..2.9).contains(&cents), "{cents}");
    }
}
