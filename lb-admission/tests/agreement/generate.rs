//! Objects from the schemas of their kinds: most values are usual ones, some are invalid.

use lb_api::objects::{
    BfdProfileSpec, BgpAdvertisementSpec, BgpPeerSpec, CommunitySpec, IpAddressPoolSpec, L2AdvertisementSpec,
    schema_of,
};
use serde_json::{Map, Value, json};

use crate::random::Random;

/// A password that must never be in a problem.
pub(crate) const HUSH: &str = "Hush, hush!";

/// Kinds with their versions and the schemas of their specs.
pub(crate) struct Generator {
    kinds: [(&'static str, &'static str, Value); 6],
}

impl Generator {
    pub(crate) fn new() -> Self {
        let schema = |schema: schemars::Schema| schema.to_value();
        Self {
            kinds: [
                ("IPAddressPool", "v1beta1", schema(schema_of::<IpAddressPoolSpec>())),
                ("L2Advertisement", "v1beta1", schema(schema_of::<L2AdvertisementSpec>())),
                ("BGPAdvertisement", "v1beta1", schema(schema_of::<BgpAdvertisementSpec>())),
                ("BGPPeer", "v1beta2", schema(schema_of::<BgpPeerSpec>())),
                ("BFDProfile", "v1beta1", schema(schema_of::<BfdProfileSpec>())),
                ("Community", "v1beta1", schema(schema_of::<CommunitySpec>())),
            ],
        }
    }

    /// Returns an object of some kind.
    pub(crate) fn object(&self, random: &mut Random) -> Value {
        let name = *random.of(&["a", "b", "c", "d"]);
        if random.one_in(4) {
            return service(name, random);
        }
        let (kind, version, schema) = random.of(&self.kinds);
        let mut object = json!({
            "apiVersion": format!("metallb.io/{version}"),
            "kind": kind,
            "metadata": {"name": name, "namespace": "lb", "labels": labels(random)},
            "spec": value(schema, "spec", random),
        });
        if random.one_in(40) {
            object["metadata"]["namespace"] = "other".into();
        }
        if random.one_in(200) {
            let part = *random.of(&["apiVersion", "metadata", "spec", "status"]);
            object[part] = anything(random);
        }
        object
    }
}

fn labels(random: &mut Random) -> Value {
    let one = |random: &mut Random| (random.of(&["team", "rack"]).to_string(), json!(random.of(&["a", "b"])));
    (0..random.below(3)).map(|_| one(random)).collect::<Map<_, _>>().into()
}

/// Returns a value of a schema.
fn value(schema: &Value, field: &str, random: &mut Random) -> Value {
    if random.one_in(100) {
        return anything(random);
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        return value(random.of(variants), field, random);
    }
    if let Some(values) = schema["enum"].as_array() {
        return random.of(values).clone();
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        return random.of(variants)["const"].clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => random.of(kinds).as_str().unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "object" => object(schema, field, random),
        "array" => {
            let count = if field == "addresses" { 1 + random.below(2) } else { random.below(3) };
            (0..count).map(|_| value(&schema["items"], field, random)).collect()
        }
        "integer" => integer(schema, field, random),
        "boolean" => random.one_in(2).into(),
        "string" => text(field, random).into(),
        _ => Value::Null,
    }
}

fn object(schema: &Value, field: &str, random: &mut Random) -> Value {
    let mut object = Map::new();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        // Most fields are rarely set; the essential ones always are.
        let is_usual = matches!(
            name.as_str(),
            "addresses"
                | "myASN"
                | "peerASN"
                | "peerAddress"
                | "key"
                | "operator"
                | "name"
                | "value"
                | "weight"
                | "preference"
        );
        if if is_usual { !random.one_in(40) } else { random.one_in(4) } {
            object.insert(name.clone(), value(schema, name, random));
        }
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        for _ in 0..random.below(3) {
            object.insert(text("key", random).to_owned(), value(values, "value of a label", random));
        }
    }
    if random.one_in(60) && field != "matchLabels" {
        object.insert(random.of(&["adresses", "peerAdress", "nodeSelector", "x", ""]).to_string(), 1.into());
    }
    object.into()
}

fn integer(schema: &Value, field: &str, random: &mut Random) -> Value {
    let bound = |word: &str, otherwise: i64| schema[word].as_i64().unwrap_or(otherwise);
    let (least, most) = (bound("minimum", 0), bound("maximum", 100));
    match random.below(40) {
        0 => (least - 1).into(),
        1 => (most + 1).into(),
        2 => i64::MAX.into(),
        3 => i64::MIN.into(),
        4..8 => least.into(),
        8..12 => most.into(),
        _ if field.starts_with("aggregationLength") => (*random.of(&[24, 32, 64, 128])).into(),
        _ => random.of(&[1, 2, 3, 30, 100]).clamp(&least, &most).to_owned().into(),
    }
}

