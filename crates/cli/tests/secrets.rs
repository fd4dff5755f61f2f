//! What is named a secret reaches the program and nothing else: no log, no line of the terminal, no answer of a verb, no
//! byte below `.kingtide`.

use std::path::Path;

use kingtide_testkit::TestProject;

const TOKEN: &str = "tok-8f3b1c77aa";
const PASSWORD: &str = "p4ss w0rd+with/odd=chars";

/// The files below a folder that hold these bytes.
fn holders(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(holders(&path, needle));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn secrets_are_told_to_the_program_only() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(
            r#"
[project]
name = "secrets"

[job.it]
command = ["./program"]
secrets = { TOKEN = {}, PASSWORD = { file = "password.txt" } }
retries = 1
backoff = { first = "10ms" }
"#,
        )
        .file("password.txt", format!("{PASSWORD}\n"))
        .program(
            "program",
            r#"#!/bin/sh
printf '%s %s' "$TOKEN" "$PASSWORD" > told
echo "token is $TOKEN"; echo "password is $PASSWORD" >&2
printf 'in two '; printf '%.6s' "$TOKEN"; sleep 0.1; printf '%s\n' "${TOKEN#??????}"
printf '{"token":"%s","note":"uses %s"}' "$TOKEN" "$PASSWORD" > "$KINGTIDE_RESULT"
test -e fine
"#,
        )
        .env("TOKEN", TOKEN);
    let mut said = String::new();
    said += &project.run(&["run", "it"]).expect_code(4).text();
    assert_eq!(project.read("told"), format!("{TOKEN} {PASSWORD}"));
    assert!(
        said.contains("token is ***") || said.contains("token is [") || said.contains("token is <"),
        "{said}"
    );
    project.write("fine", "");
    said += &project.run(&["run", "it"]).expect_code(0).text();
    for verb in [
        "status", "explain", "logs", "results", "history", "check", "doctor", "outputs",
    ] {
        said += &project.run(&[verb]).text();
        said += &project.run(&[verb, "--json"]).text();
    }
    said += &project.run(&["logs", "it-1"]).text();
    said += &project.run(&["explain", "it-1", "1"]).text();
    for secret in [TOKEN, PASSWORD] {
        assert!(!said.contains(secret), "{secret} is in what was said:\n{said}");
        assert_eq!(holders(&project.path().join(".kingtide"), secret), [""; 0], "{secret}");
    }
}
