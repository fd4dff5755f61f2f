//! What is said about files that are wrong. Each case is a file; the snapshots hold everything that is found in it.

use std::fmt::Write;

use kingtide_core::finding::{Finding, Findings, Place, line_and_column};
use kingtide_core::project::{self, Kind, Surroundings, load, load_bytes};

/// A job that is right, in a project that is right, with further keys of the job.
fn with(keys: &str) -> String {
    format!("[project]\nname = \"p\"\n\n[job.train]\ncommand = [\"train\", \"{{dest}}\"]\n{keys}\n")
}

fn shown(finding: &Finding, source: &str) -> String {
    let mut text = match &finding.place {
        Some(Place::Project(span)) => {
            let (line, column) = line_and_column(source, span.start);
            let pointed = source[span.clone()].lines().next().unwrap_or_default();
            format!("  {line}:{column} `{pointed}`\n    ")
        }
        Some(Place::Line { file, line }) => format!("  {file}:{line}\n    "),
        Some(Place::File { file }) => format!("  {file}\n    "),
        None => "  nowhere\n    ".to_owned(),
    };
    write!(text, "{}[{}]: {}", finding.severity, finding.code, finding.message).expect("a String takes all");
    if let Some(help) = &finding.help {
        write!(text, "\n    help: {help}").expect("a String takes all");
    }
    text
}

fn check(group: &str, cases: &[(&str, String)]) {
    let mut text = String::new();
    for (name, source) in cases {
        writeln!(text, "# {name}").expect("a String takes all");
        for finding in load(source).1.0 {
            writeln!(text, "{}", shown(&finding, source)).expect("a String takes all");
        }
    }
    insta::assert_snapshot!(group, text);
}

#[test]
fn syntax() {
    check(
        "syntax",
        &[
            (
                "two mistakes",
                "[project]\nname = p\n[job.a]\ncommand = [\"x\" \"y\"]\nretries = 1 2\n".to_owned(),
            ),
            (
                "what is read despite of one",
                "[project]\nname = \"p\"\n[job.a]\ncommand = [\"x\"\nretrys = 1\n".to_owned(),
            ),
            ("a key twice", with("retries = 1\nretries = 2")),
            ("a table twice", with("[job.train]\ncommand = [\"y\"]")),
            ("a string that never ends", with("workdir = \"models")),
            ("a mark at the start", format!("\u{feff}{}", with("retrys = 1"))),
            ("nothing", String::new()),
            ("no TOML at all", "{\"job\": 1}".to_owned()),
        ],
    );
}

#[test]
fn keys() {
    check(
        "keys",
        &[
            (
                "unknown keys",
                with("memroy = \"1GiB\"\nxyz = 1\nbackoff = { frist = \"1s\" }"),
            ),
            (
                "unknown tables",
                "[projct]\nname = \"p\"\n[jobs.a]\ncommand = [\"x\"]\n[locl]\n".to_owned(),
            ),
            ("missing", "[project]\n[job.a]\nretries = 1\n".to_owned()),
            ("no job", "[project]\nname = \"p\"\n".to_owned()),
            (
                "not yet",
                with("overlap = \"x\"\n[workflow.weekly]\n[connection.w]\n[dataset.d]"),
            ),
        ],
    );
}

#[test]
fn types() {
    check(
        "types",
        &[
            (
                "command as a text",
                with("").replace("[\"train\", \"{dest}\"]", "\"python3 train.py\""),
            ),
            ("an argument that is a number", with("").replace("\"{dest}\"", "4")),
            (
                "numbers where units belong",
                with("timeout = 90\nmemory = 2\nstop_timeout = 1.5"),
            ),
            (
                "texts where numbers belong",
                with("cpu = \"2\"\ngpus = \"1\"\nretries = true\nmax_workers = 1.5"),
            ),
            (
                "tables and lists",
                with("env = [\"A=1\"]\non_exit = \"skip\"\nbackoff = \"1s\"\nsecrets = 3\nparams = 7"),
            ),
            (
                "words",
                with("on_crash = \"retyr\"\non_exit = { 3 = \"skipp\", 4 = 4 }\ntolerate_failures = \"5\""),
            ),
            (
                "variables that are no text",
                with("env = { DEBUG = 1, WHEN = 2024-01-01, ON = true }"),
            ),
            ("jobs that are no tables", "job = 3\n[project]\nname = 3\n".to_owned()),
            (
                "a job without a name of its own",
                "[project]\nname = \"p\"\n[job]\ncommand = [\"x\"]\n".to_owned(),
            ),
            ("params", with("params = { matrx = { a = [1] } }")),
            ("a matrix of values", with("params = { matrix = { dest = \"BOS\" } }")),
            (
                "a row that is no table",
                with("params = [{ dest = \"BOS\" }, 3, { dest = nan }]"),
            ),
            (
                "a secret's file",
                with("secrets = { TOKEN = { fiel = \"x\" }, OTHER = 3 }"),
            ),
        ],
    );
}

