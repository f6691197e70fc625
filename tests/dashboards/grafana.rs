//! The description as a file for Grafana.

use serde_json::{Value, json};

use crate::board::{Kind, PROJECTS, Panel, REGIONS, ROWS};

/// The file for Grafana.
pub(crate) fn json() -> String {
    let mut panels = Vec::new();
    let mut top = 0;
    for (title, row) in ROWS {
        let id = panels.len() + 1;
        panels.push(json!({
            "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": top, "w": 24, "h": 1 },
        }));
        top += 1;
        let (mut left, mut high) = (0, 0);
        for panel in *row {
            let (wide, tall) = if panel.kind == Kind::Number { (6, 4) } else { (12, 8) };
            if left + wide > 24 {
                (left, top, high) = (0, top + high, 0);
            }
            let id = panels.len() + 1;
            panels.push(shape(panel, id, &json!({ "x": left, "y": top, "w": wide, "h": tall })));
            left += wide;
            high = high.max(tall);
        }
        top += high;
    }
    let variable = |name: &str, from: &str| {
        json!({
            "name": name, "type": "query", "datasource": source(), "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2,
            "sort": 1, "query": { "query": format!("label_values({from}, {name})"), "refId": name }, "current": { "text": "All", "value": "$__all" },
        })
    };
    let board = json!({
        "uid": "ringfence", "title": "Ringfence", "tags": ["sip"], "schemaVersion": 39, "version": 1, "editable": true,
        "refresh": "30s", "time": { "from": "now-6h", "to": "now" }, "timezone": "", "graphTooltip": 1,
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus" },
            variable("region", REGIONS),
            variable("project", PROJECTS),
        ] },
        "panels": panels,
    });
    format!("{board:#}\n")
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn shape(panel: &Panel, id: usize, place: &Value) -> Value {
    let (kind, options) = match panel.kind {
        Kind::Lines => (
            "timeseries",
            json!({ "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi", "sort": "desc" } }),
        ),
        Kind::Number => {
            ("stat", json!({ "reduceOptions": { "calcs": ["lastNotNull"] }, "graphMode": "area", "colorMode": "value" }))
        }
        Kind::States => ("state-timeline", json!({ "mergeValues": true, "showValue": "never" })),
    };
    let mut defaults = json!({ "unit": panel.unit, "min": 0 });
    if panel.kind == Kind::States {
        defaults["mappings"] = json!([{ "type": "value", "options": {
            "0": { "text": "down", "color": "red" }, "1": { "text": "up", "color": "green" },
        } }]);
    }
    let target = |(at, (expr, legend)): (usize, &(&str, &str))| json!({ "refId": char::from(b'A' + u8::try_from(at).unwrap()).to_string(), "datasource": source(), "expr": expr, "legendFormat": legend });
    let targets: Vec<Value> = panel.queries.iter().enumerate().map(target).collect();
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.about, "datasource": source(), "gridPos": place,
        "fieldConfig": { "defaults": defaults, "overrides": [] }, "options": options, "targets": targets,
    })
}
