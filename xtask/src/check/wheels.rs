//! Python packages of the examples, fetched in the set-up so that no test needs the network.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::suite::{Deadline, Tool};

/// Where tests are told to find them; pip is given the folder and no index.
pub(crate) const VARIABLE: &str = "KINGTIDE_TEST_WHEELS";
const REQUIREMENTS: &str = "examples/flight-delays/requirements.txt";

/// In the user's cache.
pub(crate) fn folder() -> PathBuf {
    let named = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("kingtide/test-wheels")
}

/// Fetches what is missing, and nothing when the requirements are those of the last time.
pub(crate) fn fetch(limit: &Deadline) -> anyhow::Result<()> {
    let folder = folder();
    let wanted = fs::read(REQUIREMENTS).with_context(|| format!("failed to read `{REQUIREMENTS}`"))?;
    let fetched = folder.join("requirements.txt");
    if fs::read(&fetched).is_ok_and(|found| found == wanted) {
        println!("Python packages of the examples: present");
        return Ok(());
    }
    println!("Python packages of the examples: fetched");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    let arguments: [OsString; 8] = [
        "-m".into(),
        "pip".into(),
        "download".into(),
        "--quiet".into(),
        "--dest".into(),
        folder.into(),
        "--requirement".into(),
        REQUIREMENTS.into(),
    ];
    arguments.into_iter().fold(Tool::new("python3"), Tool::arg).run(limit)?;
    fs::write(&fetched, wanted).with_context(|| format!("failed to write `{}`", fetched.display()))
}
