//! Whole environments, made offline from local packages whose build backend is a file of their own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::interpreter::on_path;
use super::*;

/// A build backend of the standard library alone; compiles `fast.c` where there is one.
const BACKEND: &str = r#"
import os, platform, subprocess, sys, sysconfig, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    files = {"here.py": open("here.py").read()}
    tag = "py3-none-any"
    if os.path.exists("fast.c"):
        name = "fast" + sysconfig.get_config_var("EXT_SUFFIX")
        subprocess.check_call(["cc", "-shared", "-fPIC", "-I", sysconfig.get_paths()["include"], "fast.c", "-o", name])
        files[name] = open(name, "rb").read()
        os.remove(name)
        cp = "cp%d%d" % sys.version_info[:2]
        tag = "%s-%s-linux_%s" % (cp, cp, platform.machine())
    info = "here-1.0.dist-info/"
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: here\nVersion: 1.0\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: %s\n" % tag
    files[info + "entry_points.txt"] = "[console_scripts]\nhere = here:main\n"
    files[info + "RECORD"] = "".join("%s,,\n" % file for file in list(files) + [info + "RECORD"])
    wheel = "here-1.0-%s.whl" % tag
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return wheel
"#;
const EXTENSION: &str = r#"
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"#;

struct Fixture {
    folder: tempfile::TempDir,
    search_path: OsString,
}

impl Fixture {
    /// `None`, with a word about it, where this machine has no Python to test with.
    fn new() -> Option<Fixture> {
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let Some(python) = on_path("python3", &search_path) else {
            eprintln!("skipped: no python3 on PATH");
            return None;
        };
        let has_venv = Command::new(&python).args(["-c", "import venv, ensurepip"]).output();
        if !has_venv.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: {} has no venv", python.display());
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).expect("a folder");
        // A stand-in that counts how often Python is started, and keeps uv out of it.
        let calls = folder.path().join("calls");
        let script = format!(
            "#!/bin/sh\necho call >> '{}'\nexec '{}' \"$@\"\n",
            calls.display(),
            python.display()
        );
        fs::write(tools.join("python3"), script).expect("written");
        fs::set_permissions(tools.join("python3"), fs::Permissions::from_mode(0o755)).expect("made executable");
        let fixture = Fixture {
            folder,
            search_path: tools.into_os_string(),
        };
        fixture.write("pkg/backend.py", BACKEND);
        fixture.write("pkg/here.py", "place = 'first'\ndef main(): print(place)\n");
        fixture.write(
            "pkg/pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
        );
        fixture.write("requirements.txt", "--no-index\n./pkg  # relative to this file\n");
        Some(fixture)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("written");
        path
    }

    /// Long and with a space, as a user's cache may be.
    fn cache(&self) -> PathBuf {
        self.folder.path().join(format!("a cache {}", "long".repeat(30)))
    }

    fn ensure(&self) -> (Result<Environment, PythonError>, Vec<String>) {
        let mut said = Vec::new();
        let requirements = self.folder.path().join("requirements.txt");
        let made = ensure_with(&requirements, &self.cache(), &self.search_path, &mut |line| {
            said.push(line)
        });
        (made, said)
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.folder.path().join("calls")).map_or(0, |text| text.lines().count())
    }
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn an_environment_is_made_once_and_again_when_what_it_is_made_from_changes() {
    let Some(fixture) = Fixture::new() else { return };
    let (made, said) = fixture.ensure();
    let environment = made.expect("it is made");
    assert!(
        said.iter()
            .any(|line| line.contains("making an environment for requirements.txt")),
        "{said:?}"
    );
    // The script's path is longer than a kernel's first line may be, and has spaces.
    assert_eq!(output(&environment.bin.join("here"), &[]), "first");
    assert_eq!(environment.variables()[0].1, environment.root.display().to_string());
    assert!(environment.path(Some("/bin")).ends_with("/bin:/bin"));

    let calls = fixture.calls();
    let started = Instant::now();
    let (again, said) = fixture.ensure();
    eprintln!("the second run took {:?}", started.elapsed());
    assert_eq!(again.expect("still there"), environment);
    assert_eq!(
        (said, fixture.calls()),
        (vec![], calls),
        "the second run starts no process and says nothing"
    );

    // A power cut before the marker: what lies there is removed and built again.
    fs::remove_file(environment.root.join(COMPLETE)).expect("there is a marker");
    fs::write(environment.root.join("half"), "").expect("written");
    assert_eq!(fixture.ensure().0.expect("built again"), environment);
    assert!(!environment.root.join("half").exists());

    fixture.write("pkg/here.py", "place = 'second'\ndef main(): print(place)\n");
    let other = fixture.ensure().0.expect("another is made");
    assert_ne!(other, environment);
    assert_eq!(output(&other.bin.join("here"), &[]), "second");

    // One is a week old, the other was used just now.
    let used = fs::File::options()
        .append(true)
        .open(environment.root.join(USED))
        .expect("it was used");
    used.set_modified(SystemTime::now() - Duration::from_secs(7 * 86_400))
        .expect("its time is set");
    let aged = Duration::from_secs(6 * 86_400);
    let seen = prune(&fixture.cache(), aged, Prune::Look).expect("looked at");
    assert!(environment.root.exists(), "a look removes nothing");
    let pruned = prune(&fixture.cache(), aged, Prune::Remove).expect("pruned");
    assert_eq!(pruned, seen);
    assert_eq!(pruned.environments, 1);
    assert!(pruned.bytes > 0);
    assert!(!environment.root.exists() && other.root.exists());
}

