//! Brings what the tests need onto the machine: each step says what it found or what it does. Debian packages are
//! installed where the chore may (as root); elsewhere it says which are missing.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::suite::{Deadline, Tool};

/// Something the tests need that comes as a Debian package.
struct Package {
    what: &'static str,
    /// Succeeds where it is there.
    probe: &'static [&'static str],
    debian: &'static [&'static str],
    /// What goes without it, where it cannot be installed.
    without: Option<&'static str>,
}

const PACKAGES: &[Package] = &[
    Package {
        what: "a C compiler",
        probe: &["cc", "--version"],
        debian: &["gcc", "libc6-dev"],
        without: None,
    },
    Package {
        what: "bash",
        probe: &["bash", "--version"],
        debian: &["bash"],
        without: None,
    },
    Package {
        what: "Python 3 with venv and pip",
        probe: &["python3", "-c", "import venv, ensurepip"],
        debian: &["python3", "python3-venv"],
        without: None,
    },
    Package {
        what: "Docker's engine",
        probe: &["dockerd", "--version"],
        debian: &["docker.io"],
        without: Some("tests of containers are skipped unless another engine runs"),
    },
    Package {
        what: "a static busybox, for the images of tests",
        // What is linked with libraries would find none in an image of its own.
        probe: &["sh", "-c", "test -x /bin/busybox && ! ldd /bin/busybox"],
        debian: &["busybox-static"],
        without: Some("tests of containers are skipped"),
    },
];

/// The first suite.
pub(crate) fn run(limit: &Deadline) -> anyhow::Result<()> {
    machine()?;
    packages(limit)?;
    component("rustfmt", "fmt --version", limit)?;
    component("clippy", "clippy --version", limit)?;
    if Tool::cargo("nextest --version").works(limit) {
        println!("cargo-nextest: present");
    } else {
        println!("cargo-nextest: missing, `cargo install --locked cargo-nextest` builds it (some minutes, once)");
        Tool::cargo("install --locked cargo-nextest").run(limit)?;
    }
    let uv = Tool::new("uv").arg("--version").works(limit);
    println!(
        "uv: {}",
        if uv {
            "present"
        } else {
            "not present, environments are made with venv and pip"
        }
    );
    super::wheels::fetch(limit)?;
    super::boto::install(limit)?;
    super::clients::install(limit)?;
    println!("dependencies: fetched where they are missing");
    Tool::cargo("fetch --locked --quiet").run(limit)
}

/// Where cargo builds.
pub(crate) fn target_folder(limit: &Deadline) -> anyhow::Result<PathBuf> {
    let metadata = Tool::cargo("metadata --locked --no-deps --format-version 1").read(limit)?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("failed to read `cargo metadata`")?;
    let folder = metadata["target_directory"]
        .as_str()
        .context("`cargo metadata` names no target folder")?;
    Ok(PathBuf::from(folder))
}

fn machine() -> anyhow::Result<()> {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    if system != "linux" || !matches!(processor, "x86_64" | "aarch64") {
        bail!("Kingtide is built and tested on Linux, x86_64 or ARM (aarch64); this is {system} on {processor}");
    }
    println!("machine: {system} on {processor}");
    Ok(())
}

fn packages(limit: &Deadline) -> anyhow::Result<()> {
    let can_install = rustix::process::geteuid().is_root() && Tool::new("apt-get").arg("--version").works(limit);
    let mut missing = Vec::new();
    for package in PACKAGES {
        let probe = package.probe[1..]
            .iter()
            .fold(Tool::new(package.probe[0]), |tool, argument| tool.arg(*argument));
        if probe.works(limit) {
            println!("{}: present", package.what);
            continue;
        }
        println!("{}: missing (Debian: {})", package.what, package.debian.join(", "));
        match package.without {
            Some(without) if !can_install => println!("  {without}"),
            _ => missing.extend_from_slice(package.debian),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !can_install {
        bail!("install what is missing and try again; on Debian: `sudo apt-get install {names}`");
    }
    println!("installing {names}");
    Tool::new("apt-get").arg("update").arg("--quiet").run(limit)?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    let install = install
        .iter()
        .fold(Tool::new("apt-get"), |tool, argument| tool.arg(*argument));
    missing
        .iter()
        .fold(install, |tool, name| tool.arg(*name))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run(limit)
}

fn component(name: &str, probe: &str, limit: &Deadline) -> anyhow::Result<()> {
    if Tool::cargo(probe).works(limit) {
        println!("{name}: present");
        return Ok(());
    }
    println!("{name}: missing, `rustup component add {name}` brings it");
    Tool::new("rustup").arg("component").arg("add").arg(name).run(limit)
}
