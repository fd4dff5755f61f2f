//! The real `kingtide` with the real `kingtide-aws` over an emulator of AWS: a stack that is there is compared, foreseen, run, fetched and
//! removed. Images need an engine and a registry of their own, so the stack is made by the emulator's own client.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kingtide_testkit::TestProject;
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "flights"
[job.retrain]
image = "registry.example.com/train:7"
entrypoint = ["train"]
command = ["{dest}"]
params = { matrix = { dest = ["BOS", "LAX"] } }
memory = "1GiB"
expected = "5min"
[aws]
region = "eu-west-1"
"#;

/// Makes the stack of a template on stdin.
const MAKE: &str = r#"
import boto3, json, sys
client = boto3.client("cloudformation", region_name="eu-west-1")
template = json.load(sys.stdin)
parameters = [{"ParameterKey": name, "ParameterValue": "registry.example.com/worker:1"}
              for name, of in template["Parameters"].items() if "Default" not in of]
client.create_stack(StackName="flights", TemplateBody=json.dumps(template), Parameters=parameters,
                    Tags=[{"Key": "kingtide:project", "Value": "flights"}], Capabilities=["CAPABILITY_IAM"])
client.get_waiter("stack_create_complete").wait(StackName="flights", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
"#;

/// An emulator that ends with its owner.
struct Emulator {
    child: Child,
    url: String,
    packages: PathBuf,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // What is gone already is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` where none is installed: `cargo xtask check` does that.
fn emulator(project: &TestProject) -> Option<Emulator> {
    let clients = std::env::var_os("KINGTIDE_TEST_CLIENTS").map(PathBuf::from);
    let packages = clients
        .map(|folder| folder.join("emulators"))
        .filter(|folder| folder.exists());
    let Some(packages) = packages else {
        eprintln!("skipped: KINGTIDE_TEST_CLIENTS names no folder with emulators; `cargo xtask check` installs them");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|port| port.local_addr())
        .expect("a port")
        .port();
    let child = Command::new("python3")
        .args(["-m", "ministack"])
        .env("PYTHONPATH", &packages)
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("SFN_WAIT_SCALE", "0")
        .env("IOT_MTLS_ENABLED", "0")
        .current_dir(project.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 starts");
    let emulator = Emulator {
        child,
        url: format!("http://127.0.0.1:{port}"),
        packages,
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the emulator does not listen");
        // It tells nobody when it is ready.
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(emulator)
}

#[test]
fn a_stack_is_compared_run_fetched_and_removed() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_kingtide")).with_file_name("kingtide-aws");
    if !program.exists() {
        eprintln!("skipped: {} is not built", program.display());
        return;
    }
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML);
    let Some(emulator) = emulator(&project) else { return };
    let project = project
        .env("AWS_ENDPOINT_URL", &emulator.url)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let text = project.run(&["run", "retrain", "--on", "aws"]).expect_code(2).text();
    assert!(text.contains("there is no stack `flights` in eu-west-1"), "{text}");
    let template = project.run(&["synth", "--quiet"]).expect_code(0).stdout;
    project.write("template.json", &template);
    let input = std::fs::File::open(project.path().join("template.json")).expect("written");
    let made = Command::new("python3")
        .args(["-c", MAKE])
        .env("PYTHONPATH", &emulator.packages)
        .env("AWS_ENDPOINT_URL", &emulator.url)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(input)
        .output()
        .expect("python3 starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let same = project.run(&["diff"]).expect_code(0).stdout;
    assert!(same.contains("what is there is what the file says"), "{same}");
    let toml = project.read("kingtide.toml").replace("1GiB", "3GiB");
    project.write("kingtide.toml", toml);
    let other = project.run(&["diff"]).expect_code(0).stdout;
    assert!(
        other.contains("~ RetrainWorker") && other.contains("Memory: 2048 → 4096"),
        "{other}"
    );
    assert!(other.contains("run   retrain: about $"), "{other}");
    let plan = project
        .run(&["plan", "retrain", "--on", "aws", "--json"])
        .expect_code(0)
        .stdout;
    let plan: Value = serde_json::from_str(&plan).expect("an object");
    assert!(
        plan["cost"].as_f64().is_some_and(|usd| (0.001..0.1).contains(&usd)),
        "{plan}"
    );
    let ran = project
        .run(&["run", "retrain", "--on", "aws", "--detach", "--json"])
        .expect_code(0);
    assert!(
        ran.stderr.contains("2 tasks") && ran.stderr.contains("about $0.0"),
        "{}",
        ran.stderr
    );
    let ran: Value = serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("an object");
    assert_eq!((&ran["run"], &ran["detached"]), (&Value::from(1), &Value::from(true)));
    let rows = project
        .run(&["results", "retrain-1", "--on", "aws"])
        .expect_code(0)
        .stdout;
    assert!(rows.contains("BOS,waiting") && rows.contains("LAX,waiting"), "{rows}");
    let status = project.run(&["status", "--on", "aws", "--json"]).expect_code(0).stdout;
    let status: Value = serde_json::from_str(&status).expect("an object");
    assert_eq!(status["tasks"]["total"], 2);
    project.run(&["cancel", "retrain-1", "--on", "aws"]).expect_code(0);
    let gone = project.run(&["destroy", "--with-data", "--yes"]).expect_code(0).text();
    assert!(
        gone.contains("1 run would be lost") && gone.contains("`flights` is gone"),
        "{gone}"
    );
    drop(emulator);
    // What was fetched stays.
    let rows = project
        .run(&["results", "retrain-1", "--on", "aws"])
        .expect_code(0)
        .stdout;
    assert!(rows.contains("BOS,waiting"), "{rows}");
}
