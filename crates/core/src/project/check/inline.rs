//! Parameters as the project file has them: the name of their file, or the rows themselves.

use std::ops::Range;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::check::check_path;
use crate::project::job::Job;
use crate::project::params::{Format, Matrix, Params, Row, RowCheck, Rows};
use crate::project::raw::{RawJob, RawParams};
use crate::project::resolve;

const MOST_MATRIX_ROWS: u64 = 100_000_000;

/// The file's name, or the rows themselves where they are in the project file.
pub(super) fn check_rows(name: &str, raw: &RawJob, findings: &mut Findings) {
    let Some(params) = &raw.params else { return };
    let Some(job) = resolve::job(name.to_owned(), raw.clone()) else {
        return;
    };
    // Rows that could not be read are not there to be counted.
    let inside = |span: Range<usize>| params.span().start <= span.start && span.end <= params.span().end;
    if findings.0.iter().filter_map(Finding::span).any(inside) {
        return;
    }
    match params.get_ref() {
        RawParams::File(file) => {
            let before = findings.0.len();
            check_path("params", Some(&Spanned::new(params.span(), file.clone())), findings);
            if let (true, Err(finding)) = (findings.0.len() == before, Format::of(file)) {
                findings.push(finding.at(params.span()));
            }
        }
        RawParams::Rows(rows) => {
            let spans = if rows.is_empty() {
                vec![params.span()]
            } else {
                rows.iter().map(Spanned::span).collect()
            };
            let mut check = RowCheck::of_project(&job, spans);
            if let Some(Params::Inline(messages)) = &job.params {
                Rows::inline(messages).for_each(|row| check.look(&row));
            }
            findings.0.extend(check.finish().0);
        }
        RawParams::Matrix(_) => {
            let Some(Params::Matrix(matrix)) = &job.params else {
                return;
            };
            check_matrix(&job, matrix, params.span(), findings);
        }
    }
}

/// All rows of a matrix have the same names, so the first tells of all; values that come twice make rows that do.
fn check_matrix(job: &Job, matrix: &Matrix, span: Range<usize>, findings: &mut Findings) {
    if matrix.len().is_none_or(|rows| rows > MOST_MATRIX_ROWS) {
        let message = format!("the matrix multiplies out to more than {MOST_MATRIX_ROWS} rows");
        findings.push(Finding::error("out-of-range", message).at(span));
        return;
    }
    let mut check = RowCheck::of_project(job, vec![span.clone()]);
    // The longest value of each list stands for all of them.
    let longest = Matrix(
        matrix
            .0
            .iter()
            .map(|(name, values)| {
                let longest = values.iter().max_by_key(|value| value.to_string().len());
                (name.clone(), longest.into_iter().cloned().collect())
            })
            .collect(),
    );
    for row in Rows::matrix(&longest) {
        check.look(&row.map(|row| Row { line: 1, ..row }));
    }
    findings.0.extend(check.finish().0);
    for (name, values) in &matrix.0 {
        let mut sorted: Vec<String> = values.iter().map(ToString::to_string).collect();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!(
                "`{name}` has the value {} twice; the rows it makes are run twice",
                twice[0]
            );
            findings.push(Finding::warning("duplicate-rows", message).at(span.clone()));
        }
    }
}
