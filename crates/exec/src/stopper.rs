//! How others ask a slot to end its attempt: a reason and an event to poll for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::EventfdFlags;
use rustix::io::Errno;

use crate::wire::StopReason;

/// One slot's.
#[derive(Debug)]
pub struct Stopper {
    event: OwnedFd,
    asked: AtomicU8,
}

impl Stopper {
    pub fn new() -> Result<Stopper, Errno> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stopper {
            event,
            asked: AtomicU8::new(0),
        })
    }

    /// The first reason counts.
    pub fn ask(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Cancel => 1,
            StopReason::Release => 2,
            StopReason::Fence => 3,
            StopReason::Timeout => 4,
        };
        let _ = self
            .asked
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// The attempt it was meant for is over.
    pub fn reset(&self) {
        if self.asked.swap(0, Ordering::AcqRel) != 0 {
            self.quiet();
        }
    }

    pub(crate) fn asked(&self) -> Option<StopReason> {
        match self.asked.load(Ordering::Acquire) {
            1 => Some(StopReason::Cancel),
            2 => Some(StopReason::Release),
            3 => Some(StopReason::Fence),
            4 => Some(StopReason::Timeout),
            _ => None,
        }
    }

    /// Ready to be read once somebody has asked.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn quiet(&self) {
        let _ = rustix::io::read(&self.event, &mut [0_u8; 8]);
    }
}
