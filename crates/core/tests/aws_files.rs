//! What the checker says about deploying to AWS.

use kingtide_core::project::load;

/// The codes and messages about these lines of a job and these tables.
fn said(job: &str, tables: &str) -> Vec<String> {
    let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n{job}\n{tables}\n");
    let (_, findings) = load(&source);
    findings
        .0
        .iter()
        .map(|finding| format!("{}: {}", finding.code, finding.message))
        .collect()
}

#[test]
fn good_ones_are_taken_as_they_are() {
    let job = "schedule = { cron = \"0 6 * * MON\", timezone = \"Europe/Zurich\" }\ntriggers = [{ object = \"s3://landing/x/\" }]\n\
               alarms = [\"ops\"]\nmax_cost = 5";
    let tables = "[aws]\nregion = \"eu-west-1\"\nlog_retention = \"30d\"\n[env.prod]\nmax_workers = 9\n[alarm.ops]\nemail = \"a@b.c\"";
    assert_eq!(said(job, tables), [""; 0]);
}

#[test]
fn bad_ones_are_explained() {
    let jobs = [
        "schedule = {}",
        "schedule = { cron = \"0 6 * *\", rate = \"1h\" }",
        "schedule = { cron = \"0 6 1 * MON\" }",
        "schedule = { rate = \"30s\" }",
        "schedule = { rate = \"90s\" }",
        "schedule = { at = \"tomorrow\" }",
        "schedule = { rate = \"1h\", timezone = \"Mars\" }",
        "triggers = [{ object = \"landing/x\" }]",
        "triggers = [{}]",
        "alarms = [\"ops\"]",
        "max_cost = 0",
        "service = true\nschedule = { rate = \"1h\" }",
    ];
    let tables = [
        "[aws]\nregion = \"Ireland\"",
        "[aws]\nvpc = \"main\"",
        "[aws]\nvpc = \"vpc-12345678\"",
        "[aws]\nsubnets = [\"subnet-12345678\"]",
        "[aws]\nvpc = \"vpc-12345678\"\nsubnets = []",
        "[aws]\nbucket = \"Team_Flights\"",
        "[aws]\npermissions_boundary = \"boundary\"",
        "[aws]\nsecrets = { TOKEN = \"token.txt\" }",
        "[aws]\ntags = { \"aws:x\" = \"y\" }",
        "[aws]\nmax_workers = 0",
        "[aws]\nlog_retention = \"31d\"",
        "[aws]\narchitecture = \"mips\"",
        "[aws]\nvpc = \"vpc-12345678\"\nsubnets = [\"subnet-12345678\"]\n[env.prod]\nvpc = \"vpc-87654321\"\nsubnets = [\"x\"]",
        "[env.\"a b\"]\nregion = \"eu-west-1\"",
        "[alarm.ops]",
        "[alarm.ops]\nemail = \"nobody\"",
        "[alarm.ops]\nwebhook = \"http://example.com\"",
    ];
    let told = jobs
        .iter()
        .map(|job| (*job, said(job, "")))
        .chain(tables.iter().map(|tables| (*tables, said("", tables))));
    let text: Vec<String> = told
        .map(|(lines, said)| format!("{}\n    {}", lines.replace('\n', " · "), said.join("\n    ")))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}
