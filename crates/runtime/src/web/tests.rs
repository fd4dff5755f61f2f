//! Pages as a reader sees them: every path, what is refused, and bounds; then over a listener.

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

/// A figure of the page by its name with its labels.
fn figure(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

#[test]
fn figures_are_those_of_the_rows() {
    let house = House::new();
    let reply = house.look("/metrics");
    assert_eq!((reply.status, reply.content_type), (200, METRICS));
    let page = reply.body;
    for (name, expected) in [
        (r#"kingtide_runs{job="retrain",state="failed"}"#, 1.0),
        (r#"kingtide_runs{job="new",state="open"}"#, 0.0),
        (r#"kingtide_tasks{job="retrain",state="succeeded"}"#, 4.0),
        (r#"kingtide_tasks{job="score",state="leased"}"#, 2.0),
        (r#"kingtide_tasks{job="score",state="waiting"}"#, 4.0),
        (r#"kingtide_attempts_total{job="retrain",outcome="out_of_memory"}"#, 1.0),
        (
            r#"kingtide_attempt_duration_seconds_bucket{job="retrain",le="10"}"#,
            5.0,
        ),
        (
            r#"kingtide_attempt_duration_seconds_bucket{job="retrain",le="+Inf"}"#,
            8.0,
        ),
        (r#"kingtide_attempt_duration_seconds_count{job="retrain"}"#, 8.0),
        (r#"kingtide_attempt_duration_seconds_sum{job="retrain"}"#, 113.0),
        (r#"kingtide_attempt_cpu_seconds_total{job="retrain"}"#, 60.0),
        (r#"kingtide_last_run_duration_seconds{job="retrain"}"#, 100.0),
        (r#"kingtide_queue_messages{queue="score",state="visible"}"#, 4.0),
        (r#"kingtide_queue_oldest_message_age_seconds{queue="score"}"#, 100.0),
        (r#"kingtide_queue_oldest_message_age_seconds{queue="new"}"#, 0.0),
    ] {
        assert_eq!(figure(&page, name), Some(expected), "{name}\n{page}");
    }
    assert!(figure(&page, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0));
    assert!(page.contains("kingtide_build_info{version="));
    // Nothing has succeeded yet, which is not the same as long ago.
    assert!(!page.contains("kingtide_last_success_timestamp_seconds{"));
}

/// What the text format demands: each metric has its help and kind once, before its samples, which stand together and are all
/// different.
#[test]
fn figures_are_in_the_format() {
    let house = House::new();
    let page = house.look("/metrics").body;
    assert!(page.ends_with('\n'));
    let (mut helped, mut kinds, mut samples) = (Vec::new(), Vec::new(), std::collections::BTreeSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().expect("a name").to_owned();
            assert!(!helped.contains(&name), "{name} is helped twice");
            helped.push(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(helped.last().map(String::as_str), Some(name));
            assert!(["gauge", "counter", "histogram"].contains(&kind));
            kinds.push((name.to_owned(), kind.to_owned()));
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            value.parse::<f64>().expect("a number");
            let name = sample.split('{').next().expect("a name");
            let (metric, kind) = kinds.last().expect("a metric has begun");
            let ends: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(
                ends.iter().any(|end| name == format!("{metric}{end}")),
                "{line} among {metric}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(samples.insert(sample.to_owned()), "{sample} comes twice");
        }
    }
    assert_eq!(helped.len(), kinds.len());
}

#[test]
fn what_is_over_is_summed_once_and_forgotten_with_its_run() {
    let house = House::new();
    let attempts = |house: &House| {
        figure(
            &house.look("/metrics").body,
            r#"kingtide_attempts_total{job="retrain",outcome="lost"}"#,
        )
    };
    assert_eq!(attempts(&house), Some(1.0));
    // Of a run that is over nothing changes; if it did, nobody would look.
    house.write("UPDATE attempt SET outcome = 'lost' WHERE run = 1");
    assert_eq!(attempts(&house), Some(1.0));
    house.write("INSERT INTO attempt (run, seq, number, outcome, ended_at) VALUES (2, 1, 1, 'lost', 1)");
    let open = figure(
        &house.look("/metrics").body,
        r#"kingtide_attempts_total{job="score",outcome="lost"}"#,
    );
    assert_eq!(open, Some(1.0));
    house.write("DELETE FROM run WHERE id = 1");
    assert_eq!(attempts(&house), None);
}

mod over_a_listener {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::http::{Hosts, Limits, Listener, listen};

    struct Open {
        _house: House,
        _runtime: tokio::runtime::Runtime,
        listener: Listener,
    }

    fn open(access_key: Option<(&str, &str)>) -> Open {
        let house = House::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let access_key = access_key.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
        let site = Site::new("p", &house.site.jobs, &house.site.layout);
        let pages = Pages::new(site, access_key.as_ref());
        let listener = listen(runtime.handle(), socket, Hosts::local(), Limits::default(), pages).expect("listens");
        Open {
            _house: house,
            _runtime: runtime,
            listener,
        }
    }

    /// The whole answer as it came.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("connected");
        write!(stream, "{request}\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn a_page_is_served_and_its_head_alone() {
        let open = open(None);
        let address = open.listener.address();
        let answer = ask(address, "GET /api/v1/runs?limit=1 HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for header in [
            "content-type: application/json\r\n",
            "cache-control: no-store\r\n",
            "x-content-type-options: nosniff\r\n",
        ] {
            assert!(answer.contains(header), "{answer}");
        }
        assert!(answer.ends_with("\"next\":2}\n"), "{answer}");
        let head = ask(address, "HEAD /metrics HTTP/1.1");
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert!(ask(address, "GET /nowhere HTTP/1.1").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn nothing_but_reading() {
        let open = open(None);
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = ask(open.listener.address(), &format!("{method} /api/v1/runs HTTP/1.1"));
            assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
            assert!(
                answer.contains("allow: GET, HEAD\r\n") && answer.contains("\"error\":"),
                "{answer}"
            );
        }
    }

    #[test]
    fn pages_of_others_are_refused_in_json() {
        let open = open(None);
        let answer = ask(open.listener.address(), "GET / HTTP/1.1\r\nOrigin: http://evil.example");
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"error\":"),
            "{answer}"
        );
    }

    #[test]
    fn where_a_key_is_demanded_it_is_user_name_and_password() {
        let open = open(Some(("me", "very secret indeed")));
        let address = open.listener.address();
        let with = |credentials: &str| {
            ask(
                address,
                &format!("GET /healthz HTTP/1.1\r\nAuthorization: {credentials}"),
            )
        };
        // `me:very secret indeed`
        assert!(with("Basic bWU6dmVyeSBzZWNyZXQgaW5kZWVk").starts_with("HTTP/1.1 200 "));
        assert!(with("basic bWU6dmVyeSBzZWNyZXQgaW5kZWVk").starts_with("HTTP/1.1 200 "));
        for wrong in [
            "Basic bWU6dmVyeQ==",
            "Basic",
            "Bearer bWU6dmVyeSBzZWNyZXQgaW5kZWVk",
            "Basic !",
            "",
        ] {
            let answer = with(wrong);
            assert!(answer.starts_with("HTTP/1.1 401 "), "{wrong}: {answer}");
            assert!(
                answer.contains("www-authenticate: Basic realm=\"kingtide\""),
                "{answer}"
            );
        }
        assert!(ask(address, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 401 "));
    }

    #[test]
    fn many_readers_at_once_are_all_answered() {
        let open = open(None);
        let address = open.listener.address();
        let readers: Vec<_> = (0..32)
            .map(|_| std::thread::spawn(move || ask(address, "GET /metrics HTTP/1.1")))
            .collect();
        for reader in readers {
            assert!(reader.join().expect("no panic").starts_with("HTTP/1.1 200 "));
        }
    }
}
