//! Throughput, by iperf3.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fairlead_tests::lab::LabHost;
use serde_json::Value;

/// How long the server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);

/// Returns the bits per second that a pod receives over this many TCP streams.
///
/// # Errors
/// When iperf3 is not installed, or fails.
pub fn run(client: &LabHost, pod: &LabHost, target: SocketAddr, streams: u32, seconds: u32) -> Result<f64> {
    let port = target.port().to_string();
    // It serves one client, and ends.
    let log = pod.directory_outside().join("iperf3.log");
    let mut server = pod.command("iperf3").args(["-s", "-1", "-p", &port]).spawn(&log)?;
    let until = Instant::now() + LISTENS_WITHIN;
    while pod.command("ss").args(["-Hltn", &format!("sport = :{port}")]).text()?.is_empty() {
        if Instant::now() > until {
            bail!("iperf3 does not listen: {:?}", server.ended());
        }
        sleep(Duration::from_millis(10));
    }
    let (seconds, limit) = (seconds.to_string(), (seconds + 20).to_string());
    let address = target.ip().to_string();
    let command = client.command("timeout").args([limit.as_str(), "iperf3", "-J", "-c", &address]);
    let printed = command.args(["-p", &port, "-P", &streams.to_string(), "-t", &seconds]).output()?;
    parse(&String::from_utf8_lossy(&printed.stdout))
}

/// Returns the bits per second that were received, from the output of `iperf3 -J`.
fn parse(printed: &str) -> Result<f64> {
    let report: Value = serde_json::from_str(printed).with_context(|| format!("iperf3: {printed:?}"))?;
    if let Some(error) = report["error"].as_str() {
        bail!("iperf3: {error}");
    }
    report["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3: nothing was received")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_received_rate_is_read() {
        let printed = r#"{ "start": {}, "end": { "sum_sent": { "bits_per_second": 2.0e9 },
            "sum_received": { "start": 0, "bits_per_second": 1.9e9, "sender": true } } }"#;
        assert_eq!(parse(printed).unwrap(), 1.9e9);
    }

    #[test]
    fn an_error_of_iperf3_is_reported() {
        let printed = r#"{ "start": {}, "end": {}, "error": "unable to connect to server" }"#;
        assert_eq!(parse(printed).unwrap_err().to_string(), "iperf3: unable to connect to server");
        assert!(parse("").is_err());
    }
}
