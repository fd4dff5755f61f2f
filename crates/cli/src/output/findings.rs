//! Stands in for the findings with carets until they are merged.

use kingtide_core::finding::Findings;

pub(crate) fn render(findings: &Findings, source_name: &str, _source: &str, _colour: bool) -> String {
    let lines: Vec<String> = findings
        .0
        .iter()
        .map(|finding| {
            format!(
                "{}[{}]: {} ({source_name})",
                finding.severity, finding.code, finding.message
            )
        })
        .collect();
    lines.join("\n")
}
