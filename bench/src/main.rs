//! The measurements, one command each.

mod commands;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use self::commands::{
    churn, compare, control, dashboard, failover, latency, load, packet, report, routers, scale, simulate,
    whole,
};

/// Measures Fairlead, in turns with what it is compared with. Without a subject, all that write results run
/// one after the other, and a report is made of them (as root).
#[derive(Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Invocation {
    #[command(flatten)]
    whole: whole::Arguments,
    #[command(subcommand)]
    subject: Option<Subject>,
}

#[derive(Subcommand)]
enum Subject {
    /// The cost of a packet in the XDP program
    Packet(packet::Arguments),
    /// Broken connections in a simulated cluster, compared with other schemes
    Simulate(simulate::Arguments),
    /// Time and memory of an agent's first pass, by Services and nodes (as root)
    Scale(scale::Arguments),
    /// The cost of one change to an agent, and of a scrape (as root)
    Control(control::Arguments),
    /// Latency of HTTP, connects and TCP round trips, compared with MetalLB-like set-ups (as root)
    Latency(latency::Arguments),
    /// Throughput, HTTP requests and their cost, compared with MetalLB-like set-ups (as root)
    Load(load::Arguments),
    /// How long routers send packets to a dead load balancer (as root)
    Routers(routers::Arguments),
    /// Outages, failed requests and broken connections when nodes fail, leave and join (as root)
    Failover(failover::Arguments),
    /// How many of 2,000 connections survive changes of the cluster (as root)
    Churn(churn::Arguments),
    /// Whether two files of results agree
    Compare(compare::Arguments),
    /// A report of a file of results
    Report(report::Arguments),
    /// The dashboard, drawn from the metrics of a lab in which a node fails (as root)
    #[command(hide = true)]
    Dashboard(dashboard::Arguments),
}

fn main() -> Result<ExitCode> {
    let Invocation { whole, subject } = Invocation::parse();
    let Some(subject) = subject else {
        return whole::run(&whole, whole::subjects(&Invocation::command()));
    };
    match subject {
        Subject::Packet(arguments) => return packet::run(arguments),
        Subject::Simulate(arguments) => return simulate::run(arguments),
        Subject::Scale(arguments) => return scale::run(&arguments),
        Subject::Control(arguments) => return control::run(arguments),
        Subject::Churn(arguments) => return churn::run(arguments),
        Subject::Failover(arguments) => return failover::run(arguments),
        Subject::Routers(arguments) => return routers::run(arguments),
        Subject::Latency(arguments) => return latency::run(arguments),
        Subject::Load(arguments) => return load::run(arguments),
        Subject::Compare(arguments) => return compare::run(&arguments),
        Subject::Report(arguments) => report::run(&arguments)?,
        Subject::Dashboard(arguments) => dashboard::run(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Invocation, whole};

    #[test]
    fn the_command_line_is_consistent() {
        Invocation::command().debug_assert();
    }

    #[test]
    fn a_subject_that_writes_results_is_part_of_the_whole_run() {
        let subjects = whole::subjects(&Invocation::command());
        assert!(subjects.contains(&"packet".to_owned()), "{subjects:?}");
        for other in ["compare", "report", "dashboard"] {
            assert!(!subjects.contains(&other.to_owned()), "{subjects:?}");
        }
    }
}