#[test]
fn values() {
    check(
        "values",
        &[
            ("an empty command", with("").replace("\"train\", \"{dest}\"", "")),
            ("a program without a name", with("").replace("\"train\"", "\" \"")),
            (
                "a command in one word",
                with("").replace("\"train\", \"{dest}\"", "\"python3 train.py\""),
            ),
            (
                "zero",
                with("cpu = 0\nmemory = \"0\"\ntimeout = \"0s\"\nmax_duration = \"0s\"\nmax_workers = 0"),
            ),
            (
                "negative",
                with("cpu = -1\nretries = -1\ngpus = -1\ntolerate_failures = -1"),
            ),
            (
                "too much",
                with(
                    "cpu = 1e300\nretries = 99999999999\nmemory = \"99999EB\"\ntimeout = \"999y\"\ngpus = 0xfffffffff",
                ),
            ),
            ("infinite", with("cpu = inf\nbackoff = { factor = nan }")),
            (
                "no quantities",
                with("timeout = \"soon\"\nmemory = \"much\"\nstop_timeout = \"10\""),
            ),
            ("memory_max", with("memory = \"2GiB\"\nmemory_max = \"1GiB\"")),
            ("memory_max alone", with("memory_max = \"1GiB\"")),
            (
                "exit codes",
                with(
                    "on_exit = { 0 = \"skip\", 256 = \"skip\", -1 = \"skip\", x = \"skip\", 03 = \"skip\", 3 = \"skip\" }",
                ),
            ),
            ("shares", with("tolerate_failures = \"101%\"")),
            ("no share", with("tolerate_failures = \"-5%\"")),
            (
                "backoff",
                with("backoff = { first = \"10m\", factor = 0.5, jitter = 2 }"),
            ),
            (
                "the log",
                format!("{}[local]\nlog_limit = \"1B\"\nmemory = \"1\"\n", with("")),
            ),
        ],
    );
}

#[test]
fn names() {
    let job = |name: &str| format!("[project]\nname = \"p\"\n[job.\"{name}\"]\ncommand = [\"x\"]\n");
    check(
        "names",
        &[
            ("spaces", job("my job")),
            ("empty", job("")),
            ("a dash first", job("-a")),
            ("long", job(&"a".repeat(41))),
            ("not ASCII", job("größe")),
            ("a path", job("../a")),
            ("a word of ours", job("last")),
            ("a number", job("12")),
            (
                "a run of another",
                format!("{}[job.train-2]\ncommand = [\"x\"]\n", with("")),
            ),
            ("the project", job("a").replace("\"p\"", "\"a b\"")),
            (
                "variables",
                with("env = { \"A-B\" = \"\", 1A = \"\", KINGTIDE_X = \"\", \"\" = \"\", ok_1 = \"\" }"),
            ),
            (
                "secrets",
                with("env = { TOKEN = \"x\" }\nsecrets = [\"TOKEN\", \"B\", \"B\", \"a b\", \"KINGTIDE_RUN\"]"),
            ),
            (
                "paths",
                with("workdir = \"~/models\"\npython = \"3.12\"\nparams = \"$HOME/p.csv\""),
            ),
            (
                "paths without a name",
                with("workdir = \"\"\npython = \" \"\nparams = \"\""),
            ),
            ("a path with a parameter", with("workdir = \"models/{dest}\"")),
            ("kinds of files", with("params = \"rows.parquet\"")),
            (
                "zero bytes",
                with("workdir = \"a\\u0000\"\nenv = { A = \"\\u0000\" }").replace("\"train\"", "\"a\\u0000\""),
            ),
        ],
    );
}

#[test]
fn placeholders() {
    let command = |command: &str| with("").replace("[\"train\", \"{dest}\"]", command);
    check(
        "placeholders",
        &[
            ("no placeholders", command("[\"awk\", \"{print $1}\"]")),
            ("never closed", command("[\"x\", \"{dest\"]")),
            ("never opened", with("env = { A = \"dest}\" }")),
            ("a shell", command("[\"sh\", \"-c\", \"train {dest} {depth}\"]")),
            (
                "a shell further back",
                command("[\"timeout\", \"5\", \"/bin/bash\", \"-euo\", \"pipefail\", \"-lc\", \"train {dest}\"]"),
            ),
            (
                "a shell's argument",
                command("[\"sh\", \"-c\", \"train \\\"$1\\\"\", \"sh\", \"{dest}\"]"),
            ),
            (
                "a shell that reads a file",
                command("[\"bash\", \"train.sh\", \"{dest}\"]"),
            ),
        ],
    );
}

