//! One module per verb. A command takes its arguments and the settings, and ends with an exit code.

mod aws;
mod cancel;
mod check;
mod clean;
mod completions;
mod cost;
pub(crate) mod counter;
mod deploy;
mod destroy;
mod diff;
mod docs;
mod doctor;
mod env;
mod explain;
mod history;
mod init;
mod keeper;
mod logs;
mod outputs;
pub(crate) mod plan;
mod prices;
mod queue;
mod results;
mod retry;
pub(crate) mod run;
mod schema;
mod send;
mod status;
mod synth;
mod up;
mod watch;

use crate::args::{Arguments, Verb};
use crate::exit::Outcome;
use crate::settings::Settings;

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let settings = Settings::resolve(&arguments.globals);
    match arguments.verb {
        Verb::Init(init) => init::run(&init, &settings),
        Verb::Check(_) => check::run(&settings),
        Verb::Run(run) => run::run(&run, &settings),
        Verb::Plan(plan) => plan::run(&plan, &settings),
        Verb::Up(up) => up::run(&up, &settings),
        Verb::Send(send) => send::run(&send, &settings),
        Verb::Queue(queue) => queue::run(&queue, &settings),
        Verb::Env(_) => env::run(&settings),
        Verb::Retry(retry) => retry::run(&retry, &settings),
        Verb::Status(status) => status::run(&status, &settings),
        Verb::Logs(logs) => logs::run(&logs, &settings),
        Verb::Explain(explain) => explain::run(&explain, &settings),
        Verb::Cancel(cancel) => cancel::run(&cancel, &settings),
        Verb::Results(results) => results::run(&results, &settings),
        Verb::Outputs(outputs) => outputs::run(&outputs, &settings),
        Verb::History(history) => history::run(&history, &settings),
        Verb::Doctor(doctor) => doctor::run(&doctor, &settings),
        Verb::Clean(clean) => clean::run(&clean, &settings),
        Verb::Synth(synth) => synth::run(&synth, &settings),
        Verb::Diff(diff) => diff::run(&diff, &settings),
        Verb::Deploy(deploy) => deploy::run(&deploy, &settings),
        Verb::Destroy(destroy) => destroy::run(&destroy, &settings),
        Verb::Prices(prices) => prices::run(&prices, &settings),
        Verb::Cost(cost) => cost::run(&cost, &settings),
        Verb::Aws(aws) => aws::run(&aws, &settings),
        Verb::Schema => schema::run(),
        Verb::Completions(completions) => completions::run(&completions),
        Verb::Keeper(keeper) => keeper::run(&keeper),
        Verb::DocsCli => docs::run(),
    }
}
