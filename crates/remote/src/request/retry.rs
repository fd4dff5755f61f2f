//! Which answers are asked for again, when, and for how long. Pure: time and chance are arguments.
//!
//! As AWS's SDKs do in their mode `standard`: full jitter, a most number of tries, and a budget that all requests of a process share, so that
//! a service in trouble is not asked more than before.

use std::time::Duration;

/// How often a request is tried in all.
const TRIES: u32 = 8;
/// The first pause is at most this, and each at most twice the one before.
const FIRST: Duration = Duration::from_millis(50);
/// The same where the service said that it is too much.
const FIRST_THROTTLED: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);

/// The code of an answer that has to do with the credentials' age.
const STALE: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
];
/// Of one that has to do with the clock.
const SKEWED: [&str; 5] = [
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
];
const THROTTLED: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];
const PASSING: [&str; 5] = [
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "ServerException",
    // Two conditional writes at once; S3 asks to try again.
    "ConditionalRequestConflict",
];
/// A clock that is off by less than this is not why a signature was refused.
const SKEW: Duration = Duration::from_secs(4 * 60);

/// What went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// No answer: no connection, or one that was lost.
    NoAnswer,
    /// An answer that says no.
    Refused {
        /// Of HTTP.
        status: u16,
        /// The service's word for it.
        code: String,
        /// How much later it is there than here, in seconds, by the header `Date`.
        ahead_s: Option<i64>,
    },
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Ask again after this.
    After(Duration),
    /// Ask again, signed by the other side's clock, so many seconds ahead of this one.
    Clock(i64),
    /// Ask again with fresh credentials.
    Refresh,
    /// It stands.
    Stop,
}

/// Whether the service said that it was too much.
pub fn is_throttling(status: u16, code: &str) -> bool {
    status == 429 || THROTTLED.contains(&code)
}

/// The tries of one request.
#[derive(Debug, Default)]
pub struct Tries {
    made: u32,
    has_refreshed: bool,
    has_set_clock: bool,
}

impl Tries {
    /// How many were made.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// What follows a try that failed. `chance` lies between 0 and 1.
    pub fn after(&mut self, trouble: &Trouble, budget: &mut Budget, chance: f64) -> Next {
        self.made += 1;
        if self.made >= TRIES {
            return Next::Stop;
        }
        let (throttled, again) = match trouble {
            Trouble::NoAnswer => (false, true),
            Trouble::Refused { status, code, ahead_s } => {
                let code = code.as_str();
                if STALE.contains(&code) && !self.has_refreshed {
                    self.has_refreshed = true;
                    return Next::Refresh;
                }
                let skew = ahead_s.filter(|ahead| ahead.unsigned_abs() >= SKEW.as_secs());
                if let Some(ahead) = skew
                    && (SKEWED.contains(&code) || *status == 403)
                    && !self.has_set_clock
                {
                    self.has_set_clock = true;
                    return Next::Clock(ahead);
                }
                let throttled = is_throttling(*status, code);
                (throttled, throttled || *status >= 500 || PASSING.contains(&code))
            }
        };
        if !again || !budget.take(throttled) {
            return Next::Stop;
        }
        let first = if throttled { FIRST_THROTTLED } else { FIRST };
        let most = first.saturating_mul(1 << (self.made - 1)).min(LONGEST);
        Next::After(most.mul_f64(chance.clamp(0.0, 1.0)))
    }
}

/// What all requests of a process may spend on tries.
#[derive(Debug)]
pub struct Budget {
    left: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { left: Budget::FULL }
    }
}

impl Budget {
    const FULL: u32 = 500;
    const TRY: u32 = 5;

    /// Being throttled costs nothing: the pauses are long, and giving up would lose a task.
    fn take(&mut self, throttled: bool) -> bool {
        let cost = if throttled { 0 } else { Budget::TRY };
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// A request came through.
    pub fn give_back(&mut self) {
        self.left = (self.left + 1).min(Budget::FULL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Trouble {
        Trouble::Refused {
            status,
            code: code.to_owned(),
            ahead_s: None,
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_end() {
        let (mut tries, mut budget) = (Tries::default(), Budget::default());
        let mut pauses = Vec::new();
        while let Next::After(pause) = tries.after(&refused(503, "SlowDown"), &mut budget, 1.0) {
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 20000]);
    }

    #[test]
    fn what_is_refused_for_good_is_not_asked_again() {
        for trouble in [
            refused(400, "ValidationError"),
            refused(403, "AccessDenied"),
            refused(404, "NoSuchKey"),
            refused(412, "PreconditionFailed"),
        ] {
            let next = Tries::default().after(&trouble, &mut Budget::default(), 0.5);
            assert_eq!(next, Next::Stop, "{trouble:?}");
        }
    }

    #[test]
    fn stale_credentials_are_refreshed_once() {
        let (mut tries, mut budget) = (Tries::default(), Budget::default());
        let stale = refused(400, "ExpiredToken");
        assert_eq!(tries.after(&stale, &mut budget, 0.5), Next::Refresh);
        assert_eq!(tries.after(&stale, &mut budget, 0.5), Next::Stop);
    }

    #[test]
    fn a_clock_is_set_once_and_only_if_it_is_off() {
        let skewed = |ahead_s| Trouble::Refused {
            status: 403,
            code: "RequestTimeTooSkewed".to_owned(),
            ahead_s: Some(ahead_s),
        };
        let (mut tries, mut budget) = (Tries::default(), Budget::default());
        assert_eq!(tries.after(&skewed(-3600), &mut budget, 0.5), Next::Clock(-3600));
        assert_eq!(tries.after(&skewed(-3600), &mut budget, 0.5), Next::Stop);
        assert_eq!(Tries::default().after(&skewed(3), &mut budget, 0.5), Next::Stop);
    }

    #[test]
    fn a_service_in_trouble_is_not_asked_more_and_more() {
        let mut budget = Budget::default();
        let again = |budget: &mut Budget| Tries::default().after(&Trouble::NoAnswer, budget, 0.0) != Next::Stop;
        assert_eq!((0..200).filter(|_| again(&mut budget)).count(), 100);
        (0..5).for_each(|_| budget.give_back());
        assert!(again(&mut budget));
        assert!(!again(&mut budget));
    }
}
