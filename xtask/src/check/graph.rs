//! The graph of dependencies as `cargo metadata` tells it, for the platforms that Kingtide is built for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Deserialize;

use super::suite::{Deadline, Tool};

/// Linux on both processors; what only other systems would pull in is not ours to judge.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// All packages of the lock file that are built on some platform.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
    /// Package to what it needs, and whether that is needed by more than its tests and build script.
    edges: BTreeMap<String, BTreeMap<String, bool>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `dev`, `build`, or nothing for a normal one.
    kind: Option<String>,
}

impl Graph {
    pub(crate) fn load(limit: &Deadline) -> anyhow::Result<Graph> {
        let mut graph = Graph::default();
        for platform in PLATFORMS {
            let tool = Tool::cargo("metadata --locked --format-version 1 --filter-platform").arg(platform);
            graph.add(&tool.read(limit)?)?;
        }
        Ok(graph)
    }

    fn add(&mut self, metadata: &str) -> anyhow::Result<()> {
        let metadata: Metadata = serde_json::from_str(metadata).context("failed to read `cargo metadata`")?;
        let mut packages: BTreeMap<String, Package> = metadata
            .packages
            .into_iter()
            .map(|package| (package.id.clone(), package))
            .collect();
        for node in metadata.resolve.nodes {
            let package = packages
                .remove(&node.id)
                .context("`cargo metadata` resolves a package it does not list")?;
            self.packages.insert(node.id.clone(), package);
            let edges = self.edges.entry(node.id).or_default();
            for dependency in node.deps {
                let normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
                *edges.entry(dependency.pkg).or_default() |= normal;
            }
        }
        self.members.extend(metadata.workspace_members);
        Ok(())
    }

    /// The packages of others.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .values()
            .filter(|package| !self.members.contains(&package.id))
    }

    /// Which members ask for a package of this name themselves.
    pub(crate) fn members_using(&self, name: &str) -> Vec<&str> {
        let uses = |id: &&String| self.edges[*id].keys().any(|used| self.packages[used].name == name);
        self.members
            .iter()
            .filter(uses)
            .map(|id| self.packages[id].name.as_str())
            .collect()
    }

    /// The way from a package to every other it is built with, tests and build scripts apart: name to path.
    pub(crate) fn tree_of(&self, name: &str) -> BTreeMap<&str, String> {
        let mut paths: BTreeMap<&str, String> = BTreeMap::new();
        let mut open: Vec<(&Package, String)> = self
            .packages
            .values()
            .filter(|package| package.name == name)
            .map(|root| (root, name.to_owned()))
            .collect();
        while let Some((package, path)) = open.pop() {
            for (id, _) in self.edges[&package.id].iter().filter(|(_, normal)| **normal) {
                let used = &self.packages[id];
                if !paths.contains_key(used.name.as_str()) {
                    let path = format!("{path} → {}", used.name);
                    paths.insert(&used.name, path.clone());
                    open.push((used, path));
                }
            }
        }
        paths
    }

    /// Names that are there in several versions which exclude each other, with these versions.
    pub(crate) fn duplicates(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in self.packages.values() {
            versions.entry(&package.name).or_default().push(&package.version);
        }
        versions.retain(|_, versions| versions.len() > 1);
        versions
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `app` (a member) needs `a`; `a` needs `b`, and `t` for its tests only; `b` is there twice.
    pub(crate) fn sample() -> Graph {
        let package = |name: &str, version: &str, license: &str| {
            format!(r#"{{"id":"{name}@{version}","name":"{name}","version":"{version}","license":{license}}}"#)
        };
        let packages = [
            package("app", "1.0.0", r#""Apache-2.0""#),
            package("a", "1.0.0", r#""MIT OR Apache-2.0""#),
            package("b", "1.0.0", r#""GPL-3.0""#),
            package("b", "2.0.0", r#""MIT""#),
            package("t", "1.0.0", "null"),
            package("windows-only", "1.0.0", r#""MIT""#),
        ];
        let nodes = r#"
            {"id":"app@1.0.0","deps":[{"pkg":"a@1.0.0","dep_kinds":[{"kind":null}]}]},
            {"id":"a@1.0.0","deps":[{"pkg":"b@1.0.0","dep_kinds":[{"kind":"dev"},{"kind":null}]},
                                    {"pkg":"t@1.0.0","dep_kinds":[{"kind":"dev"}]}]},
            {"id":"b@1.0.0","deps":[]}, {"id":"b@2.0.0","deps":[]}, {"id":"t@1.0.0","deps":[]}"#;
        let text = format!(
            r#"{{"packages":[{}],"workspace_members":["app@1.0.0"],"resolve":{{"nodes":[{nodes}]}}}}"#,
            packages.join(",")
        );
        let mut graph = Graph::default();
        graph.add(&text).expect("metadata");
        graph
    }

    #[test]
    fn only_what_is_built_counts() {
        let graph = sample();
        assert_eq!(
            graph.foreign().count(),
            4,
            "neither the member nor what no platform needs"
        );
        assert_eq!(graph.tree_of("app").keys().copied().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(graph.tree_of("app")["b"], "app → a → b");
        assert_eq!(graph.members_using("a"), ["app"]);
        assert!(graph.members_using("b").is_empty());
        assert_eq!(graph.duplicates()["b"], ["1.0.0", "2.0.0"]);
    }
}
