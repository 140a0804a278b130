//! The dashboard as Grafana's JSON.

use serde_json::{Value, json};

use super::{Panel, PanelKind, PanelRow, Query, Unit, rows};

/// The model's version, which Grafana migrates to its own.
const SCHEMA_VERSION: u32 = 39;
/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;
/// The variable with the data source.
const SOURCE: &str = "${datasource}";

/// Returns the dashboard.
#[must_use]
pub fn json() -> Value {
    json!({
        "title": "Fairlead",
        "uid": "fairlead",
        "description": "Load balancing by Fairlead: sessions, failovers, traffic, tables.",
        "tags": ["fairlead", "metallb"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables()},
        "panels": panels(&rows()),
    })
}

fn variables() -> Value {
    json!([
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        variable("cluster", "Cluster", "label_values(fairlead_ready, cluster)"),
        variable("job", "Job", "label_values(fairlead_ready{cluster=~\"$cluster\"}, job)"),
        variable("node", "Node", "label_values(fairlead_ready{cluster=~\"$cluster\",job=~\"$job\"}, node)"),
        variable(
            "service",
            "Service",
            "label_values(fairlead_vip_packets_total{cluster=~\"$cluster\",job=~\"$job\"}, service)",
        ),
    ])
}

/// "All" matches series without the label, too.
fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": SOURCE},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

/// Places the panels from left to right, and numbers them.
fn panels(rows: &[PanelRow]) -> Vec<Value> {
    let mut placed = Vec::new();
    let mut top = 0;
    let mut id = 0..;
    for row in rows {
        let place = json!({"x": 0, "y": top, "w": COLUMNS, "h": 1});
        placed.push(json!({
            "id": id.next(), "type": "row", "title": row.title, "gridPos": place, "collapsed": false, "panels": [],
        }));
        top += 1;
        let (mut left, mut height) = (0, 0);
        for panel in &row.panels {
            let (width, own) = size(panel.kind);
            if left + width > COLUMNS {
                (left, top) = (0, top + height);
            }
            let place = json!({"x": left, "y": top, "w": width, "h": own});
            placed.push(with_place(panel, &place, id.next()));
            (left, height) = (left + width, own);
        }
        top += height;
    }
    placed
}

const fn size(kind: PanelKind) -> (u32, u32) {
    match kind {
        PanelKind::Stat => (4, 4),
        PanelKind::Lines | PanelKind::Text => (8, 8),
    }
}

fn with_place(panel: &Panel, place: &Value, id: Option<u32>) -> Value {
    let kind = match panel.kind {
        PanelKind::Text => {
            return json!({
                "id": id, "type": "text", "title": panel.title, "gridPos": place,
                "options": {"mode": "markdown", "content": panel.description},
            });
        }
        PanelKind::Stat => "stat",
        PanelKind::Lines => "timeseries",
    };
    let targets: Vec<Value> =
        ('A'..).zip(&panel.queries).map(|(id, query)| target(id, query, panel.kind)).collect();
    json!({
        "id": id,
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": {"type": "prometheus", "uid": SOURCE},
        "targets": targets,
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel.kind),
    })
}

fn target(id: char, query: &Query, kind: PanelKind) -> Value {
    json!({
        "refId": id.to_string(),
        "datasource": {"type": "prometheus", "uid": SOURCE},
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": kind == PanelKind::Stat,
        "range": kind == PanelKind::Lines,
    })
}

fn defaults(panel: &Panel) -> Value {
    let unit = match panel.unit {
        Unit::Count => "short",
        Unit::UpDown => "bool_on_off",
        Unit::Percent => "percent",
        Unit::Seconds => "s",
        Unit::PacketsPerSecond => "pps",
        Unit::BitsPerSecond => "bps",
        Unit::PerSecond => "cps",
    };
    let mut defaults = json!({"unit": unit, "min": 0});
    if panel.unit == Unit::UpDown {
        defaults["max"] = 1.into();
        defaults["custom"] = json!({"lineInterpolation": "stepAfter"});
    }
    defaults
}

fn options(kind: PanelKind) -> Value {
    match kind {
        PanelKind::Stat => json!({
            "colorMode": "none", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]},
        }),
        PanelKind::Lines | PanelKind::Text => json!({
            "legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"},
        }),
    }
}
