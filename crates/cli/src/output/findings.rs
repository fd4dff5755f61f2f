//! Findings for people, with the place under a caret, and for programs, as JSON.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use kingtide_core::finding::{Finding, Findings, Place, Severity, line_and_column};
use serde_json::{Value, json};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// All findings, an empty line between them and none at the end. `name` is what the project file is called, `source`
/// its text.
pub(crate) fn render(findings: &Findings, name: &str, source: &str, coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let reports: Vec<String> = findings
        .0
        .iter()
        .map(|finding| {
            let text = renderer.render(&[report(finding, name, source)]);
            match (&finding.place, &finding.help) {
                (None, Some(help)) => format!("{text}\n = help: {help}"),
                _ => text,
            }
        })
        .collect();
    reports.join("\n\n")
}

fn report<'a>(finding: &'a Finding, name: &'a str, source: &'a str) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = Group::with_title(level.primary_title(&finding.message).id(finding.code));
    let group = match &finding.place {
        Some(Place::Project(span)) => {
            // A byte order mark is no column.
            let text = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
            let mark = source.len() - text.len();
            let within = |offset: usize| text.floor_char_boundary(offset.saturating_sub(mark).min(text.len()));
            // Of a value over many lines the first says where it is.
            let start = within(span.start);
            let line = text[start..].find('\n').map_or(text.len(), |length| start + length);
            let span = start..within(span.end).min(line).max(start);
            group.element(
                Snippet::source(text)
                    .path(name)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        }
        Some(Place::Line { file, line }) => {
            group.element(Origin::path(file.as_str()).line(usize::try_from(*line).unwrap_or(usize::MAX)))
        }
        Some(Place::File { file }) => group.element(Origin::path(file.as_str())),
        // The renderer would draw the margin of a text that is not there; `render` adds the help.
        None => return group,
    };
    match &finding.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// One object a finding: `code`, `severity`, `message`, `help`, `file`, `line`, `column`; null where there is none.
pub(crate) fn to_json(findings: &Findings, name: &str, source: &str) -> Value {
    findings.0.iter().map(|finding| object(finding, name, source)).collect()
}

fn object(finding: &Finding, name: &str, source: &str) -> Value {
    let (file, line, column) = match &finding.place {
        Some(Place::Project(span)) => {
            let text = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
            let (line, column) = line_and_column(text, span.start.saturating_sub(source.len() - text.len()));
            (Some(name), Some(line as u64), Some(column))
        }
        Some(Place::Line { file, line }) => (Some(file.as_str()), Some(*line), None),
        Some(Place::File { file }) => (Some(file.as_str()), None, None),
        None => (None, None, None),
    };
    json!({
        "code": finding.code,
        "severity": finding.severity.to_string(),
        "message": finding.message,
        "help": finding.help,
        "file": file,
        "line": line,
        "column": column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "[project]\nname = \"p\"\n[job.retrain]\ncommnd = [\"x\"]\n";

    fn misspelt() -> Finding {
        let start = SOURCE.find("commnd").expect("it is there");
        Finding::error("unknown-key", "a job knows no key `commnd`")
            .at(start..start + 6)
            .help("did you mean `command`?")
    }

    #[test]
    fn a_finding_shows_its_place() {
        let findings = Findings(vec![
            misspelt(),
            Finding::warning("duplicate-rows", "twice").at_line("p.csv", 7),
        ]);
        let expected = "\
error[unknown-key]: a job knows no key `commnd`
 --> kingtide.toml:4:1
  |
4 | commnd = [\"x\"]
  | ^^^^^^
  |
  = help: did you mean `command`?

warning[duplicate-rows]: twice
--> p.csv:7";
        assert_eq!(render(&findings, "kingtide.toml", SOURCE, false), expected);
    }

    #[test]
    fn a_long_value_shows_its_first_line() {
        let source = "params = [\n{ a = 1 },\n{ a = 1 },\n]\n";
        let findings = Findings(vec![Finding::error("empty-params", "odd").at(9..source.len() - 1)]);
        let text = render(&findings, "kingtide.toml", source, false);
        assert!(
            text.contains("1 | params = [\n  |          ^") && !text.contains("2 |"),
            "{text}"
        );
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let findings = Findings(vec![misspelt()]);
        assert!(!render(&findings, "kingtide.toml", SOURCE, false).contains('\u{1b}'));
        assert!(render(&findings, "kingtide.toml", SOURCE, true).contains('\u{1b}'));
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        let source = format!("\u{feff}{SOURCE}");
        let finding = Finding::error("syntax", "here").at(4..10);
        let findings = Findings(vec![finding]);
        assert!(render(&findings, "kingtide.toml", &source, false).contains("kingtide.toml:1:2"));
        assert_eq!(to_json(&findings, "kingtide.toml", &source)[0]["column"], 2);
    }

    #[test]
    fn no_place_is_too_odd_to_print() {
        for (source, span) in [
            ("", 0..0),
            ("", 5..9),
            ("ä", 1..2),
            ("a\n", 2..2),
            ("a", 1..1),
            ("\n\n", 1..2),
        ] {
            let findings = Findings(vec![Finding::error("syntax", "odd").at(span.clone())]);
            let text = render(&findings, "kingtide.toml", source, false);
            assert!(text.contains("kingtide.toml:"), "{source:?} {span:?}: {text}");
        }
    }

    #[test]
    fn programs_get_objects() {
        let findings = Findings(vec![misspelt(), Finding::warning("more-findings", "and 2 more")]);
        let objects = to_json(&findings, "kingtide.toml", SOURCE);
        assert_eq!(
            objects[0],
            json!({
                "code": "unknown-key", "severity": "error", "message": "a job knows no key `commnd`",
                "help": "did you mean `command`?", "file": "kingtide.toml", "line": 4, "column": 1,
            })
        );
        assert_eq!(objects[1]["file"], Value::Null);
    }
}
