//! Tests of the status page, with curl and in a browser.

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Result, ensure};
use fairlead_tests::browser::Browser;
use fairlead_tests::lab::{ExternalPolicy, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use serde_json::{Value, json};

const PAGE: &str = "http://127.0.0.1:9125/";
const WITHIN: Duration = Duration::from_secs(20);

fn topology() -> Topology {
    let nodes = Topology::empty().node('a', 1).node('a', 2).pods("n1", "web", 1).pods("n2", "web", 1);
    nodes.service("web", "web", &[WEB_V4], ExternalPolicy::Cluster)
}

fn options(arguments: &[&str]) -> LabAgentOptions {
    let all = ["--metrics-address", "127.0.0.1:9125"].iter().chain(arguments);
    LabAgentOptions { arguments: all.map(ToString::to_string).collect(), ..LabAgentOptions::default() }
}

/// Returns head and body of a response.
fn get(node: &LabNode<'_>, path: &str) -> Result<String> {
    node.command("curl").args(["--silent", "--show-error", "--include", &format!("{PAGE}{path}")]).text()
}

#[test]
fn the_page_has_the_status_of_the_command_and_can_be_switched_off() -> Result<()> {
    topology().run(|lab| {
        let node = lab.node("n1")?;
        node.start_agent(&options(&[]))?;
        let page = get(&node, "")?;
        for header in ["200 OK", "content-security-policy: default-src 'none'", "nosniff", "no-store"] {
            ensure!(page.contains(header), "{header}: {page}");
        }
        let answer = get(&node, "status.json")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let served: Value = serde_json::from_str(body)?;
        let printed = node.status()?;
        for field in ["node", "version", "nodes", "services", "ready"] {
            ensure!(served[field] == printed[field] && !served[field].is_null(), "{field}: {served}");
        }
        for field in ["summary", "bgp", "bfd", "l2"] {
            ensure!(served[field].is_object(), "{field}: {served}");
        }
        for path in ["../etc/passwd", "status", "drain"] {
            ensure!(get(&node, path)?.starts_with("HTTP/1.1 404"), "{path}");
        }
        node.stop_agent(WITHIN)?;

        node.start_agent(&options(&["--status-page", "off"]))?;
        for path in ["", "status.json"] {
            ensure!(get(&node, path)?.starts_with("HTTP/1.1 404"), "{path}");
        }
        ensure!(get(&node, "metrics")?.starts_with("HTTP/1.1 200"));
        Ok(())
    })
}

#[test]
fn a_browser_shows_nodes_and_problems_first_also_on_a_phone() -> Result<()> {
    let name = "a_browser_shows_nodes_and_problems_first_also_on_a_phone";
    topology().run(|lab| {
        let (one, other) = (lab.node("n1")?, lab.node("n2")?);
        let Some(mut browser) = Browser::start_or_skip(&one, name)? else { return Ok(()) };
        agents::start(&[lab.node("n1")?, lab.node("n2")?], &options(&[]))?;
        browser.resize(1000, 760, false)?;
        browser.open(PAGE)?;
        browser.wait("document.querySelectorAll('#nodes tbody tr').length === 2", WITHIN)?;
        for node in ["n1", "n2"] {
            let cells = "[...document.querySelectorAll('#nodes tbody tr td:first-child')].map(it => it.textContent)";
            let shown = browser.evaluate(cells)?;
            ensure!(shown.as_array().is_some_and(|names| names.contains(&json!(node))), "{shown}");
        }

        // The page follows the agent by itself, and a name is text, whatever it contains.
        other.fairlead(&["drain", "--no-wait"])?;
        browser.wait("[...document.querySelectorAll('#findings li.notice')].some(it => it.textContent.includes('n2 is draining'))", WITHIN)?;
        let manifest = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n\
             metadata: {name: \"<img src=x onerror='document.title=1'>\", namespace: metallb-system}\nspec: {addresses: [nowhere]}\n";
        fs::write(lab.outside(&lab.manifests_directory().join("bad.yaml")), manifest)?;
        browser.wait("[...document.querySelectorAll('#findings li.problem')].some(it => it.textContent.includes('<img'))", WITHIN)?;
        ensure!(browser.evaluate("document.images.length")? == json!(0), "a name has become an element");
        let first = browser.evaluate("document.querySelector('main').firstElementChild.id + ' ' + document.querySelector('#findings li').className")?;
        ensure!(first == json!("findings problem"), "{first}");
        if let Some(file) = env::var_os("FAIRLEAD_SCREENSHOT") {
            fs::remove_file(lab.outside(&lab.manifests_directory().join("bad.yaml")))?;
            browser.wait("![...document.querySelectorAll('#findings li')].some(it => it.textContent.includes('<img'))", WITHIN)?;
            browser.evaluate("document.querySelector('#services').open = true; document.querySelector('#packets').open = true")?;
            browser.screenshot(Path::new(&file))?;
        }

        browser.resize(360, 740, true)?;
        browser.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true; })")?;
        let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        ensure!(browser.evaluate(overflow)? == json!(0), "the page is wider than a phone");
        let width = browser.evaluate("document.documentElement.clientWidth")?;
        ensure!(width == json!(360), "the page is laid out for {width} pixels");
        ensure!(browser.complaints().is_empty(), "{:?}", browser.complaints());

        one.stop_agent(WITHIN)?;
        browser.wait("!document.querySelector('#stale').hidden && document.querySelector('#stale').textContent.startsWith('Not updated since')", WITHIN)
    })
}
