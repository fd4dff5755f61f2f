//! The columns of a table of results and their types, inferred over all rows.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde_json::{Map, Value};

use super::ResultRow;
use super::flat;

/// A program that uses a value as a key makes columns without end; what goes beyond is kept as JSON in one last column.
pub(super) const COLUMN_LIMIT: usize = 10_000;
/// Integers beyond it are not exact as floats.
const EXACT: u64 = 1 << 53;

/// A table's columns: `task`, the parameters, how it went, the program's own, `reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub(super) columns: Vec<Column>,
    /// From a key of the parameters, or of the result, to its column.
    pub(super) params: HashMap<String, usize>,
    pub(super) results: HashMap<String, usize>,
    /// Where what exceeds [`COLUMN_LIMIT`] goes.
    pub(super) overflow: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Unique within the table.
    pub name: String,
    pub kind: Kind,
    pub origin: Origin,
}

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Param,
    Result,
    /// Known by us.
    Own(Own),
}

/// The columns that every table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Task,
    State,
    Attempts,
    Seconds,
    MemoryPeak,
    Reason,
}

/// The type of a column: the narrowest that holds all its values, or text when none does. Every value may also be null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No row has a value.
    #[default]
    Null,
    Bool,
    Integer,
    Float,
    /// Texts as they are; in a mixed column everything else as JSON, as are arrays.
    String,
}

impl Schema {
    /// Looks at all rows once. The first error of the rows ends it.
    pub fn infer<E>(rows: impl IntoIterator<Item = Result<ResultRow, E>>) -> Result<Schema, E> {
        let (mut params, mut results) = (Found::default(), Found::default());
        for row in rows {
            let row = row?;
            params.see(&row.params.0);
            for line in lines(&row) {
                results.see(line);
            }
        }
        Ok(Schema::of(params, results))
    }

    /// From left to right.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn of(params: Found, results: Found) -> Schema {
        let own = |own: Own| Column {
            name: own.name().to_owned(),
            kind: own.kind(),
            origin: Origin::Own(own),
        };
        let mut schema = Schema {
            columns: vec![own(Own::Task)],
            params: HashMap::new(),
            results: HashMap::new(),
            overflow: None,
        };
        let mut taken: BTreeSet<String> = OURS.iter().map(|own| own.name().to_owned()).collect();
        let overflows = params.overflows || results.overflows;
        // Names that need no prefix are given first: a program's own `result.mae` keeps its name.
        let param_names = names(&params, "param.", &mut taken);
        let result_names = names(&results, "result.", &mut taken);
        schema.params = schema.take(params, param_names, Origin::Param);
        schema
            .columns
            .extend([Own::State, Own::Attempts, Own::Seconds, Own::MemoryPeak].map(own));
        schema.results = schema.take(results, result_names, Origin::Result);
        if overflows {
            let name = unique("other".to_owned(), "result.", &mut taken);
            schema.overflow = Some(schema.columns.len());
            schema.columns.push(Column {
                name,
                kind: Kind::String,
                origin: Origin::Result,
            });
        }
        schema.columns.push(own(Own::Reason));
        schema
    }

    fn take(&mut self, found: Found, names: Vec<String>, origin: Origin) -> HashMap<String, usize> {
        let mut index = HashMap::with_capacity(names.len());
        for ((key, lattice), name) in found.columns.into_iter().zip(names) {
            index.insert(key, self.columns.len());
            self.columns.push(Column {
                name,
                kind: lattice.kind(),
                origin,
            });
        }
        index
    }
}

/// The objects a program wrote; none is a line without results.
pub(super) fn lines(row: &ResultRow) -> impl Iterator<Item = &Map<String, Value>> {
    let values = match &row.result {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_object)
}

/// The columns of one origin, in the order in which they first came.
#[derive(Default)]
struct Found {
    columns: Vec<(String, Lattice)>,
    index: HashMap<String, usize>,
    overflows: bool,
}

