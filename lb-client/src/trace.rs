//! The subcommand `fairlead trace`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hyper::Method;
use hyper::body::Bytes;
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{self, AdminClientError};
use crate::common::{SocketArgs, seconds};
use lb_trace::line;
use lb_trace::pcapng::{PcapngError, PcapngWriter};
use lb_trace::record::{MAX_RATE, MAX_SECONDS, TraceBatch, TraceRequest, TraceStarted, TracedPacket};

/// Shows packets as they arrive, with the verdict of the XDP program on each: a sample at a bounded rate.
///
/// While a trace runs, another program is on the uplinks, which forwards in the same way and records packets.
/// It ends with the command, at the latest three seconds after it. Only one trace can run on a node.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Only packets to this address or prefix, with a port if one is given: 203.0.113.10, 203.0.113.10:443,
    /// [2001:db8::1]:443, 203.0.113.0/24. In a tunnel between nodes, the inner packet counts.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = vip)]
    vip: Option<VipFilter>,
    /// Only packets from this address or prefix.
    #[arg(long, value_name = "CLIENT", value_parser = net)]
    from: Option<IpNet>,
    /// Only packets of this protocol: tcp, udp, sctp, icmp, icmpv6 or a number.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    protocol: Option<u8>,
    /// Only packets that are dropped.
    #[arg(long)]
    drops: bool,
    /// Only packets with this verdict. Can be repeated. By default, all but those that concern no VIP and the
    /// packets by which nodes and routers watch each other.
    #[arg(long, value_name = "NAME")]
    verdict: Vec<String>,
    /// Maximum rate, in packets per second. More packets are counted, but not shown.
    #[arg(long, default_value = "100/s", value_name = "N/s", value_parser = rate)]
    rate: u32,
    /// End after this many packets.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time, at most an hour: 30s, 10m, 1h.
    #[arg(long = "for", default_value = "10m", value_name = "TIME", value_parser = |text: &str| seconds(text, MAX_SECONDS))]
    limit: u64,
    /// Bytes of each packet to record.
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    snap: u32,
    /// Write the packets to this file in pcapng, each with its verdict as a comment, instead of showing them.
    #[arg(short, long, value_name = "FILE.pcapng")]
    write: Option<PathBuf>,
    /// End before the file exceeds this size, in MiB.
    #[arg(long, default_value_t = 64, value_name = "MIB", requires = "write")]
    file_size: u64,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each packet.
    Text,
    /// A JSON object for each packet, on a line of its own.
    Json,
}

/// An address or prefix, and a port of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VipFilter {
    net: IpNet,
    port: Option<u16>,
}

