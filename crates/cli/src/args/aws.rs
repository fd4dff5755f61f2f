//! What can be typed about AWS: `diff`, `deploy`, `destroy`, `prices`, `cost`, `aws …`, and `--on aws` of the commands that also work there.

use clap::{Args, Subcommand, ValueEnum};

use crate::select::RunName;

/// Here, or there: of commands that do the same in both places.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Where {
    /// `aws`: of the stack on AWS, in place of this machine
    #[arg(long, value_name = "WHERE", value_enum)]
    pub(crate) on: Option<On>,
    /// The stack of `[env.NAME]`; with `--on aws`
    #[arg(long, value_name = "NAME", requires = "on")]
    pub(crate) env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    Here,
    Aws,
}

impl Where {
    pub(crate) fn is_aws(&self) -> bool {
        self.on == Some(On::Aws)
    }
}

/// Say what `deploy` would change: resources, permissions, and what the stack costs before and after
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The stack of `[env.NAME]`
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// Make the stack on AWS what the file says: build and push images, show what changes, and change it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kingtide deploy                             shows what changes and asks
  kingtide deploy --env prod --yes            asks nothing

What was interrupted goes on with the next `deploy`. Nothing that is made costs while nothing runs, but for what `diff` lists.")]
pub(crate) struct Deploy {
    /// The stack of `[env.NAME]`
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Remove the stack from AWS; what runs left in its bucket stays unless --with-data
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The stack of `[env.NAME]`
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Also the bucket, with the results, outputs and logs of all runs
    #[arg(long)]
    pub(crate) with_data: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Print the prices that quotes are made of, with their dates and sources
#[derive(Debug, Args)]
pub(crate) struct Prices {
    #[command(subcommand)]
    pub(crate) verb: Option<PricesVerb>,
    /// Of this region; by default the project's, else all that are known
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PricesVerb {
    /// Read AWS's price list of today and keep it in the user's cache, over the table that comes along
    Update,
}

/// Say what a run on AWS cost, by the seconds of its workers
#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// `last`, `retrain-12`, `12`, or a job's name for its last run
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: RunName,
    /// The stack of `[env.NAME]`
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// Try on real AWS what only real AWS can show
#[derive(Debug, Args)]
pub(crate) struct Aws {
    #[command(subcommand)]
    pub(crate) verb: AwsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AwsVerb {
    Verify(Verify),
}

/// Deploy a tiny stack, run a burst, check what only real AWS can show, and remove it again; says what it costs first
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Where; else what the environment or the profile says
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Print the checks and what they cost, and do nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Leave the stack there to be looked at
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}
