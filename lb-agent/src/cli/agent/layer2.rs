//! The arguments of `fairlead agent` about announcement on the local network.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args};
use lb_model::parse_duration;

use crate::app::Layer2Options;

/// The word for a time that never comes.
const NEVER: &str = "never";

/// The settings of the announcement on the local network. They should be identical on all nodes.
#[derive(Debug, Args)]
pub(super) struct Layer2Args {
    /// How long a node that was dead leaves its addresses to the nodes that took them over, as `60s` or `5m`.
    /// `never`: as long as these nodes live.
    #[arg(long, default_value_t = PreemptAfter::DEFAULT, value_name = "DURATION|never")]
    l2_preempt_after: PreemptAfter,
    /// Interval at which this node repeats its announcements, gratuitous ARP and unsolicited Neighbor
    /// Advertisements, so that switches do not forget where its addresses are. 0 disables it.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    l2_keepalive: Duration,
    /// Ask whether another host has a new address, and announce it only if none has.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    l2_duplicate_check: bool,
}

/// The value of `--l2-preempt-after`; `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PreemptAfter(Option<Duration>);

impl PreemptAfter {
    const DEFAULT: Self = Self(Some(Duration::from_secs(60)));
}

impl fmt::Display for PreemptAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{}s", time.as_secs_f64()),
            None => f.write_str(NEVER),
        }
    }
}

impl FromStr for PreemptAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == NEVER { Ok(Self(None)) } else { duration(text).map(|time| Self(Some(time))) }
    }
}

impl From<Layer2Args> for Layer2Options {
    fn from(args: Layer2Args) -> Self {
        Self {
            preempt_after: args.l2_preempt_after.0,
            keep_alive: Some(args.l2_keepalive).filter(|interval| !interval.is_zero()),
            duplicate_check: args.l2_duplicate_check,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "must be a number with a unit, as 500ms, 30s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Layer2Args,
    }

    fn options(arguments: &[&str]) -> Result<Layer2Options, clap::Error> {
        let line = Line::try_parse_from(["fairlead"].iter().chain(arguments))?;
        Ok(line.args.into())
    }

    #[test]
    fn by_default_a_node_waits_a_minute_and_announces_twice_a_minute() {
        let expected = Layer2Options {
            preempt_after: Some(Duration::from_secs(60)),
            keep_alive: Some(Duration::from_secs(30)),
            duplicate_check: true,
        };
        assert_eq!(options(&[]).unwrap(), expected);
        assert_eq!(PreemptAfter::DEFAULT.to_string(), "60s");
    }

    #[test]
    fn all_can_be_disabled() {
        let off = ["--l2-preempt-after=never", "--l2-keepalive=0", "--l2-duplicate-check=false"];
        let expected = Layer2Options { preempt_after: None, keep_alive: None, duplicate_check: false };
        assert_eq!(options(&off).unwrap(), expected);
        assert_eq!(options(&["--l2-preempt-after=0"]).unwrap().preempt_after, Some(Duration::ZERO));
    }

    #[test]
    fn a_duration_has_a_unit() {
        for argument in ["--l2-preempt-after=60", "--l2-keepalive=never", "--l2-keepalive=-1s"] {
            let error = options(&[argument]).unwrap_err().to_string();
            assert!(error.contains("30s"), "{error}");
        }
    }
}
