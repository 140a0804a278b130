//! The Grafana dashboard: its panels as values, and its JSON.

mod grafana;
mod panels;

pub use self::grafana::json;
pub use self::panels::rows;

/// A titled group of panels.
#[derive(Clone, Debug)]
pub struct PanelRow {
    /// Its title.
    pub title: &'static str,
    /// Its panels, from left to right.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What it shows, and what to look for.
    pub description: &'static str,
    /// How it is drawn.
    pub kind: PanelKind,
    /// The unit of its values.
    pub unit: Unit,
    /// Its queries; none in a panel of text.
    pub queries: Vec<Query>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanelKind {
    /// The last value of each query, in large digits.
    Stat,
    /// Lines over time.
    Lines,
    /// Its description.
    Text,
}

/// The unit of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number.
    Count,
    /// 1 if a session is up, 0 if it is down.
    UpDown,
    /// Percent, from 0 to 100.
    Percent,
    /// Seconds.
    Seconds,
    /// Packets per second.
    PacketsPerSecond,
    /// Bits per second.
    BitsPerSecond,
    /// Events per second.
    PerSecond,
}

/// A query of Prometheus.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its expression, with Grafana's variables.
    pub expression: String,
    /// The name of each line: text with `{{label}}`.
    pub legend: &'static str,
}

impl Query {
    /// Returns the expression as Prometheus takes it: of all clusters, jobs, nodes and Services, with this
    /// interval for rates, and for the dashboard's whole range.
    #[must_use]
    pub fn with_interval(&self, interval: &str) -> String {
        let ranged = ["$__rate_interval", "$__range"];
        let expression = ranged.iter().fold(self.expression.clone(), |it, name| it.replace(name, interval));
        let chosen = ["$cluster", "$job", "$node", "$service"];
        chosen.iter().fold(expression, |it, name| it.replace(name, ".*"))
    }
}
