//! Waiting for what no event announces: a file that appears, a process that is gone. The state is read again after short
//! pauses, and the wait has a limit; where there is an event (a line, an exit), `running` awaits that instead.

use std::time::{Duration, Instant};

/// How long tests wait for what normally takes milliseconds, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` sees something and gives it back; panics with `what` after `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    match within(limit, look) {
        Some(seen) => seen,
        None => panic!("{what}: not within {} s", limit.as_secs_f64()),
    }
}

/// Waits until `look` sees something; `None` when it has not within `limit`.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        // Asked for the time first: the last look is one after the limit, however long the pause was.
        let over = Instant::now() >= end;
        match look() {
            Some(seen) => return Some(seen),
            None if over => return None,
            None => {}
        }
        // There is no event to await; short at first, so that quick things cost no time.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_it_sees() {
        let mut looks = 0;
        let seen = within(PATIENCE, || {
            looks += 1;
            (looks == 4).then_some("seen")
        });
        assert_eq!((seen, looks), (Some("seen"), 4));
        assert_eq!(within(Duration::ZERO, || None::<()>), None);
    }

    #[test]
    #[should_panic(expected = "the moon is full: not within 0.01 s")]
    fn it_says_what_did_not_come() {
        eventually("the moon is full", Duration::from_millis(10), || None::<()>);
    }
}