/// Returns words for a field: usual ones, and rare ones.
fn words(field: &str) -> (&'static [&'static str], &'static [&'static str]) {
    const NAMES: (&[&str], &[&str]) = (&["a", "b", "c", "d"], &["none", "", "Two Words"]);
    match field {
        "addresses" => (
            &[
                "10.1.0.0/30",
                "10.1.0.4/30",
                "10.1.1.0/24",
                "10.1.0.2-10.1.0.9",
                "2001:db8:1::/124",
                "10.3.0.0/028",
                "2001:db8:2::1-2001:db8:2::9",
                "10.2.0.0/32",
                "10.2.0.7-10.2.0.7",
            ],
            &[
                "127.0.0.0/30",
                "224.0.0.0/30",
                "0.0.0.0/0",
                "::/0",
                "255.255.255.255/32",
                "::ffff:10.1.0.0/120",
                "fe80::/64",
                "ff02::/16",
                "010.1.0.0/24",
                "10.1.0.9-10.1.0.1",
                "10.1.0.1-2001:db8::",
                "10.1.0.1",
                "",
            ],
        ),
        "peerAddress" | "sourceAddress" => (
            &["10.0.0.1", "10.0.0.2", "fd00::1", "10.8.0.1"],
            &["fe80::1", "0.0.0.0", "::", "224.0.0.5", "::ffff:10.0.0.1", "10.0.0.01", "router.example", ""],
        ),
        "holdTime" | "keepaliveTime" | "connectTime" => (
            &["3s", "9s", "90s", "1m30s", "30s"],
            &["3.5s", "0s", "500ms", "-1s", "soon", "9223372036854775807s", ""],
        ),
        "communities" => {
            (&["65000:1", "65000:2", "large:1:2:3", "vpn"], &["+64600:7", "1:70000", "no-export", "x"])
        }
        "value" => (&["65000:9", "large:4:5:6"], &["65000", "+1:2", ""]),
        "ipAddressPools" | "peers" | "bfdProfile" => NAMES,
        "name" => (&["vpn", "key", "a"], &["", "Two Words"]),
        "namespaces" | "namespace" => (&["shop", "lb"], &["none", ""]),
        "key" => (&["team", "rack", "example.org/zone"], &["", "two words", "a/b/c", "-a"]),
        "values" | "value of a label" => (&["a", "b"], &["", "two words", "-a"]),
        "password" => (&[HUSH], &["", "Hush, hush!\n", "Hush, hush!\r"]),
        "interface" | "interfaces" | "vrf" => (&["eth0", "eth1"], &["", "no such interface"]),
        "routerID" => (&["10.0.0.9"], &["0.0.0.0", "255.255.255.255", "fd00::1", ""]),
        _ => (&["a", "b"], &["", "\u{1f600}", "null", "yes", "{}", "\n"]),
    }
}

fn text(field: &str, random: &mut Random) -> &'static str {
    let (usual, rare) = words(field);
    let words = if random.one_in(15) { rare } else { usual };
    random.of::<&str>(words)
}

/// Returns an unexpected value.
fn anything(random: &mut Random) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!(HUSH),
        json!([]),
        json!({}),
        json!([null]),
        json!({"": null}),
        json!("x".repeat(5000)),
        json!([[[[[[]]]]]]),
        json!({HUSH: HUSH}),
    ];
    random.of(&values).clone()
}

/// Returns a Service, valid except for what it asks for.
fn service(name: &str, random: &mut Random) -> Value {
    let addresses = [
        "10.1.0.1",
        "10.1.0.5",
        "10.1.1.7",
        "10.2.0.0",
        "2001:db8:1::3",
        "10.1.0.1,2001:db8:1::1",
        "192.0.2.1",
        "x",
    ];
    let port = |random: &mut Random| json!({"name": random.of(&["http", "dns"]), "port": random.of(&[80, 53]), "protocol": random.of(&["TCP", "UDP"])});
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: Value| drop(annotations.insert(format!("metallb.io/{key}"), value));
    if random.one_in(3) {
        annotate("loadBalancerIPs", json!(random.of(&addresses)));
    }
    if random.one_in(4) {
        annotate("address-pool", json!(random.of(&["a", "b", "none"])));
    }
    if random.one_in(2) {
        annotate("allow-shared-ip", json!("k"));
    }
    if random.one_in(30) {
        annotate("adress-pool", json!("a"));
    }
    let families = [json!(["10.96.0.1"]), json!(["fd96::1"]), json!(["10.96.0.1", "fd96::1"])];
    let families = random.of(&families);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "labels": labels(random), "annotations": annotations},
        "spec": {
            "type": "LoadBalancer",
            "clusterIPs": families,
            "ports": [port(random)],
            "ipFamilyPolicy": random.of(&["SingleStack", "PreferDualStack", "RequireDualStack"]),
            "externalTrafficPolicy": random.of(&["Cluster", "Local"]),
            "sessionAffinity": random.of(&["None", "ClientIP"]),
            "loadBalancerSourceRanges": random.of(&[
                json!([]), json!(["10.0.0.0/8"]), json!([" 10.0.0.0/8", "2001:db8::/32"]), json!(["::/0", "010.0.0.1/8"])
            ]),
        },
    })
}
