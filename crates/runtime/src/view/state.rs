//! The states that rows are in, read from their words.

use kingtide_core::engine::state::Named;
pub use kingtide_core::engine::state::{Outcome, RunState, TaskState};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

/// A column that holds a state's word.
pub(super) struct Word<T>(pub(super) T);

impl<T: Named> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Word<T>> {
        T::named(value.as_str()?).map(Word).ok_or(FromSqlError::InvalidType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_exactly_these_states() {
        fn listed<T: Named>() -> String {
            let words: Vec<&str> = T::ALL.iter().map(|state| state.word()).collect();
            format!("IN('{}')", words.join("','"))
        }
        let schema = include_str!("../store/schema_1.sql").replace(char::is_whitespace, "");
        assert!(schema.contains(&listed::<RunState>()));
        assert!(schema.contains(&listed::<TaskState>()));
        assert!(schema.contains(&listed::<Outcome>()));
    }
}