/// An error that ends `fairlead trace`.
#[derive(Debug, thiserror::Error)]
pub enum TraceCommandError {
    /// The agent does not answer.
    #[error(transparent)]
    Client(#[from] AdminClientError),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: PcapngError,
    },
    /// Standard output is closed, or a signal cannot be awaited.
    #[error("cannot show packets: {0}")]
    Output(#[from] io::Error),
}

/// Traces until the command is interrupted, or a limit is reached.
///
/// # Errors
/// See [`TraceCommandError`].
pub fn run(args: &TraceArgs) -> Result<(), TraceCommandError> {
    client::runtime(&args.socket.socket)?.block_on(trace(args))
}

async fn trace(args: &TraceArgs) -> Result<(), TraceCommandError> {
    let mut sink = Sink::open(args)?;
    let socket = &args.socket.socket;
    let body = serde_json::to_vec(&request(args)).map_err(AdminClientError::from)?;
    let started = client::send(socket, &Method::POST, "/trace", body.into()).await?;
    let TraceStarted { id, .. } = serde_json::from_slice(&started).map_err(AdminClientError::from)?;
    let path = format!("/trace/{id}");
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let end = Instant::now() + Duration::from_secs(args.limit);
    let outcome = loop {
        if sink.is_done(args) || Instant::now() >= end {
            break Ok(());
        }
        let answer = tokio::select! {
            answer = client::send(socket, &Method::GET, &path, Bytes::new()) => answer,
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
        };
        if let Err(error) = answer.map_err(TraceCommandError::from).and_then(|it| sink.take(args, &it)) {
            break Err(error);
        }
    };
    // Also after an error: otherwise the program stays on the uplinks until the lease is over.
    let last = client::send(socket, &Method::DELETE, &path, Bytes::new()).await;
    outcome?;
    match last {
        Ok(last) => sink.take(args, &last)?,
        // It ended by itself a moment ago.
        Err(AdminClientError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    sink.finish(args)
}

fn request(args: &TraceArgs) -> TraceRequest {
    TraceRequest {
        vip: args.vip.map(|vip| vip.net),
        port: args.vip.and_then(|vip| vip.port),
        protocol: args.protocol,
        client: args.from,
        verdicts: args.verdict.clone(),
        drops: args.drops,
        rate: args.rate,
        snap: args.snap,
        seconds: args.limit,
    }
}

/// Where packets go.
struct Sink {
    file: Option<PcapngWriter<BufWriter<File>>>,
    shown: u64,
    matched: u64,
    lost: u64,
    is_full: bool,
}

impl Sink {
    fn open(args: &TraceArgs) -> Result<Self, TraceCommandError> {
        let file = args.write.as_ref().map(|path| {
            let created = File::create(path).map_err(PcapngError::from);
            let writer = created.and_then(|file| {
                PcapngWriter::new(BufWriter::new(file), args.snap, args.file_size.saturating_mul(1 << 20))
            });
            writer.map_err(|source| TraceCommandError::File { path: path.clone(), source })
        });
        Ok(Self { file: file.transpose()?, shown: 0, matched: 0, lost: 0, is_full: false })
    }

    fn is_done(&self, args: &TraceArgs) -> bool {
        self.is_full || args.count.is_some_and(|count| self.shown >= count)
    }

    fn take(&mut self, args: &TraceArgs, answer: &[u8]) -> Result<(), TraceCommandError> {
        let batch: TraceBatch = serde_json::from_slice(answer).map_err(AdminClientError::from)?;
        (self.matched, self.lost) = (batch.matched, batch.lost);
        let mut out = io::stdout().lock();
        for packet in &batch.packets {
            if self.is_done(args) {
                break;
            }
            self.put(args, packet, &mut out)?;
        }
        Ok(out.flush()?)
    }

    fn put(
        &mut self,
        args: &TraceArgs,
        packet: &TracedPacket,
        out: &mut impl Write,
    ) -> Result<(), TraceCommandError> {
        if let Some(file) = &mut self.file {
            let path = args.write.clone().unwrap_or_default();
            let written = file.write(packet, &line::comment(packet));
            self.is_full = !written.map_err(|source| TraceCommandError::File { path, source })?;
        } else if args.output == Output::Json {
            writeln!(out, "{}", serde_json::json!(packet))?;
        } else {
            writeln!(out, "{}", line::render(packet))?;
        }
        if !self.is_full {
            self.shown += 1;
        }
        Ok(())
    }

    /// Says on standard error how much of it was shown.
    fn finish(self, args: &TraceArgs) -> Result<(), TraceCommandError> {
        let Self { file, shown, matched, lost, is_full } = self;
        if let (Some(file), Some(path)) = (file, &args.write) {
            file.finish().map_err(|source| TraceCommandError::File { path: path.clone(), source })?;
        }
        let mut summary = format!("{shown} packets of {matched} that matched");
        if lost > 0 {
            summary.push_str(&format!(
                "; {lost} were lost because the agent was too slow: lower --rate or --snap"
            ));
        }
        if is_full {
            summary.push_str("; the file has reached --file-size");
        }
        eprintln!("{summary}");
        Ok(())
    }
}

/// Parses an address, a prefix, or an address with a port.
fn vip(text: &str) -> Result<VipFilter, String> {
    if let Ok(SocketAddr::V4(_) | SocketAddr::V6(_)) = text.parse::<SocketAddr>() {
        let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
        return Ok(VipFilter { net: address.ip().into(), port: Some(address.port()) });
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Ok(VipFilter { net: net(bare)?, port: None })
}

/// Parses an address or a prefix.
fn net(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| "is no IP address and no prefix".to_owned())
}

fn protocol(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "sctp" => Ok(132),
        "icmp" => Ok(1),
        "icmpv6" => Ok(58),
        number => {
            number.parse().map_err(|_| "is no protocol: use tcp, udp, sctp, icmp or a number".to_owned())
        }
    }
}

/// Parses a number of packets per second, with or without `/s`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse().ok().filter(|rate| (1..=MAX_RATE).contains(rate));
    rate.ok_or_else(|| format!("must be from 1 to {MAX_RATE} packets per second, such as 100/s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vip_is_an_address_with_or_without_a_port_or_a_prefix() {
        for (text, net, port) in [
            ("203.0.113.10", "203.0.113.10/32", None),
            ("203.0.113.10:443", "203.0.113.10/32", Some(443)),
            ("203.0.113.0/24", "203.0.113.0/24", None),
            ("2001:db8::1", "2001:db8::1/128", None),
            ("[2001:db8::1]", "2001:db8::1/128", None),
            ("[2001:db8::1]:443", "2001:db8::1/128", Some(443)),
        ] {
            assert_eq!(vip(text), Ok(VipFilter { net: net.parse().unwrap(), port }), "{text}");
        }
        assert!(vip("web").is_err() && vip("203.0.113.10:http").is_err());
    }

    #[test]
    fn rates_have_a_unit_and_bounds() {
        assert_eq!(["100", "100/s"].map(rate), [Ok(100), Ok(100)]);
        assert!(rate("0/s").is_err() && rate("20000/s").is_err());
    }
}
