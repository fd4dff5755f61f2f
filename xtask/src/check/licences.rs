//! Licences and bans: what Kingtide is built from must be free to ship under Apache-2.0, without the crates that are known
//! to hurt, and its core without anything that could reach the world outside.

use super::graph::Graph;
use super::spdx;
use super::suite::Deadline;

use anyhow::bail;

/// Permissive licences whose terms fit into Apache-2.0.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Of data: the certificates of authorities, in webpki-roots.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Not even somewhere below us.
const BANNED: &[(&str, &str)] = &[
    ("ansi_term", "unmaintained"),
    ("async-std", "discontinued"),
    (
        "atty",
        "unmaintained and unsound; the standard library has `IsTerminal`",
    ),
    ("cmake", "needs a program that a fresh machine does not have"),
    ("failure", "discontinued; errors are `thiserror`'s"),
    ("libgit2-sys", "a C library for what `git` does"),
    (
        "native-tls",
        "ties the binary to the system's TLS library; rustls does not",
    ),
    ("openssl", "ties the binary to the system's OpenSSL; rustls does not"),
    (
        "openssl-sys",
        "ties the binary to the system's OpenSSL; rustls does not",
    ),
    ("proc-macro-error", "unmaintained, and holds syn 1"),
    ("serde_yaml", "unmaintained; the project file is TOML"),
    ("serde_yml", "unmaintained and unsound; the project file is TOML"),
    ("structopt", "has become clap"),
    ("term_size", "unmaintained"),
    ("yaml-rust", "unmaintained"),
];

/// Others may use them, our own crates may not.
const BANNED_HERE: &[(&str, &str)] = &[
    (
        "chrono",
        "points in time are milliseconds (`core::time`), time zones would be jiff's",
    ),
    ("lazy_static", "the standard library has `LazyLock`"),
    ("nix", "system calls go through rustix"),
    ("num_cpus", "the standard library has `available_parallelism`"),
    ("once_cell", "the standard library has `OnceLock`"),
    ("rand", "fastrand is seedable and has no dependencies"),
    ("regex", "half a second of build for what a few lines do"),
];

/// The core decides and does nothing: none of these is in its tree.
const CORE: &str = "kingtide-core";
const IMPURE: &[(&str, &str)] = &[
    ("async-trait", "the core is ordinary functions"),
    ("chrono", "it asks for the time"),
    ("futures-core", "the core is ordinary functions"),
    ("getrandom", "chance is seeded and handed in"),
    ("hyper", "network"),
    ("kingtide-exec", "the core stands below all other crates"),
    ("kingtide-runtime", "the core stands below all other crates"),
    ("libc", "system calls"),
    ("libsqlite3-sys", "the store is the runtime's"),
    ("mio", "input and output"),
    ("nix", "system calls"),
    ("rand", "chance is seeded and handed in, by fastrand"),
    ("rusqlite", "the store is the runtime's"),
    ("rustix", "system calls"),
    ("signal-hook", "system calls"),
    ("socket2", "network"),
    ("tempfile", "the file system"),
    ("tokio", "the core is ordinary functions"),
];

/// The suite.
pub(crate) fn run(limit: &Deadline) -> anyhow::Result<()> {
    let graph = Graph::load(limit)?;
    for (name, versions) in graph.duplicates() {
        println!("note: {name} is built in several versions: {}", versions.join(", "));
    }
    let complaints = complaints(&graph);
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{} packages of others", graph.foreign().count());
    match complaints.len() {
        0 => Ok(()),
        count => bail!("{count} complaints about dependencies"),
    }
}

fn complaints(graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in graph.foreign() {
        let who = format!("{} {}", package.name, package.version);
        match package.license.as_deref().map(|licence| (licence, is_allowed(licence))) {
            None => complaints.push(format!("{who} states no licence expression")),
            Some((licence, Ok(false))) => complaints.push(format!("{who} is under `{licence}`, which is not allowed")),
            Some((_, Err(error))) => complaints.push(format!("{who} has a licence that cannot be read: {error}")),
            Some((_, Ok(true))) => {}
        }
        if let Some((name, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            complaints.push(format!("{name} is banned: {reason}"));
        }
    }
    for (name, reason) in BANNED_HERE {
        for member in graph.members_using(name) {
            complaints.push(format!("{member} uses {name}: {reason}"));
        }
    }
    let core = graph.tree_of(CORE);
    for (name, reason) in IMPURE {
        if let Some(path) = core.get(name) {
            complaints.push(format!("the core is no longer pure, {reason}: {path}"));
        }
    }
    complaints
}

fn is_allowed(expression: &str) -> Result<bool, String> {
    spdx::is_satisfied(expression, &|licence| ALLOWED.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_judged() {
        let complaints = complaints(&super::super::graph::tests::sample());
        let expected = [
            "b 1.0.0 is under `GPL-3.0`, which is not allowed",
            "t 1.0.0 states no licence expression",
        ];
        assert_eq!(complaints, expected);
    }

    #[test]
    fn lists_are_in_order_and_have_reasons() {
        for list in [BANNED, BANNED_HERE, IMPURE] {
            assert!(list.is_sorted_by_key(|(name, _)| *name), "{list:?}");
            assert!(list.iter().all(|(_, reason)| !reason.is_empty()));
        }
    }
}
