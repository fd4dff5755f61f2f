//! Benchmarks, one area each: every peer in its documented way, in one run on one machine, with that machine's floors.

use anyhow::bail;

/// `cargo xtask bench <area>`.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    match args.first() {
        Some(area) => bail!("no area is called `{area}`; there is none yet"),
        None => bail!("name an area; there is none yet"),
    }
}