impl Found {
    fn see(&mut self, object: &Map<String, Value>) {
        flat::leaves(object, &mut |key, value| {
            let lattice = Lattice::of(value);
            if let Some(at) = self.index.get(key) {
                let known = &mut self.columns[*at].1;
                *known = known.join(lattice);
            } else if self.columns.len() < COLUMN_LIMIT {
                self.index.insert(key.to_owned(), self.columns.len());
                self.columns.push((key.to_owned(), lattice));
            } else {
                self.overflows = true;
            }
        });
    }
}

fn names(found: &Found, prefix: &str, taken: &mut BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<Option<String>> = found
        .columns
        .iter()
        .map(|(key, _)| Some(flat::shown(key)).filter(|name| taken.insert(name.clone())))
        .collect();
    for (name, (key, _)) in names.iter_mut().zip(&found.columns) {
        name.get_or_insert_with(|| unique(format!("{prefix}{}", flat::shown(key)), prefix, taken));
    }
    names.into_iter().flatten().collect()
}

fn unique(mut name: String, prefix: &str, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.insert_str(0, prefix);
    }
    name
}

/// The types as they are joined. `Large` keeps an integer that a float cannot hold from being rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lattice {
    Null,
    Bool,
    Integer,
    Large,
    Float,
    String,
}

impl Lattice {
    fn of(value: &Value) -> Lattice {
        match value {
            Value::Null => Lattice::Null,
            Value::Bool(_) => Lattice::Bool,
            Value::Number(number) if number.is_f64() => Lattice::Float,
            Value::Number(number) => {
                let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
                if size.is_none_or(|size| size > EXACT) {
                    Lattice::Large
                } else {
                    Lattice::Integer
                }
            }
            Value::String(_) | Value::Array(_) | Value::Object(_) => Lattice::String,
        }
    }

    /// The least type that holds both; the same whatever the order of the rows.
    fn join(self, other: Lattice) -> Lattice {
        let (low, high) = (self.min(other), self.max(other));
        match (low, high) {
            (Lattice::Null, high) => high,
            (low, high) if low == high => high,
            (Lattice::Integer, Lattice::Large) => Lattice::Large,
            (Lattice::Integer, Lattice::Float) => Lattice::Float,
            _ => Lattice::String,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Lattice::Null => Kind::Null,
            Lattice::Bool => Kind::Bool,
            Lattice::Integer | Lattice::Large => Kind::Integer,
            Lattice::Float => Kind::Float,
            Lattice::String => Kind::String,
        }
    }
}

/// In the order of the table.
const OURS: [Own; 6] = [
    Own::Task,
    Own::State,
    Own::Attempts,
    Own::Seconds,
    Own::MemoryPeak,
    Own::Reason,
];

impl Own {
    fn name(self) -> &'static str {
        match self {
            Own::Task => "task",
            Own::State => "state",
            Own::Attempts => "attempts",
            Own::Seconds => "seconds",
            Own::MemoryPeak => "memory_peak",
            Own::Reason => "reason",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Own::Task | Own::Attempts | Own::MemoryPeak => Kind::Integer,
            Own::Seconds => Kind::Float,
            Own::State | Own::Reason => Kind::String,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Integer => "integer",
            Kind::Float => "float",
            Kind::String => "string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_join_is_the_same_in_every_order() {
        use Lattice::{Bool, Float, Integer, Large, Null, String};
        let all = [Null, Bool, Integer, Large, Float, String];
        for a in all {
            assert_eq!(a.join(a), a);
            assert_eq!(Null.join(a), a);
            for b in all {
                assert_eq!(a.join(b), b.join(a), "{a:?} {b:?}");
                for c in all {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
        assert_eq!(Integer.join(Float), Float);
        assert_eq!(Large.join(Float), String);
        assert_eq!(Bool.join(Integer), String);
    }
}