#[test]
fn two_at_once_build_it_once() {
    let Some(fixture) = Fixture::new() else { return };
    let said = Mutex::new(Vec::new());
    let made: Vec<Environment> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (made, lines) = fixture.ensure();
                    said.lock().expect("no one panicked").extend(lines);
                    made.expect("made by either")
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect()
    });
    assert_eq!(made[0], made[1]);
    let said = said.into_inner().expect("no one panicked");
    assert_eq!(
        said.iter()
            .filter(|line| line.starts_with("making an environment"))
            .count(),
        1,
        "{said:?}"
    );
}

#[test]
fn a_c_extension_is_compiled() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.write("pkg/fast.c", EXTENSION);
    let mut environment = fixture.ensure().0;
    if let Err(PythonError::Build(failure)) = &environment {
        let no_compiler = on_path("cc", &std::env::var_os("PATH").unwrap_or_default()).is_none();
        if no_compiler || failure.cause == Cause::NoPythonHeaders {
            eprintln!("skipped: nothing can be compiled here: {failure}");
            return;
        }
    }
    // `cc` is found through this process's own PATH, which pip inherits.
    let environment = environment.as_mut().expect("it is compiled");
    assert_eq!(
        output(
            &environment.bin.join("python"),
            &["-c", "import fast; print(fast.answer())"]
        ),
        "42"
    );
}

#[test]
fn a_failure_is_explained_and_leaves_only_its_log() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.write(
        "requirements.txt",
        "--no-index\n--extra-index-url https://user:hidden@localhost:1/\nnosuch==1\n",
    );
    let (made, said) = fixture.ensure();
    let error = made.expect_err("there is no such package");
    let PythonError::Build(failure) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        failure.cause,
        Cause::NotFound {
            package: Some("nosuch==1".into())
        }
    );
    assert!(
        error.help().contains("`nosuch==1` in requirements.txt"),
        "{}",
        error.help()
    );
    let log = fs::read_to_string(&failure.log).expect("the log is there");
    assert!(log.contains("No matching distribution"), "{log}");
    let shown = format!("{error} {log} {said:?}");
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(!failure.log.with_extension("").exists());
}

#[test]
fn the_same_with_uv() {
    let Some(mut fixture) = Fixture::new() else { return };
    let Some(uv) = on_path("uv", &std::env::var_os("PATH").unwrap_or_default()) else {
        eprintln!("skipped: no uv on PATH");
        return;
    };
    let tools = PathBuf::from(&fixture.search_path);
    std::os::unix::fs::symlink(uv, tools.join("uv")).expect("linked");
    let (made, said) = fixture.ensure();
    let environment = made.expect("it is made");
    assert!(said[0].ends_with("and uv; this happens once"), "{said:?}");
    assert_eq!(output(&environment.bin.join("here"), &[]), "first");
    let calls = fixture.calls();
    assert_eq!(fixture.ensure().0.expect("still there"), environment);
    assert_eq!(fixture.calls(), calls);

    // A stand-in behind which there is no uv: pip does it.
    fs::remove_file(tools.join("uv")).expect("linked before");
    fixture.write("tools/uv", "#!/bin/sh\nexit 127\n");
    fs::set_permissions(tools.join("uv"), fs::Permissions::from_mode(0o755)).expect("made executable");
    fixture.search_path = tools.into_os_string();
    let (made, said) = fixture.ensure();
    assert_ne!(made.expect("it is made"), environment);
    assert!(said[0].ends_with("and pip; this happens once"), "{said:?}");
}
