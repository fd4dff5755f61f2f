//! A project in a temporary folder, run by the real binary in an environment of its own: nothing of the user's home, cache
//! or variables is seen, and whatever is left running is killed when the test lets go of it, the keeper included.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::processes::kill_processes_of;
use crate::redactor::Redactor;
use crate::running::Running;
use crate::terminal::Terminal;

/// Set to keep the folders of tests for a look at them.
const KEEP: &str = "KINGTIDE_TEST_KEEP";

/// A project to try things with. Below its temporary folder: `project`, `home`, `cache`.
pub struct TestProject {
    binary: PathBuf,
    /// Gone with the project, unless it is kept.
    folder: Option<TempDir>,
    root: PathBuf,
    env: BTreeMap<OsString, OsString>,
}

/// How a program ended and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// 128 + the signal when one ended it, as shells have it.
    pub code: i32,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl TestProject {
    /// A folder without a file yet. The binary is `env!("CARGO_BIN_EXE_kingtide")` in the tests of the command line.
    pub fn new(binary: impl Into<PathBuf>) -> TestProject {
        // Short, for the sockets below it: their paths may have 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("kt-")
            .tempdir()
            .expect("a temporary folder");
        let root = folder.path().canonicalize().expect("it exists");
        for name in ["project", "home", "cache"] {
            std::fs::create_dir(root.join(name)).expect("the folder is writable");
        }
        let mut env = BTreeMap::new();
        // Shared libraries and coverage of the binary under test, and where the system's programs are.
        for name in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE", "TMPDIR"] {
            env.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        env.insert("HOME".into(), root.join("home").into());
        env.insert("XDG_CACHE_HOME".into(), root.join("cache").into());
        env.insert("LANG".into(), "C.UTF-8".into());
        env.insert("COLUMNS".into(), "100".into());
        TestProject {
            binary: binary.into(),
            folder: Some(folder),
            root,
            env,
        }
    }

    /// With `kingtide.toml`.
    #[must_use]
    pub fn toml(self, text: &str) -> TestProject {
        self.file("kingtide.toml", text)
    }

    /// With a file, its folders included.
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> TestProject {
        self.write(path, contents);
        self
    }

    /// With an executable file; the text begins with `#!`.
    #[must_use]
    pub fn program(self, path: &str, text: &str) -> TestProject {
        self.write(path, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path().join(path), mode).expect("the file is ours");
        self
    }

    /// With a variable for every command.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> TestProject {
        self.env.insert(name.into(), value.into());
        self
    }

    /// With what pip and uv need to reach their package index the way this machine does it: proxies, certificates,
    /// configuration, and their caches, so that packages are fetched once.
    #[must_use]
    pub fn package_index(mut self) -> TestProject {
        for (name, value) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            let known = [
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "NO_PROXY",
                "ALL_PROXY",
                "SSL_CERT_FILE",
                "SSL_CERT_DIR",
            ];
            let ours = known.contains(&upper.as_str()) || upper == "REQUESTS_CA_BUNDLE";
            if ours || upper.starts_with("PIP_") || upper.starts_with("UV_") {
                self.env.insert(name, value);
            }
        }
        if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
            let places = [
                ("PIP_CONFIG_FILE", home.join(".config/pip/pip.conf")),
                ("PIP_CONFIG_FILE", home.join(".pip/pip.conf")),
                ("UV_CONFIG_FILE", home.join(".config/uv/uv.toml")),
            ];
            for (name, place) in places.into_iter().filter(|(_, place)| place.exists()) {
                self.env.entry(name.into()).or_insert_with(|| place.into());
            }
            self.env
                .entry("PIP_CACHE_DIR".into())
                .or_insert_with(|| cache.join("pip").into());
            self.env
                .entry("UV_CACHE_DIR".into())
                .or_insert_with(|| cache.join("uv").into());
        }
        self
    }

    /// The project's folder.
    pub fn path(&self) -> PathBuf {
        self.root.join("project")
    }

    /// The folder above it, which also holds home and cache; every process of this project has it in its environment.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user's cache of this project.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Writes a file in the project's folder, its folders included.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is writable");
        std::fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The text of a file of the project.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether the project has this file or folder.
    pub fn exists(&self, path: &str) -> bool {
        self.path().join(path).exists()
    }

    /// The binary with these arguments, to be changed further before it is started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env_clear().envs(&self.env).current_dir(self.path());
        command
    }

    /// Runs the binary to its end; two minutes at most.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        self.spawn(args).wait()
    }

    /// Starts the binary.
    #[track_caller]
    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Starts the binary in a terminal of its own.
    #[track_caller]
    pub fn terminal(&self, args: &[&str], columns: u16, rows: u16) -> Terminal {
        Terminal::start(&self.command(args), columns, rows)
    }

    /// Replaces what differs from run to run, this project's paths included.
    pub fn redactor(&self) -> Redactor {
        Redactor::new()
            .replace(&self.path().to_string_lossy(), "[PROJECT]")
            .replace(&self.cache().to_string_lossy(), "[CACHE]")
            .replace(&self.root.to_string_lossy(), "[ROOT]")
            .replace(&self.binary.to_string_lossy(), "[KINGTIDE]")
    }
}

