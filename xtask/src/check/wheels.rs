//! Python packages of the examples, fetched in the set-up so that no test needs the network.

use std::path::PathBuf;

use super::installed::once;
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
    once("Python packages of the examples", REQUIREMENTS, &folder(), |into| {
        let pip = "-m pip download --quiet --dest";
        let tool = pip
            .split(' ')
            .fold(Tool::new("python3"), Tool::arg)
            .arg(into.as_os_str());
        tool.arg("--requirement").arg(REQUIREMENTS).run(limit)
    })
}
