//! Numbers among the parameters that tell of a duration: rows to read, trees to grow. Ordinary least squares on the logarithm of the
//! duration, with the number's logarithm where it has one; one more is taken in only where it explains more than luck would (the Bayesian information
//! criterion: G. Schwarz, "Estimating the Dimension of a Model", 1978).

use std::collections::{BTreeMap, BTreeSet};

/// Of fewer configurations nobody can say what their durations hang on.
const FEWEST: usize = 8;
const MOST_TERMS: usize = 3;
/// What a term more has to be worth beyond the criterion's own charge.
const MARGIN: f64 = 6.0;

/// A number as it enters the sum.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    name: String,
    is_logarithm: bool,
    /// What was seen of it: beyond, a number that is no logarithm tells no more.
    range: (f64, f64),
    /// It is taken from there, so that the constant is what the middle configuration takes.
    middle: f64,
}

/// A constant and a slope for each term.
#[derive(Clone, Debug, Default)]
pub(super) struct Covariates {
    terms: Vec<Term>,
    /// The constant first.
    slopes: Vec<f64>,
    /// `(X'X)⁻¹`, row after row: how sure the sum is at a point.
    inverse: Vec<f64>,
}

/// A configuration: the mean of its logarithms, and its numbers.
pub(super) type Point<'a> = (f64, &'a BTreeMap<String, f64>);

impl Covariates {
    /// The terms that help to tell the points apart.
    pub(super) fn of(points: &[Point<'_>]) -> Covariates {
        let mut best = Fit::of(points, Vec::new()).unwrap_or_default();
        if points.len() < FEWEST {
            return best.covariates;
        }
        let names: BTreeSet<&String> = points.iter().flat_map(|(_, numbers)| numbers.keys()).collect();
        let count = points.len() as f64;
        while best.covariates.terms.len() < MOST_TERMS {
            let fits = names.iter().copied().filter_map(|name| {
                let mut terms = best.covariates.terms.clone();
                if terms.iter().any(|term| term.name == *name) {
                    return None;
                }
                terms.push(Term::of(points, name)?);
                Fit::of(points, terms)
            });
            let Some(next) = fits.min_by(|a, b| a.rest.total_cmp(&b.rest)) else {
                break;
            };
            let gain = count * (best.rest.max(TINY) / next.rest.max(TINY)).ln();
            if gain < count.ln() + MARGIN {
                break;
            }
            best = next;
        }
        best.covariates
    }

    /// The logarithm of the duration that numbers speak for. One that is missing says nothing: the middle is taken.
    pub(super) fn at(&self, numbers: &BTreeMap<String, f64>) -> f64 {
        let row = self.row(numbers);
        row.iter().zip(&self.slopes).map(|(x, slope)| x * slope).sum()
    }

    /// What the variance of a point is multiplied with for the variance of the sum.
    pub(super) fn leverage(&self, numbers: &BTreeMap<String, f64>) -> f64 {
        let row = self.row(numbers);
        let size = row.len();
        let mut sum = 0.0;
        for i in 0..size {
            for j in 0..size {
                sum += row[i] * self.inverse.get(i * size + j).copied().unwrap_or(0.0) * row[j];
            }
        }
        sum
    }

    /// The names of the parameters that help.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| term.name.as_str())
    }

    fn row(&self, numbers: &BTreeMap<String, f64>) -> Vec<f64> {
        let value = |term: &Term| term.value(numbers).unwrap_or(0.0);
        std::iter::once(1.0).chain(self.terms.iter().map(value)).collect()
    }
}

/// Squares below this are rounding.
const TINY: f64 = 1e-9;

#[derive(Default)]
struct Fit {
    covariates: Covariates,
    /// Sum of the squares that it leaves.
    rest: f64,
}