impl Drop for TestProject {
    fn drop(&mut self) {
        let all_gone = kill_processes_of(&self.root);
        if let Some(folder) = self.folder.take() {
            if std::env::var_os(KEEP).is_some() {
                eprintln!("kept: {}", folder.keep().display());
            } else {
                // A folder that a test made unwritable stays; the system clears it away.
                let _ = folder.close();
            }
        }
        // A second panic would hide the first.
        if !all_gone && !std::thread::panicking() {
            panic!("processes of {} could not be killed", self.root.display());
        }
    }
}

impl Output {
    pub(crate) fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Output {
        let signal = status.signal();
        Output {
            code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
            signal,
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        }
    }

    /// Panics with everything it wrote unless it ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Output {
        assert!(self.code == code, "expected exit code {code}:\n{}", self.text());
        self
    }

    /// Code and both streams as one text for a snapshot.
    pub fn text(&self) -> String {
        format!(
            "exit code: {}\n── stdout ──\n{}── stderr ──\n{}",
            self.code,
            closed(&self.stdout),
            closed(&self.stderr)
        )
    }
}

/// With a newline at its end, unless it is empty.
fn closed(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::{PATIENCE, eventually};
    use crate::processes::{assert_no_process_left, processes_of};

    #[test]
    fn the_environment_is_the_projects_own() {
        let project = TestProject::new("sh").file("deep/a.csv", "dest\nBOS\n").env("OWN", "1");
        let output = project.run(&[
            "-c",
            "cat deep/a.csv; echo $HOME $XDG_CACHE_HOME $OWN; env | grep -c ^CARGO; pwd",
        ]);
        let redacted = project.redactor().redact(&output.text());
        let expected = "\
exit code: 0
── stdout ──
dest
BOS
[ROOT]/home [CACHE] 1
0
[PROJECT]
── stderr ──
";
        assert_eq!(redacted, expected);
        assert!(project.exists("deep"));
        assert_eq!(project.read("deep/a.csv"), "dest\nBOS\n");
    }

    #[test]
    fn programs_can_be_run() {
        let project = TestProject::new("sh").program("bin/hello", "#!/bin/sh\necho hello; exit 3\n");
        let output = project.run(&["-c", "exec bin/hello"]).expect_code(3);
        assert_eq!(output.stdout, "hello\n");
    }

    #[test]
    #[should_panic(expected = "expected exit code 0:\nexit code: 3\n── stdout ──\n── stderr ──\noops\n")]
    fn another_code_shows_what_was_written() {
        TestProject::new("sh")
            .run(&["-c", "printf oops >&2; exit 3"])
            .expect_code(0);
    }

    #[test]
    fn nothing_outlives_the_project() {
        let project = TestProject::new("bash");
        // It flees as a daemon does, twice, and changes its folder.
        let flee = "cd /; setsid bash -c 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo fled' 2>/dev/null";
        let mut running = project.spawn(&["-c", flee]);
        running.wait_for_line("fled");
        assert_eq!(running.wait().code, 0);
        let root = project.root().to_owned();
        eventually("the sleeper is seen", PATIENCE, || {
            (processes_of(&root).len() == 1).then_some(())
        });
        drop(project);
        assert!(!root.exists());
        assert_no_process_left(&root);
    }
}
