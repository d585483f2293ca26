//! `monitor clock`

use std::io::Write as _;

use monitor_wire::{ClockJump, Confirmed};

use crate::client::{Connection, print_json, read};
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor clock          Show whether the clock is accepted
  monitor clock confirm  Accept the clock after you have set it

When the server's clock jumps ahead, the ages of runs do not include the jump for one day, so that a wrong clock deletes nothing. \
`confirm` ends this day. `monitor audit` shows who confirmed it. For `confirm`, a server on another machine requires \
a token with the scope `operate`.";

/// Show whether the server's clock jumped ahead, or accept it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// `confirm` to accept the clock; without it, only its state is shown
    #[arg(value_enum)]
    deed: Option<Deed>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Deed {
    /// Accept the clock now, so that retention applies again
    Confirm,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (answer, jump) = match args.deed {
        Some(Deed::Confirm) => {
            let call = args.connection.client()?.confirm_clock();
            let answer = args.connection.wait(call.json())?;
            let Confirmed { clock_jump } = read(answer.clone())?;
            (answer, clock_jump)
        }
        None => {
            let status = args.connection.ask(args.connection.client()?.status())?;
            (serde_json::json!({ "clock_jump": status.clock_jump }), status.clock_jump)
        }
    };
    if args.connection.json {
        return print_json(&answer);
    }
    let mut out = anstream::stdout().lock();
    match (args.deed, jump) {
        (None, Some(jump)) => writeln!(out, "{}", jump_words(jump))?,
        (None, None) => writeln!(out, "the clock is believed")?,
        (Some(Deed::Confirm), Some(jump)) => writeln!(out, "confirmed: ages of runs count the {} that it jumped", length(jump.ahead_s))?,
        (Some(Deed::Confirm), None) => writeln!(out, "nothing to confirm: the clock is believed")?,
    }
    Ok(out.flush()?)
}

/// Describes a jump of the clock that is not accepted yet.
pub(super) fn jump_words(jump: ClockJump) -> String {
    let (ahead, rest) = (length(jump.ahead_s), length(jump.counts_in_s));
    format!("the clock jumped {ahead} ahead: runs don't grow older by that for another {rest}, or until `monitor clock confirm`")
}

fn length(seconds: u64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
