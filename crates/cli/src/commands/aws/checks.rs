//! What only real AWS can show, as data: `kingtide aws verify` goes through it, and `docs/aws-verification.md` lists it.

/// A claim that no emulator proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What is claimed.
    pub(crate) claim: &'static str,
    /// How it is looked at.
    pub(crate) how: &'static str,
    /// It takes a person: the command does not look at it.
    pub(crate) by_hand: bool,
}

const fn check(name: &'static str, claim: &'static str, how: &'static str) -> Check {
    Check {
        name,
        claim,
        how,
        by_hand: false,
    }
}

const fn by_hand(name: &'static str, claim: &'static str, how: &'static str) -> Check {
    Check {
        by_hand: true,
        ..check(name, claim, how)
    }
}

/// In the order in which they are looked at.
pub(crate) const CHECKS: &[Check] = &[
    check(
        "doctor",
        "credentials, permissions, quota and addresses are enough",
        "`kingtide doctor --on aws` finds nothing wrong",
    ),
    check(
        "deploy",
        "CloudFormation takes the template, and ECR the images",
        "`kingtide deploy --yes` ends with the stack complete",
    ),
    check(
        "nothing-to-do",
        "a second deploy changes nothing, and nothing has drifted",
        "`kingtide diff` lists no resource and no drift",
    ),
    check(
        "run",
        "a burst ends well: the worker runs in an image that knows nothing of it",
        "`kingtide run probe --on aws` ends with code 0",
    ),
    check(
        "each-once",
        "each message is done once, whatever SQS delivers twice",
        "every task is over, with the attempts that it should have had",
    ),
    check(
        "exit-codes",
        "an exit code means there what it means here",
        "the task that exits with 3 is skipped, the one that fails once has two attempts",
    ),
    check(
        "results",
        "what programs wrote comes back",
        "`kingtide results --on aws` has a result of each task that succeeded",
    ),
    check(
        "outputs",
        "files that programs left behind come back",
        "`kingtide outputs --on aws` lists the one folder there is",
    ),
    check(
        "logs",
        "what a program said can be read afterwards",
        "`kingtide logs --on aws` has the line of the task that is asked for",
    ),
    check(
        "start",
        "the first attempt begins within three minutes of the start",
        "from the run's opening to its first attempt",
    ),
    check(
        "together",
        "workers begin side by side, not one after the other",
        "the first attempts of the workers begin within a minute of each other",
    ),
    check(
        "cost",
        "a run costs what was said",
        "`kingtide cost` is below ten cents",
    ),
    check(
        "destroy",
        "nothing is left",
        "`kingtide destroy --with-data --yes` ends, and the stack is gone",
    ),
    by_hand(
        "bill",
        "the bill is what `kingtide cost` says",
        "Cost Explorer, two days later, grouped by usage type, for the tag kingtide:project",
    ),
    by_hand(
        "schedule",
        "a schedule starts one run, at its time, also across a change of the clocks",
        "a job with `schedule`, looked at with `kingtide history --on aws`",
    ),
    by_hand(
        "trigger",
        "an object that arrives starts one run, however often EventBridge delivers it",
        "copy an object to where a `triggers` of a job points",
    ),
    by_hand(
        "spot",
        "a Spot task that is taken away costs no retry",
        "`[aws] spot = true`, and a fault injection of AWS FIS: send Spot interruption",
    ),
    by_hand(
        "alarms",
        "who is named in an alarm is told",
        "a job that fails, with `alarms`",
    ),
    by_hand(
        "quota",
        "a quota that is too low is said before the run",
        "a region of a new account, and more workers than its vCPUs",
    ),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_lists_each_check_where_there_is_one() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/aws-verification.md");
        let Ok(text) = std::fs::read_to_string(page) else {
            return;
        };
        for check in CHECKS {
            assert!(
                text.contains(&format!("`{}`", check.name)),
                "docs/aws-verification.md has to name `{}`",
                check.name
            );
        }
    }
}
