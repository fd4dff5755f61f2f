//! Whole tables from rows as programs leave them.

use std::convert::Infallible;
use std::io;

use serde_json::{Map, Value, json};

use super::*;

fn row(seq: i64, params: &str, result: Option<Value>) -> ResultRow {
    ResultRow {
        seq,
        params: Message::parse(params).expect("an object"),
        state: "succeeded",
        attempts: 1,
        seconds: Some(1.23456),
        memory_peak: Some(3 * 1024 * 1024),
        reason: None,
        result,
    }
}

type Rows<'a> = &'a [ResultRow];

fn read(rows: Rows<'_>) -> impl Iterator<Item = Result<ResultRow, Infallible>> {
    rows.iter().cloned().map(Ok)
}

fn schema(rows: Rows<'_>) -> Schema {
    Schema::infer(read(rows)).expect("no row fails")
}

fn csv(rows: Rows<'_>) -> String {
    let mut out = Vec::new();
    schema(rows).write_csv(read(rows), &mut out).expect("written");
    String::from_utf8(out).expect("UTF-8").replace("\r\n", "\n")
}

fn jsonl(rows: Rows<'_>) -> Vec<Value> {
    let mut out = Vec::new();
    schema(rows).write_jsonl(read(rows), &mut out).expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// `name:type` of the program's own columns.
fn own_columns(rows: Rows<'_>) -> Vec<String> {
    let schema = schema(rows);
    let own = schema.columns().iter().filter(|column| column.origin == Origin::Result);
    own.map(|column| format!("{}:{}", column.name, column.kind)).collect()
}

#[test]
fn one_schema_over_ragged_rows() {
    let rows = [
        row(
            1,
            r#"{"dest":"BOS"}"#,
            Some(json!({"mae": 4, "deep": {"a": 1, "b": {"c": [1, 2]}}})),
        ),
        row(
            2,
            r#"{"dest":"LAX","depth":8}"#,
            Some(json!({"mae": 4.5, "note": "so, \"quoted\""})),
        ),
        ResultRow {
            state: "failed",
            seconds: None,
            memory_peak: None,
            reason: Some("exit code 1".into()),
            ..row(3, r#"{"dest":"ORD"}"#, None)
        },
    ];
    assert_eq!(
        csv(&rows),
        "task,dest,depth,state,attempts,seconds,memory_peak,mae,deep.a,deep.b.c,note,reason\n\
         1,BOS,,succeeded,1,1.235,3145728,4.0,1,\"[1,2]\",,\n\
         2,LAX,8,succeeded,1,1.235,3145728,4.5,,,\"so, \"\"quoted\"\"\",\n\
         3,ORD,,failed,1,,,,,,,exit code 1\n"
    );
    let expected = json!({"task": 1, "dest": "BOS", "depth": null, "state": "succeeded", "attempts": 1, "seconds": 1.235,
        "memory_peak": 3145728, "mae": 4.0, "deep.a": 1, "deep.b.c": "[1,2]", "note": null, "reason": null});
    assert_eq!(jsonl(&rows)[0], expected);
    assert_eq!(jsonl(&rows).len(), 3);
}

#[test]
fn a_type_holds_all_values_of_its_column() {
    let of = |values: &[Value]| {
        let rows: Vec<ResultRow> = values
            .iter()
            .map(|value| row(1, "{}", Some(json!({"x": value}))))
            .collect();
        let cells: Vec<Value> = jsonl(&rows).iter().map(|line| line["x"].clone()).collect();
        (own_columns(&rows).remove(0), Value::from(cells))
    };
    assert_eq!(of(&[json!(null), json!(null)]), ("x:null".into(), json!([null, null])));
    assert_eq!(of(&[json!(true), json!(null)]), ("x:bool".into(), json!([true, null])));
    assert_eq!(of(&[json!(1), json!(2.5)]), ("x:float".into(), json!([1.0, 2.5])));
    assert_eq!(
        of(&[json!(u64::MAX), json!(-1)]),
        ("x:integer".into(), json!([u64::MAX, -1]))
    );
    assert_eq!(
        of(&[json!(u64::MAX), json!(2.5)]),
        ("x:string".into(), json!([u64::MAX.to_string(), "2.5"]))
    );
    assert_eq!(of(&[json!(true), json!(1)]), ("x:string".into(), json!(["true", "1"])));
    assert_eq!(
        of(&[json!("1"), json!(1), json!({})]),
        ("x:string".into(), json!(["1", "1", "{}"]))
    );
}

#[test]
fn a_name_that_comes_twice_is_told_apart() {
    let rows = [
        row(
            1,
            r#"{"mae":1,"state":"NY"}"#,
            Some(json!({"mae": 2, "result.mae": 3, "seconds": 4})),
        ),
        row(2, r#"{"mae":1}"#, Some(json!({"a.b": 5, "a": {"b": 6}}))),
    ];
    let expected = "task,mae,param.state,state,attempts,seconds,memory_peak,\
                    result.result.mae,result.mae,result.seconds,a.b,result.a.b,reason";
    assert_eq!(csv(&rows).lines().next(), Some(expected));
    let lines = jsonl(&rows);
    assert_eq!(
        (
            &lines[0]["mae"],
            &lines[0]["result.result.mae"],
            &lines[0]["result.mae"]
        ),
        (&json!(1), &json!(2), &json!(3))
    );
    assert_eq!((&lines[1]["a.b"], &lines[1]["result.a.b"]), (&json!(5), &json!(6)));
    assert_eq!(lines[0]["param.state"], "NY");
}

#[test]
fn several_objects_are_several_lines() {
    let rows = [
        row(
            1,
            r#"{"dest":"BOS"}"#,
            Some(json!([{"fold": 1}, {"fold": 2, "x": true}])),
        ),
        row(2, "{}", Some(json!([]))),
    ];
    let lines = jsonl(&rows);
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[1]["task"], &lines[1]["dest"], &lines[1]["fold"]),
        (&json!(1), &json!("BOS"), &json!(2))
    );
    assert_eq!((&lines[2]["task"], &lines[2]["fold"]), (&json!(2), &json!(null)));
}

#[test]
fn columns_without_end_are_kept_as_json() {
    let wide = |seq: i64| {
        let fields = (0..3_000).map(|index| (format!("{seq}_{index}"), json!(index)));
        row(seq, "{}", Some(Value::Object(fields.collect())))
    };
    let rows: Vec<ResultRow> = (1..=4).map(wide).collect();
    assert_eq!(own_columns(&rows).len(), 10_001);
    let lines = jsonl(&rows);
    assert_eq!((&lines[2]["3_2999"], &lines[2]["other"]), (&json!(2999), &json!(null)));
    let other: Value = serde_json::from_str(lines[3]["other"].as_str().expect("a text")).expect("JSON");
    assert_eq!(lines[3]["4_999"], 999);
    assert_eq!(
        (&other["4_1000"], other.as_object().map(Map::len)),
        (&json!(1000), Some(2000))
    );
}

#[test]
fn deep_nesting_ends_in_json() {
    let mut value = json!(1);
    for _ in 0..20 {
        value = json!({"a": value});
    }
    let rows = [row(1, "{}", Some(value))];
    assert_eq!(own_columns(&rows), ["a.a.a.a.a.a.a.a:string"]);
    assert!(
        jsonl(&rows)[0]["a.a.a.a.a.a.a.a"]
            .as_str()
            .is_some_and(|text| text.starts_with(r#"{"a":{"a""#))
    );
}

#[test]
fn a_terminal_shows_what_fits_and_says_what_does_not() {
    let rows: Vec<ResultRow> = (1..=5)
        .map(|seq| {
            let result = json!({"mae": 4.123456789, "note": "a\u{1b}[31m\nb", "long": "x".repeat(100), "none": null});
            row(seq, r#"{"dest":"BOS"}"#, Some(result))
        })
        .collect();
    let schema = schema(&rows);
    let wide = schema.terminal(read(&rows), 3, 1000).expect("read");
    assert_eq!(
        wide.header,
        [
            "task",
            "dest",
            "state",
            "attempts",
            "seconds",
            "memory_peak",
            "mae",
            "note",
            "long"
        ]
    );
    assert_eq!(
        wide.rows[0][..8],
        ["1", "BOS", "succeeded", "1", "1.2", "3 MiB", "4.12346", "a [31m b"]
    );
    assert_eq!(
        (wide.rows[0][8].chars().count(), wide.rows[0][8].ends_with('…')),
        (48, true)
    );
    assert_eq!(wide.numeric[..3], [true, false, false]);
    assert_eq!(
        (wide.rows.len(), wide.elided),
        (
            3,
            Elided {
                rows: 2,
                columns: vec![]
            }
        )
    );
    let narrow = schema.terminal(read(&rows), 10, 40).expect("read");
    assert_eq!(narrow.header, ["task", "dest", "state", "attempts"]);
    assert_eq!(narrow.elided.columns, ["seconds", "memory_peak", "mae", "note", "long"]);
}

#[test]
fn errors_of_the_rows_and_of_the_writer_are_passed_on() {
    let last_fails = || {
        (1..=3).map(|seq| {
            if seq == 3 {
                Err(io::Error::other("gone"))
            } else {
                Ok(row(seq, "{}", None))
            }
        })
    };
    assert_eq!(
        Schema::infer(last_fails()).expect_err("the last row fails").to_string(),
        "gone"
    );
    let schema = schema(&[row(1, "{}", None)]);
    let mut out = Vec::new();
    assert!(matches!(
        schema.write_jsonl(last_fails(), &mut out),
        Err(TableError::Rows(_))
    ));
    assert_eq!(
        out.iter().filter(|byte| **byte == b'\n').count(),
        2,
        "what came before the error is written"
    );
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let rows = [row(1, "{}", None)];
    for written in [
        schema.write_csv(read(&rows), Closed),
        schema.write_jsonl(read(&rows), Closed),
    ] {
        assert!(matches!(written, Err(TableError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    }
}
