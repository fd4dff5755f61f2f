//! Pages as a reader sees them: every path, what is refused, and bounds. `metrics.rs` reads the figures, `listener.rs` asks over
//! a connection.

mod listener;
mod metrics;

use kingtide_core::time::Timestamp;
use serde_json::Value;

use super::*;
use crate::view::sample;

/// After everything that the sample holds.
const NOW: Timestamp = Timestamp(300_000);

struct House {
    folder: tempfile::TempDir,
    site: Site,
}

impl House {
    fn new() -> House {
        let folder = sample::project();
        let text = "[project]\nname = \"p\"\n[job.score]\ncommand = [\"true\", \"{n}\"]\n[job.\"new\"]\ncommand = [\"true\"]\n";
        let (project, findings) = kingtide_core::project::load(text);
        let jobs = project.unwrap_or_else(|| panic!("{findings:?}")).jobs;
        let site = Site::new("p", &jobs, &Layout::new(folder.path()));
        House { folder, site }
    }

    fn write(&self, sql: &str) {
        let rows = rusqlite::Connection::open(Layout::new(self.folder.path()).database()).expect("a writer");
        rows.execute_batch(sql).expect("SQL");
    }

    fn look(&self, url: &str) -> Reply {
        let database = Database::open(self.folder.path()).expect("opens");
        let (path, query) = url
            .split_once('?')
            .map_or((url, None), |(path, query)| (path, Some(query)));
        self.site.respond(path, query, &database, NOW)
    }

    #[track_caller]
    fn json(&self, url: &str) -> Value {
        let reply = self.look(url);
        assert_eq!((reply.status, reply.content_type), (200, JSON), "{}", reply.body);
        serde_json::from_str(&reply.body).expect("JSON")
    }

    /// Status and words.
    fn refused(&self, url: &str) -> (u16, String) {
        let reply = self.look(url);
        let value: Value = serde_json::from_str(&reply.body).expect("errors are JSON too");
        (reply.status, value["error"].as_str().unwrap_or_default().to_owned())
    }
}

fn numbers(value: &Value, list: &str, of: &str) -> Vec<i64> {
    let list = value[list].as_array().expect("a list").iter();
    list.map(|row| row[of].as_i64().expect("a number")).collect()
}

#[test]
fn every_path_that_is_listed_answers() {
    let house = House::new();
    let listed = house.json("/");
    for path in listed["paths"].as_array().expect("a list") {
        let path = path.as_str().expect("text");
        let path = path.replace("RUN", "2").replace("SEQ", "1").replace("NAME", "score");
        assert_eq!(house.look(&path).status, 200, "{path}");
        assert_eq!(house.look(&format!("{path}/")).status, 200, "{path}/");
        let (status, words) = house.refused(&format!("{path}?colour=red"));
        assert_eq!(
            (status, words.as_str()),
            (400, "this path knows no parameter `colour`"),
            "{path}"
        );
    }
    assert_eq!(house.json("/healthz")["status"], "ok");
}

#[test]
fn runs_come_newest_first_in_pages() {
    let house = House::new();
    let page = house.json("/api/v1/runs?limit=1");
    assert_eq!((numbers(&page, "runs", "run"), &page["next"]), (vec![2], &2.into()));
    assert_eq!(page["runs"][0]["name"], "score-2");
    let page = house.json("/api/v1/runs?limit=1&after=2");
    assert_eq!((numbers(&page, "runs", "run"), &page["next"]), (vec![1], &Value::Null));
    assert_eq!(numbers(&house.json("/api/v1/runs?state=open"), "runs", "run"), [2]);
    assert_eq!(numbers(&house.json("/api/v1/runs?job=retrain"), "runs", "run"), [1]);
    assert!(numbers(&house.json("/api/v1/runs?job=nobody"), "runs", "run").is_empty());
}

#[test]
fn a_run_tells_how_it_stands_and_what_it_cost() {
    let house = House::new();
    let run = house.json("/api/v1/runs/retrain-1");
    assert_eq!((&run["state"], &run["tasks"]["failed"]), (&"failed".into(), &1.into()));
    assert_eq!(
        (&run["usage"]["cpu_s"], &run["usage"]["attempts"]),
        (&60.0.into(), &8.into())
    );
    assert_eq!((&run["outputs"]["bytes"], &run["results"]), (&3000.into(), &2.into()));
    assert_eq!(run["reasons"][0]["reason"], "exit code 1");
    let standing = house.json("/api/v1/runs/2")["standing"].clone();
    assert_eq!(
        standing,
        serde_json::json!({ "running": 1, "leased": 1, "delayed": 1, "waiting": 3 })
    );
    for unknown in [
        "/api/v1/runs/77",
        "/api/v1/runs/score-1",
        "/api/v1/runs/last",
        "/api/v1/runs/9e9",
    ] {
        assert_eq!(house.refused(unknown).0, 404, "{unknown}");
    }
}

