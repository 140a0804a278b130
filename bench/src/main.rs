//! The measurements, one command each.

mod commands;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::commands::{advertise, dashboard, failover, kubernetes, model, packet, plan, scrape, simulate};

/// Measures Fairlead, in turns with what it is compared with.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Invocation {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// The cost of a packet in the XDP program
    Packet(packet::Arguments),
    /// Broken connections in a simulated cluster, compared with other schemes
    Simulate(simulate::Arguments),
    /// Balance of rings, and time and memory of a plan
    Plan,
    /// Time of a model after a change
    Model,
    /// Time to advertise a table to a BGP peer
    Advertise,
    /// Time of a scrape of ten thousand Services (as root)
    Scrape,
    /// Time and memory of an agent in a large cluster
    Kubernetes(kubernetes::Arguments),
    /// How long routers send packets to a dead load balancer (as root)
    Failover(failover::Arguments),
    /// The dashboard, drawn from the metrics of a lab in which a node fails (as root)
    #[command(hide = true)]
    Dashboard(dashboard::Arguments),
}

fn main() -> Result<ExitCode> {
    match Invocation::parse().subject {
        Subject::Packet(arguments) => return packet::run(arguments),
        Subject::Simulate(arguments) => return simulate::run(arguments),
        Subject::Plan => plan::run(),
        Subject::Model => model::run(),
        Subject::Advertise => advertise::run(),
        Subject::Scrape => scrape::run()?,
        Subject::Kubernetes(arguments) => kubernetes::run(arguments)?,
        Subject::Failover(arguments) => failover::run(arguments)?,
        Subject::Dashboard(arguments) => dashboard::run(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
