//! Files in the repository that come from the binary. `check` makes them again and compares, `generate` writes them; so the
//! documentation of the command line and the schema of the file cannot go stale.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::setup::target_folder;
use super::suite::{Deadline, Tool};

/// A file and the verb that prints it.
const GENERATED: &[(&str, &str)] = &[("docs/cli.md", "docs-cli"), ("docs/kingtide.schema.json", "schema")];

/// The suite: every file is what the binary says today.
pub(crate) fn check(limit: &Deadline) -> anyhow::Result<()> {
    let binary = build(limit)?;
    let mut stale = Vec::new();
    for (file, verb) in GENERATED {
        let fresh = printed(&binary, verb, limit).with_context(|| format!("failed to make {file}"))?;
        let kept = std::fs::read_to_string(crate::workspace_root().join(file)).unwrap_or_default();
        match difference(&kept, &fresh) {
            None => println!("{file}: unchanged"),
            Some(difference) => {
                println!("{file}: {difference}");
                stale.push(*file);
            }
        }
    }
    if !stale.is_empty() {
        bail!(
            "no longer what the binary says: {}; `cargo xtask generate` writes them",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Writes all of them.
pub(crate) fn write(limit: &Deadline) -> anyhow::Result<()> {
    let binary = build(limit)?;
    for (file, verb) in GENERATED {
        let fresh = printed(&binary, verb, limit).with_context(|| format!("failed to make {file}"))?;
        std::fs::write(crate::workspace_root().join(file), fresh).with_context(|| format!("failed to write {file}"))?;
        println!("{file}: written");
    }
    Ok(())
}

fn build(limit: &Deadline) -> anyhow::Result<PathBuf> {
    // As the tests build it, so that nothing is built again.
    Tool::cargo("build --workspace --bins --locked --quiet").run(limit)?;
    Ok(target_folder(limit)?.join("debug/kingtide"))
}

/// What a verb prints, whatever the terminal is like.
fn printed(binary: &Path, verb: &str, limit: &Deadline) -> anyhow::Result<String> {
    let text = Tool::new(binary)
        .arg(verb)
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .read(limit)?;
    if text.trim().is_empty() {
        bail!("`kingtide {verb}` prints nothing");
    }
    Ok(text)
}

fn difference(kept: &str, fresh: &str) -> Option<String> {
    if kept == fresh {
        return None;
    }
    let (mut old, mut new) = (kept.lines(), fresh.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let (a, b) = (a.unwrap_or("(the end)"), b.unwrap_or("(the end)"));
                return Some(format!("differs at line {number}\n  kept: {a}\n  made: {b}"));
            }
        }
    }
    Some("differs in its line ends".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nb\n", "a\nc\n").expect("they differ");
        assert_eq!(shown, "differs at line 2\n  kept: b\n  made: c");
        assert!(difference("a", "a\n").is_some());
        assert!(difference("", "a\n").expect("they differ").contains("kept: (the end)"));
    }
}
