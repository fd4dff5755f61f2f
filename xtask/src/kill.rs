//! The kill loop: `kill -9` of runtime, keeper and guard at random moments, a thousand times, and after each the store, the
//! process table and the outputs are held against what was promised. It is the test `kill` of the command line, which does
//! two hundred of the same in the suite.

use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace_root;

const USAGE: &str = "usage: cargo xtask kill [--kills N] [--seed N]";

/// `cargo xtask kill`.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let (kills, seed) = parse(args)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "test",
            "--package",
            "kingtide",
            "--test",
            "kill",
            "--",
            "--nocapture",
            "heavy_every_message",
        ])
        .env("KINGTIDE_TEST_KILLS", kills.to_string())
        .current_dir(workspace_root());
    if let Some(seed) = seed {
        command.env("KINGTIDE_TEST_SEED", seed.to_string());
    }
    let status = command.status().context("failed to start cargo")?;
    if !status.success() {
        bail!("the kill loop failed; the seed is above");
    }
    Ok(())
}

fn parse(args: &[String]) -> anyhow::Result<(u32, Option<u64>)> {
    let (mut kills, mut seed) = (1000, None);
    let mut args = args.iter();
    while let Some(option) = args.next() {
        let value = args
            .next()
            .with_context(|| format!("`{option}` takes a number\n{USAGE}"))?;
        match option.as_str() {
            "--kills" => kills = value.parse().with_context(|| USAGE)?,
            "--seed" => seed = Some(value.parse().with_context(|| USAGE)?),
            _ => bail!("`{option}` is not an option\n{USAGE}"),
        }
    }
    Ok((kills, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> anyhow::Result<(u32, Option<u64>)> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parsed("").expect("none"), (1000, None));
        assert_eq!(parsed("--seed 7 --kills 20").expect("both"), (20, Some(7)));
        assert!(parsed("--kills").is_err() && parsed("--kills many").is_err() && parsed("--what 1").is_err());
    }
}
