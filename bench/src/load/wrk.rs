//! The maximum of HTTP requests, by wrk.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use fairlead_tests::lab::LabHost;

/// Returns the requests per second that are answered over this many connections.
///
/// # Errors
/// When wrk is not installed or fails, or an answer has another status than 200.
pub fn run(client: &LabHost, target: SocketAddr, connections: usize, seconds: u32) -> Result<f64> {
    let (seconds, limit) = (format!("{seconds}s"), (seconds + 20).to_string());
    let connections = connections.to_string();
    let command = client.command("timeout").args([limit.as_str(), "wrk", "-t", "1", "-c", &connections]);
    parse(&command.args(["-d", &seconds, &format!("http://{target}/")]).text()?)
}

/// Parses the output of wrk.
fn parse(printed: &str) -> Result<f64> {
    let value = |name: &str| printed.lines().find_map(|line| line.trim().strip_prefix(name));
    if let Some(errors) = value("Socket errors:").or_else(|| value("Non-2xx or 3xx responses:")) {
        bail!("wrk: errors:{errors}");
    }
    let rate = value("Requests/sec:").with_context(|| format!("wrk: {printed:?}"))?;
    rate.trim().parse().with_context(|| format!("wrk: {rate:?}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    const PRINTED: &str = "Running 1s test @ http://10.1.0.100/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.68ms  220.51us   5.11ms   91.00%
    Req/Sec    29.83k     1.29k   31.18k    90.91%
  32627 requests in 1.10s, 6.07MB read
";

    #[test]
    fn the_rate_is_read() {
        let printed = format!("{PRINTED}Requests/sec:  29683.21\nTransfer/sec:      5.52MB\n");
        assert_eq!(parse(&printed).unwrap(), 29_683.21);
        assert!(parse(PRINTED).is_err());
    }

    #[test]
    fn errors_are_not_a_maximum() {
        for line in ["Socket errors: connect 0, read 2, write 0, timeout 0", "Non-2xx or 3xx responses: 7"] {
            let printed = format!("{PRINTED}  {line}\nRequests/sec:  29683.21\n");
            assert!(parse(&printed).is_err(), "{line}");
        }
    }
}
