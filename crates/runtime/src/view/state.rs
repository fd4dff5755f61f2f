//! The states that rows can be in, as the schema's `CHECK`s list them.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

macro_rules! stored_as_text {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// Every one of them, in the order of the schema.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

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

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$name> {
                let text = value.as_str()?;
                $name::ALL.iter().copied().find(|state| state.text() == text).ok_or(FromSqlError::InvalidType)
            }
        }
    };
}

stored_as_text! {
    /// How a run stands.
    RunState {
        Open = "open",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

stored_as_text! {
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

stored_as_text! {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_exactly_these_states() {
        let schema = include_str!("../store/schema_1.sql").replace(char::is_whitespace, "");
        let listed = |texts: Vec<&str>| format!("IN('{}')", texts.join("','"));
        assert!(schema.contains(&listed(RunState::ALL.iter().map(|state| state.text()).collect())));
        assert!(schema.contains(&listed(TaskState::ALL.iter().map(|state| state.text()).collect())));
        assert!(schema.contains(&listed(Outcome::ALL.iter().map(|outcome| outcome.text()).collect())));
    }
}