#[test]
fn tasks_come_in_their_order_with_their_attempts() {
    let house = House::new();
    let page = house.json("/api/v1/runs/1/tasks?limit=4");
    assert_eq!(
        (numbers(&page, "tasks", "task"), &page["next"]),
        (vec![1, 2, 3, 4], &4.into())
    );
    let page = house.json("/api/v1/runs/1/tasks?after=4");
    assert_eq!(
        (numbers(&page, "tasks", "task"), &page["next"]),
        (vec![5, 6], &Value::Null)
    );
    let some = house.json("/api/v1/runs/1/tasks?state=failed,skipped");
    assert_eq!(numbers(&some, "tasks", "task"), [2, 3]);
    assert_eq!(some["tasks"][0]["params"]["dest"], "LAX");
    let task = house.json("/api/v1/runs/1/tasks/4");
    assert_eq!(numbers(&task, "ended_attempts", "attempt"), [1, 2]);
    assert_eq!(task["result"][1]["mae"], 10.0);
    assert_eq!(
        house.refused("/api/v1/runs/1/tasks/7"),
        (404, "retrain-1 has no task `7`".to_owned())
    );
}

#[test]
fn large_messages_end_a_page() {
    let house = House::new();
    house.write(
        "INSERT INTO message (run, seq, body)
             WITH RECURSIVE n(i) AS (SELECT 7 UNION ALL SELECT i + 1 FROM n WHERE i < 16)
             SELECT 2, i, '{\"x\":\"' || hex(zeroblob(500000)) || '\"}' FROM n;
         INSERT INTO task (run, seq, state, key)
             WITH RECURSIVE n(i) AS (SELECT 7 UNION ALL SELECT i + 1 FROM n WHERE i < 16)
             SELECT 2, i, 'waiting', 0 FROM n;",
    );
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = house.json(&format!("/api/v1/runs/2/tasks?limit=1000&after={after}"));
        seen.extend(numbers(&page, "tasks", "task"));
        assert!(page.to_string().len() < 5 << 20, "it is bounded");
        match page["next"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(seen, (1..=16).collect::<Vec<i64>>());
}

#[test]
fn queues_and_what_lies_in_them() {
    let house = House::new();
    let page = house.json("/api/v1/queues?limit=3");
    let names: Vec<&str> = page["queues"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|queue| queue["queue"].as_str().expect("text"))
        .collect();
    assert_eq!(
        (names, &page["next"]),
        (vec!["new", "new-dlq", "score"], &"score".into())
    );
    assert_eq!(
        house.json("/api/v1/queues?after=score")["queues"][0]["queue"],
        "score-dlq"
    );
    let queue = house.json("/api/v1/queues/score");
    assert_eq!(
        (&queue["visible"], &queue["in_flight"], &queue["dead_letters"]),
        (&4.into(), &2.into(), &"score-dlq".into())
    );
    let page = house.json("/api/v1/queues/score/letters?limit=2");
    assert_eq!(
        (&page["letters"][1]["id"], &page["next"]),
        (&"2-2".into(), &"2-2".into())
    );
    let page = house.json("/api/v1/queues/score/letters?after=2-5");
    assert_eq!(
        (&page["letters"][0]["body"], &page["next"]),
        (&r#"{"n":6}"#.into(), &Value::Null)
    );
    assert_eq!(
        house.refused("/api/v1/queues/nobody"),
        (404, "there is no queue `nobody`".to_owned())
    );
    assert_eq!(house.refused("/api/v1/queues/nobody/letters").0, 404);
}

#[test]
fn usage_of_runs_and_of_the_machine() {
    let house = House::new();
    let usage = house.json("/api/v1/usage?limit=1");
    assert_eq!((numbers(&usage, "runs", "run"), &usage["next"]), (vec![2], &2.into()));
    for figure in ["cpu", "memory", "memory_available", "disk", "disk_available"] {
        assert!(
            usage["machine"][figure].as_f64().is_some_and(|of| of > 0.0),
            "{figure}: {usage}"
        );
    }
    for figure in ["memory", "database_bytes"] {
        assert!(
            usage["kingtide"][figure].as_u64().is_some_and(|of| of > 0),
            "{figure}: {usage}"
        );
    }
    let run = &house.json("/api/v1/usage?job=retrain")["runs"][0];
    assert_eq!(
        (&run["memory_peak"], &run["output_bytes"]),
        (&(2_u64 << 30).into(), &3000.into())
    );
}

#[test]
fn what_is_not_understood_is_said() {
    let house = House::new();
    for (url, words) in [
        ("/api/v1/runs?limit=0", "`limit=0` is not between 1 and 1000"),
        ("/api/v1/runs?limit=1001", "`limit=1001` is not between 1 and 1000"),
        ("/api/v1/runs?limit=all", "`limit=all` is not a number of rows"),
        (
            "/api/v1/runs?state=ajar",
            "`state=ajar` is none of open, succeeded, failed, cancelled",
        ),
        ("/api/v1/runs?job=a&job=b", "`job` is given twice"),
        ("/api/v1/runs?job=%ff", "the query is not UTF-8"),
        ("/api/v1/runs/%ff", "the path is not UTF-8"),
        ("/api/v1/runs/1/tasks?after=x", "`after=x` is not the number of a task"),
        (
            "/api/v1/queues/score/letters?after=1-2-3",
            "`after=1-2-3` is not the id of a message, such as `12` or `3-17`",
        ),
    ] {
        assert_eq!(house.refused(url), (400, words.to_owned()), "{url}");
    }
    for url in [
        "/api/v2",
        "/api/v1/run",
        "/metric",
        "/../etc/passwd",
        "/api/v1/runs/1/tasks/2/attempts",
    ] {
        assert_eq!(house.refused(url).0, 404, "{url}");
    }
    // An escape is what it stands for.
    assert_eq!(
        house.json("/%61pi/v1/runs?job=retrain%20")["runs"],
        serde_json::json!([])
    );
}
