//! Arguments that several subcommands share.

use std::path::PathBuf;

use clap::Args;

/// The agent's admin socket.
#[derive(Debug, Args)]
pub struct SocketArgs {
    /// Admin socket of the agent.
    #[arg(long, default_value = "/run/fairlead/agent.sock", value_name = "PATH")]
    pub socket: PathBuf,
}

impl SocketArgs {
    /// Returns the default socket of the keeper, beside the agent's. Agents whose sockets share a directory
    /// have a keeper each.
    pub fn keeper(&self) -> PathBuf {
        match self.socket.file_name() {
            Some(name) if name == "agent.sock" => self.socket.with_file_name("keeper.sock"),
            _ => self.socket.with_extension("keeper.sock"),
        }
    }

    /// Returns the default file of the last-known-good configuration, beside the socket.
    pub fn last_good(&self) -> PathBuf {
        self.socket.with_extension("accepted.json")
    }
}

/// Parses a time in seconds, minutes or hours, up to a limit in seconds.
pub fn seconds(text: &str, limit: u64) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (1..=limit).contains(seconds));
    seconds.ok_or_else(|| format!("must be from 1s to {}h, such as 30s or 10m", limit / 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        let hour = |text| seconds(text, 3600);
        assert_eq!(["90", "90s", "2m", "1h"].map(hour), [Ok(90), Ok(90), Ok(120), Ok(3600)]);
        assert!(hour("2h").is_err() && hour("0s").is_err() && hour("m").is_err() && hour("").is_err());
    }
}