#[test]
fn rows_in_the_file() {
    check(
        "rows_in_the_file",
        &[
            ("no rows", with("params = []")),
            ("an empty list", with("params = { matrix = { dest = [] } }")),
            ("no list", with("params = { matrix = {} }")),
            ("a column of ours", with("params = [{ dest = \"BOS\", task = 1 }]")),
            (
                "a placeholder that nothing fills",
                with("params = { matrix = { des = [\"BOS\"], depth = [4] } }"),
            ),
            (
                "a row that lacks one",
                with("params = [{ dest = \"BOS\" }, { depth = 4 }]"),
            ),
            (
                "rows twice",
                with("params = [{ dest = \"BOS\" }, { dest = \"LAX\" }, { dest = \"BOS\" }]"),
            ),
            (
                "values twice",
                with("params = { matrix = { dest = [\"BOS\", \"LAX\", \"BOS\"] } }"),
            ),
            (
                "too many",
                with(&format!("params = {{ matrix = {{ dest = [1,2], {} }} }}", many_lists())),
            ),
            (
                "a number beyond 64 bits",
                with("params = [{ dest = 99999999999999999999 }]"),
            ),
        ],
    );
}

fn many_lists() -> String {
    (0..70)
        .map(|index| format!("a{index} = [1, 2]"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn bytes_that_are_no_text() {
    let mut text = String::new();
    let wide: Vec<u8> = "\u{feff}[project]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&b"[project]\nname = \"\xe4\xf6\"\n# \xff\n"[..], &wide] {
        let (project, findings) = load_bytes(bytes);
        assert_eq!(project, None);
        let source = String::from_utf8_lossy(bytes);
        for finding in &findings.0 {
            writeln!(text, "{}", shown(finding, &source)).expect("a String takes all");
        }
    }
    insta::assert_snapshot!("bytes", text);
}

const LARGE: &str = r#"
[project]
name = "p"

[job.large]
command = ["missing", "x"]
workdir = "models"
python = ""
cpu = 8
memory = "64GiB"
memory_max = "128GiB"
gpus = 1
"#;

const NEEDY: &str = r#"
[project]
name = "p"

[job.absent]
command = ["./absent.py"]
workdir = "models"
params = "absent.csv"

[job.file]
command = ["./train.py"]
python = "requirements.txt"
secrets = { TOKEN = { file = "token" }, KEY = {} }

[job.folder]
command = ["models/"]
workdir = "train.py"
params = "models.csv"

[job.missing]
command = ["train.py"]
secrets = ["UNSET", "SET"]

[job.beyond]
command = ["{program}"]
cpu = 8
memory = "128GiB"
gpus = 1

[job.growing]
command = ["true"]
memory = "1GiB"
memory_max = "128GiB"

[job.fine]
command = ["true"]
env = { PATH = "/opt" }

[local]
gpus = 0
memory = "99GiB"
"#;

#[test]
fn what_the_machine_lacks() {
    let source = NEEDY;
    let (project, findings) = load(source);
    assert_eq!(findings, Findings::default());
    let project = project.expect("no findings");
    let here = Surroundings {
        paths: [
            ("train.py", Kind::File),
            ("models", Kind::Folder),
            ("models/", Kind::Folder),
            ("models.csv", Kind::Folder),
        ]
        .map(|(path, kind)| (path.to_owned(), kind))
        .into(),
        programs: ["true".to_owned()].into(),
        variables: ["SET".to_owned()].into(),
        cpu_milli: 4000,
        memory: 16 << 30,
        gpus: 2,
        ..Surroundings::default()
    };
    let mut text = format!("{:#?}\n", project::wanted(&project));
    for finding in project::check_surroundings(source, &project, &here).0 {
        writeln!(text, "{}", shown(&finding, source)).expect("a String takes all");
    }
    insta::assert_snapshot!("surroundings", text);
}

#[test]
fn what_is_wrong_in_itself_is_not_asked_of_the_machine() {
    let (project, findings) = load(LARGE);
    assert_eq!(project, None);
    assert_eq!(
        findings.0.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["bad-path"]
    );
}
