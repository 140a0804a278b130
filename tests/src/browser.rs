//! A headless Chromium inside a host of the lab, driven over its DevTools protocol.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::kube_clients::program_or_skip;
use crate::lab::{LabHost, Process};

const STARTS_WITHIN: Duration = Duration::from_secs(60);
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    profile: PathBuf,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    requests: u64,
    /// What the page has complained about: exceptions, violations of its policy, failed requests.
    complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser in a host; `None` if this machine has none: then test `name` reports that it is
    /// skipped.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_or_skip(host: &LabHost, name: &str) -> Result<Option<Self>> {
        let Some(program) = program_or_skip("chromium", name) else { return Ok(None) };
        Self::start(host, &program).map(Some)
    }

    fn start(host: &LabHost, program: &Path) -> Result<Self> {
        let home = host.directory().join("chromium");
        let log = host.directory_outside().join("chromium.log");
        let process = host
            .command(&program.to_string_lossy())
            // The lab runs as root, in namespaces of its own.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--remote-debugging-port=0", "--hide-scrollbars", "about:blank"])
            .arg(format!("--user-data-dir={}", home.display()))
            .env("HOME", &home)
            .spawn(&log)?;
        let address = until(STARTS_WITHIN, || debugger(&log))?;
        let port: u16 = address.split(['/', ':']).find_map(|part| part.parse().ok()).context("no port")?;
        let stream = host.run(|| Ok(TcpStream::connect(("127.0.0.1", port))?))?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        let (socket, _) = tungstenite::client(address, stream)?;
        let profile = host.directory_outside().join("chromium");
        let mut browser =
            Self { process, profile, socket, session: None, requests: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, &json!({}))?;
        }
        Ok(browser)
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", &json!({"url": url}))?;
        ensure!(opened["errorText"].is_null(), "{url}: {opened}");
        Ok(())
    }

    /// Sets the size of the viewport, as of a phone or of a screen.
    ///
    /// # Errors
    /// When the browser refuses it.
    pub fn resize(&mut self, width: u32, height: u32, is_phone: bool) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// Evaluates an expression in the page.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let evaluate = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &evaluate)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// When it throws, or is not true in time.
    pub fn wait(&mut self, expression: &str, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        while self.evaluate(expression)? != json!(true) {
            if Instant::now() > end {
                let text = self.evaluate("document.body.innerText")?;
                bail!("not within {within:?}: {expression}\n{text}\n{:?}", self.complaints);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Writes a picture of the viewport.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub fn screenshot(&mut self, file: &Path) -> Result<()> {
        let picture = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        Ok(fs::write(file, STANDARD.decode(picture["data"].as_str().context("no picture")?)?)?)
    }

    /// Returns what pages have complained about so far.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.requests += 1;
        let mut request = json!({"id": self.requests, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(request.to_string()))?;
        loop {
            let message = self.socket.read().with_context(|| format!("no answer to {method}"))?;
            let Message::Text(text) = message else { continue };
            let mut message: Value = serde_json::from_str(text.as_str())?;
            if message["id"] == json!(self.requests) {
                ensure!(message["error"].is_null(), "{method}: {message}");
                return Ok(message["result"].take());
            }
            self.complaints.extend(complaint(&message));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its own processes; a browser that is killed leaves them.
        let _: Result<Value> = self.call("Browser.close", &json!({}));
        if self.process.wait(Duration::from_secs(10)).is_err() {
            let _: Result<()> = self.process.signal(Signal::SIGKILL);
        }
        let _: std::io::Result<()> = fs::remove_dir_all(&self.profile);
    }
}

/// Returns the address that a browser has written to its log.
fn debugger(log: &Path) -> Result<String> {
    let text = fs::read_to_string(log)?;
    let (_, after) = text.split_once("DevTools listening on ").with_context(|| text.clone())?;
    let line = after.lines().next().filter(|_| after.contains('\n'));
    Ok(line.context("the line is not complete")?.trim().to_owned())
}

fn complaint(message: &Value) -> Option<String> {
    let about = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(about["exceptionDetails"].to_string()),
        "Log.entryAdded" if about["entry"]["level"] == "error" => Some(about["entry"].to_string()),
        _ => None,
    }
}

fn until<T>(within: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}
