//! The subcommand `fairlead why`.

use std::fmt::Write;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use form_urlencoded::Serializer;
use hyper::Method;
use lb_explain::link::{Cause, Chain, ChainLink, Explanation, LinkName, LinkState};

use crate::client::{self, AdminClientError};
use crate::common::SocketArgs;
use lb_status::output::{self, NOTICE, OutputError, OutputFormat, PROBLEM, WELL, styled};

/// The arguments of `fairlead why`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct WhyArgs {
    /// Service (`name` or `namespace/name`) or VIP (`address`, `address:port` or `address:port/protocol`).
    #[arg(value_name = "SERVICE|VIP")]
    target: String,
    /// Client that cannot reach it: its address is compared with the source ranges, and the way back to it is
    /// checked.
    #[arg(long, value_name = "CLIENT")]
    from: Option<IpAddr>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    socket: SocketArgs,
}

const EXIT_CODES: &str =
    "Exit codes: 0: all is well; 1: a link is broken or degraded; 2: the agent cannot be asked.";

/// Exit code: the agent cannot be asked.
const CANNOT_ASK: u8 = 2;
/// Longer than the agent takes for all VIPs of a Service.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks the agent, and prints the chain of each VIP. If the agent does not answer, that is the broken link.
///
/// # Errors
/// When the response cannot be parsed, or the output cannot be written.
pub fn run(args: &WhyArgs) -> Result<ExitCode, OutputError> {
    let mut query = Serializer::new(String::new());
    query.append_pair("target", &args.target);
    if let Some(client) = args.from {
        query.append_pair("from", &client.to_string());
    }
    let path = format!("/why?{}", query.finish());
    let answer = client::request_within(&args.socket.socket, &Method::GET, &path, LIMIT)
        .and_then(|body| Ok(serde_json::from_slice::<Explanation>(&body)?));
    let code = match &answer {
        Ok(explanation) if explanation.is_well() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(CANNOT_ASK),
    };
    let explanation = answer.unwrap_or_else(|error| not_answering(args, &error));
    let text = match args.output.document(&explanation)? {
        Some(document) => document,
        None => render(&explanation),
    };
    output::print(&text)?;
    Ok(code)
}

/// Returns the explanation if the agent cannot be asked.
fn not_answering(args: &WhyArgs, error: &AdminClientError) -> Explanation {
    let advice = "start the agent, or name its --socket; what it has installed goes on forwarding until then";
    let link = ChainLink::broken(LinkName::Agent, Cause::AgentNotAnswering, error.to_string(), advice);
    let chain = Chain { vip: None, service: None, links: vec![link] };
    Explanation::of("this node".to_owned(), args.target.clone(), args.from, vec![chain])
}

/// Renders an explanation: the chains, then what is broken first and what to do.
fn render(explanation: &Explanation) -> String {
    let mut screen = String::new();
    let client = explanation.client.map(|client| format!(", for client {client}")).unwrap_or_default();
    let _ = writeln!(screen, "{}, as seen by {}{client}", explanation.target, explanation.node);
    match &explanation.chains[..] {
        [only] => block(&mut screen, &[&only.service, &only.vip], only.links.iter()),
        chains => {
            // Most links are the same for all ports of a Service.
            let is_common = |link: &&ChainLink| chains.iter().all(|chain| chain.links.contains(link));
            if let Some(first) = chains.first() {
                block(&mut screen, &[&first.service], first.links.iter().filter(is_common));
            }
            for chain in chains {
                block(&mut screen, &[&chain.vip], chain.links.iter().filter(|link| !is_common(link)));
            }
        }
    }
    if explanation.left_out > 0 {
        let _ = writeln!(screen, "\n{} more VIPs; name one to see its chain", explanation.left_out);
    }
    let _ = match &explanation.first {
        None => writeln!(screen, "\nall is well as far as {} can see", explanation.node),
        Some(link) => writeln!(screen, "\n{}", conclusion(explanation, link)),
    };
    screen
}

/// Renders links below a title.
fn block<'a>(screen: &mut String, title: &[&Option<String>], links: impl Iterator<Item = &'a ChainLink>) {
    let title: Vec<_> = title.iter().filter_map(|part| part.as_deref()).collect();
    if !title.is_empty() {
        let _ = writeln!(screen, "\n{}", title.join("  "));
    }
    for link in links {
        let state = format!("{:<9}", link.state.as_str());
        let state = match link.state {
            LinkState::Ok => styled(WELL, &state),
            LinkState::Unknown => state,
            LinkState::Degraded => styled(NOTICE, &state),
            LinkState::Broken => styled(PROBLEM, &state),
        };
        let _ = writeln!(screen, "  {state} {:<14} {}", link.name.as_str(), link.fact);
    }
}

fn conclusion(explanation: &Explanation, link: &ChainLink) -> String {
    let word = if link.state == LinkState::Broken { "broken" } else { "degraded" };
    let of = explanation.first_vip.as_ref().map(|vip| format!(" of {vip}")).unwrap_or_default();
    let advice = link.advice.as_ref().map(|advice| format!("\nto do: {advice}")).unwrap_or_default();
    format!("first {word} link{of}: {}\ncause: {}{advice}", link.name.as_str(), link.fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation(links: Vec<ChainLink>) -> Explanation {
        let vip = Some("192.0.2.1:80/TCP".to_owned());
        let chain = Chain { vip, service: Some("shop/web".to_owned()), links };
        Explanation::of("n1".into(), "web".into(), None, vec![chain])
    }

    #[test]
    fn the_first_broken_link_and_its_advice_follow_the_chain() {
        let links = vec![
            ChainLink::ok(LinkName::Object, "Service shop/web"),
            ChainLink::broken(LinkName::Announcer, Cause::NoAnnouncer, "none", "a").degraded(),
            ChainLink::broken(LinkName::Ring, Cause::RingFull, "lb_rings is full", "raise the capacity"),
            ChainLink::broken(LinkName::Proxy, Cause::ProxyRuleMissing, "no rule", "b"),
        ];
        let screen = render(&explanation(links));
        let end = "first broken link of 192.0.2.1:80/TCP: ring\ncause: lb_rings is full\nto do: raise the capacity\n";
        assert!(screen.ends_with(end), "{screen}");
        assert!(screen.contains("shop/web  192.0.2.1:80/TCP\n"), "{screen}");
    }

    #[test]
    fn a_link_that_all_vips_share_is_printed_once() {
        let chain = |port: u16| Chain {
            vip: Some(format!("192.0.2.1:{port}/TCP")),
            service: Some("shop/web".to_owned()),
            links: vec![
                ChainLink::ok(LinkName::Object, "Service shop/web"),
                ChainLink::ok(LinkName::Maps, format!("number {port}")),
            ],
        };
        let explanation = Explanation::of("n1".into(), "web".into(), None, vec![chain(80), chain(443)]);
        let screen = render(&explanation);
        assert_eq!(screen.matches("Service shop/web").count(), 1, "{screen}");
        assert!(screen.contains("192.0.2.1:443/TCP\n") && screen.contains("number 443"), "{screen}");
    }

    #[test]
    fn no_link_is_named_if_all_is_well() {
        let screen = render(&explanation(vec![ChainLink::unknown(LinkName::Counters, "no packet")]));
        assert!(screen.ends_with("\nall is well as far as n1 can see\n"), "{screen}");
    }
}
