//! The states of runs, tasks and attempts that rows have: one spelling for the database, programs and people.

use std::fmt;

/// A state with its word.
pub trait Named: Copy + Sized + 'static {
    /// Every one of them, in the order in which they are listed everywhere.
    const ALL: &'static [Self];

    /// As it is stored, and as people and programs read it.
    fn word(self) -> &'static str;

    /// The state of that word.
    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == text)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant,)+ }

        impl Named for $name {
            const ALL: &'static [$name] = &[$($name::$variant,)+];

            fn word(self) -> &'static str {
                self.text()
            }
        }

        impl $name {
            /// As it is stored, and as people and programs read it.
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.text())
            }
        }
    };
}

named! {
    /// How a run stands; open until its last task is over.
    RunState {
        Open = "open",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

named! {
    /// How a task stands.
    TaskState {
        Waiting = "waiting",
        Leased = "leased",
        Succeeded = "succeeded",
        Skipped = "skipped",
        Failed = "failed",
        Rejected = "rejected",
        Cancelled = "cancelled",
    }
}

named! {
    /// How an attempt ended.
    Outcome {
        Succeeded = "succeeded",
        Failed = "failed",
        Skipped = "skipped",
        Released = "released",
        Rejected = "rejected",
        TimedOut = "timed_out",
        OutOfMemory = "out_of_memory",
        Lost = "lost",
        Stopped = "stopped",
    }
}

impl RunState {
    /// Whether nothing more will happen in it.
    pub fn is_over(self) -> bool {
        match self {
            RunState::Open => false,
            RunState::Succeeded | RunState::Failed | RunState::Cancelled => true,
        }
    }
}

impl TaskState {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        match self {
            TaskState::Waiting | TaskState::Leased => false,
            TaskState::Succeeded
            | TaskState::Skipped
            | TaskState::Failed
            | TaskState::Rejected
            | TaskState::Cancelled => true,
        }
    }
}

impl Outcome {
    /// Whether it was no failure of the program's own: its task is back in the queue, or ended with its run.
    pub fn is_free(self) -> bool {
        matches!(self, Outcome::Released | Outcome::Lost | Outcome::Stopped)
    }
}
