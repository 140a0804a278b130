//! Scrapes of an agent's metrics, and a cluster of so many Services that they cost something.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::{Lab, LabNode};

/// Where agents of a lab serve their metrics, each in a namespace of its own.
pub const METRICS: &str = "127.0.0.1:9125";
/// What Prometheus sends.
pub const OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";

/// A scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Its text.
    pub text: String,
    /// The time from the request to the last octet of the response.
    pub took: Duration,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Scrapes a node's agent, as a client that accepts this.
    ///
    /// # Errors
    /// When the agent does not answer with 200, or a line is neither a comment nor a sample.
    pub fn of(node: &LabNode<'_>, accept: &str) -> Result<Self> {
        let url = format!("http://{METRICS}/metrics");
        let header = format!("Accept: {accept}");
        let args = ["-sSf", "-m", "10", "-H", &header, "-w", "%{stderr}%{time_total}", &url];
        let output = node.command("curl").args(args).output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {printed}", node.name());
        let took = Duration::from_secs_f64(printed.trim().parse().with_context(|| printed.to_string())?);
        Self::parse(String::from_utf8(output.stdout)?, took)
    }

    fn parse(text: String, took: Duration) -> Result<Self> {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').with_context(|| format!("not a sample: {line}"))?;
            let before = samples.insert(series.to_owned(), value.parse().with_context(|| line.to_owned())?);
            ensure!(before.is_none(), "twice: {series}");
        }
        Ok(Self { text, took, samples })
    }

    /// Returns the sum of the series of a metric whose labels contain all of these texts.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.series(name, labels).map(|(_, value)| value).sum()
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns whether it has no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Returns how many series a metric has.
    pub fn count(&self, name: &str) -> usize {
        self.series(name, &[]).count()
    }

    /// Returns the series of a metric whose labels contain all of these texts.
    fn series<'a>(&'a self, name: &'a str, labels: &'a [&str]) -> impl Iterator<Item = (&'a str, f64)> {
        let is_it = move |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| series.contains(label))
        };
        self.samples
            .iter()
            .filter(move |(series, _)| is_it(series))
            .map(|(series, value)| (series.as_str(), *value))
    }
}

/// Writes so many Services of two addresses each, with an endpoint on `n1`, in a file of their own.
///
/// # Errors
/// When the file cannot be written.
pub fn write_services(lab: &Lab, count: u32) -> Result<()> {
    let mut text = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: many}, \
                    spec: {addresses: [10.128.0.0/16, 2001:db8:80::/112]}}\n"
        .to_owned();
    for number in 0..count {
        let v4 = Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + number);
        let v6 = Ipv6Addr::from_bits(
            Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0).to_bits() + u128::from(number),
        );
        write!(
            text,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s{number}, namespace: d, annotations: \
             {{metallb.io/loadBalancerIPs: \"{v4},{v6}\"}}}}, spec: {{type: LoadBalancer, ipFamilyPolicy: \
             RequireDualStack, ipFamilies: [IPv4, IPv6], ports: [{{port: 80}}]}}}}\n"
        )?;
        for (family, address) in [("IPv4", "10.244.1.2"), ("IPv6", "2001:db8:244:1::2")] {
            write!(
                text,
                "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s{number}-{family}, \
                 namespace: d, labels: {{kubernetes.io/service-name: s{number}}}}}, addressType: {family}, ports: \
                 [{{port: 80}}], endpoints: [{{addresses: [\"{address}\"], nodeName: n1}}]}}\n"
            )?;
        }
    }
    let directory = lab.outside(&lab.manifests_directory());
    let draft = directory.join(".many.draft");
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, directory.join("many.yaml"))?)
}
