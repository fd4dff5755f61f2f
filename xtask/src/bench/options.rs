//! The command line of a benchmark.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::peers::Peer;

pub(super) struct Options {
    /// The binary to measure; `None` builds one.
    pub(super) kingtide: Option<PathBuf>,
    pub(super) count: usize,
    pub(super) rounds: usize,
    pub(super) peers: Vec<Peer>,
    pub(super) samples: usize,
    /// Of each load in a round.
    pub(super) seconds: usize,
    /// Messages.
    pub(super) backlog: usize,
    /// Seconds.
    pub(super) soak: usize,
}

impl Options {
    pub(super) fn parse(args: &[String]) -> anyhow::Result<Options> {
        let mut options = Options {
            kingtide: None,
            count: 10_000,
            rounds: 3,
            peers: Peer::ALL.to_vec(),
            samples: 40,
            seconds: 5,
            backlog: 1_000_000,
            soak: 60,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().with_context(|| format!("`{name}` has no value"))?;
            match name.as_str() {
                "--kingtide" => {
                    let path = std::path::absolute(value)?;
                    options.kingtide = Some(path);
                }
                "--count" => options.count = positive(name, value)?,
                "--rounds" => options.rounds = positive(name, value)?,
                "--seconds" => options.seconds = positive(name, value)?,
                "--backlog" => options.backlog = positive(name, value)?,
                "--soak" => options.soak = positive(name, value)?,
                "--samples" => options.samples = positive(name, value)?,
                "--peers" => {
                    options.peers = value.split(',').map(Peer::named).collect::<anyhow::Result<_>>()?;
                }
                other => bail!("no option is called `{other}`"),
            }
        }
        Ok(options)
    }
}

fn positive(name: &str, value: &str) -> anyhow::Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("`{name}` takes a number from 1, not `{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> anyhow::Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_not_said_is_as_the_targets_want_it() {
        let options = parse("").expect("all options have defaults");
        assert_eq!(
            (options.count, options.rounds, options.peers.len()),
            (10_000, 3, Peer::ALL.len())
        );
        assert!(options.kingtide.is_none());
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let options = parse("--count 7 --peers xargs,bare").expect("well-formed");
        assert_eq!(options.count, 7);
        assert_eq!(options.peers, [Peer::Xargs, Peer::Bare]);
        for wrong in ["--count", "--count 0", "--rounds many", "--peers xarg", "--speed 3"] {
            assert!(parse(wrong).is_err(), "`{wrong}` was taken");
        }
    }
}