impl Fit {
    fn of(points: &[Point<'_>], terms: Vec<Term>) -> Option<Fit> {
        let mut covariates = Covariates {
            terms,
            ..Covariates::default()
        };
        let size = covariates.terms.len() + 1;
        let (mut squares, mut products) = (vec![0.0; size * size], vec![0.0; size]);
        for (value, numbers) in points {
            let row = covariates.row(numbers);
            for i in 0..size {
                products[i] += row[i] * value;
                for j in 0..size {
                    squares[i * size + j] += row[i] * row[j];
                }
            }
        }
        covariates.inverse = invert(squares, size)?;
        let inverse = &covariates.inverse;
        let slope = |i: usize| (0..size).map(|j| inverse[i * size + j] * products[j]).sum();
        covariates.slopes = (0..size).map(slope).collect();
        let rest = points
            .iter()
            .map(|(value, numbers)| (value - covariates.at(numbers)).powi(2))
            .sum();
        Some(Fit { covariates, rest })
    }
}

impl Term {
    /// By its logarithm where it has one: twice the rows are some times the time, however many that are. `None` where it tells nothing apart.
    fn of(points: &[Point<'_>], name: &str) -> Option<Term> {
        let numbers = points.iter().map(|(_, numbers)| numbers.get(name).copied());
        let numbers = numbers.collect::<Option<Vec<f64>>>()?;
        let least = numbers.iter().copied().fold(f64::MAX, f64::min);
        let mut term = Term {
            name: name.to_owned(),
            is_logarithm: least > 0.0,
            range: (least, numbers.iter().copied().fold(f64::MIN, f64::max)),
            middle: 0.0,
        };
        let mut values = points
            .iter()
            .map(|(_, numbers)| term.value(numbers))
            .collect::<Option<Vec<f64>>>()?;
        values.sort_by(f64::total_cmp);
        term.middle = values[values.len() / 2];
        values.dedup();
        (values.len() >= 3).then_some(term)
    }

    fn value(&self, numbers: &BTreeMap<String, f64>) -> Option<f64> {
        let number = *numbers.get(&self.name)?;
        match self.is_logarithm {
            true if number > 0.0 => Some(number.ln() - self.middle),
            true => None,
            false => Some(number.clamp(self.range.0, self.range.1) - self.middle),
        }
    }
}

/// Gauss–Jordan with pivots; `None` for what is singular.
fn invert(mut matrix: Vec<f64>, size: usize) -> Option<Vec<f64>> {
    let mut inverse = vec![0.0; size * size];
    for i in 0..size {
        inverse[i * size + i] = 1.0;
    }
    let scale = (0..size).map(|i| matrix[i * size + i].abs()).fold(0.0, f64::max);
    for column in 0..size {
        let pivot = (column..size).max_by(|a, b| {
            matrix[a * size + column]
                .abs()
                .total_cmp(&matrix[b * size + column].abs())
        })?;
        let value = matrix[pivot * size + column];
        if value.abs() <= scale * 1e-12 {
            return None;
        }
        for j in 0..size {
            matrix.swap(pivot * size + j, column * size + j);
            inverse.swap(pivot * size + j, column * size + j);
        }
        for j in 0..size {
            matrix[column * size + j] /= value;
            inverse[column * size + j] /= value;
        }
        for row in (0..size).filter(|row| *row != column) {
            let factor = matrix[row * size + column];
            for j in 0..size {
                matrix[row * size + j] -= factor * matrix[column * size + j];
                inverse[row * size + j] -= factor * inverse[column * size + j];
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::normal;
    use super::*;

    fn numbers(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn rows_tell_and_numbers_of_a_lottery_do_not() {
        let mut random = Rng::with_seed(1);
        let rows: Vec<BTreeMap<String, f64>> = (0..60)
            .map(|_| {
                numbers(&[
                    ("rows", 100.0 + 20_000.0 * random.f64()),
                    ("seed", random.f64()),
                    ("depth", 4.0),
                ])
            })
            .collect();
        let mut noise = Rng::with_seed(2);
        let points: Vec<Point<'_>> = rows
            .iter()
            .map(|row| (0.8 * row["rows"].ln() - 3.0 + 0.1 * normal::quantile(noise.f64()), row))
            .collect();
        let covariates = Covariates::of(&points);
        assert_eq!(covariates.names().collect::<Vec<_>>(), ["rows"]);
        let at = covariates.at(&numbers(&[("rows", 50_000.0)]));
        assert!((at - (0.8 * 50_000_f64.ln() - 3.0)).abs() < 0.1, "{at}");
        let (inside, outside) = (
            covariates.leverage(&numbers(&[("rows", 5_000.0)])),
            covariates.leverage(&numbers(&[("rows", 5e7)])),
        );
        assert!(inside < 0.1 && outside > 2.0 * inside, "{inside} {outside}");
    }

    #[test]
    fn without_numbers_it_is_the_mean() {
        let none = BTreeMap::new();
        let covariates = Covariates::of(&[(1.0, &none), (3.0, &none)]);
        assert_eq!(covariates.at(&none), 2.0);
        assert_eq!(covariates.leverage(&none), 0.5);
        assert_eq!(Covariates::of(&[]).at(&none), 0.0);
    }
}
