//! BFD profiles.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Names, ObjectCheck, takes_name};
use lb_api::objects::{BfdProfileSpec, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// The parameters of BFD sessions (RFC 5880). Defaults are those of FRR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdParameters {
    /// Minimum interval between transmitted packets.
    pub transmit: Duration,
    /// Minimum interval between received packets.
    pub receive: Duration,
    /// Detection multiplier.
    pub multiplier: u8,
    /// Interval between echo packets; `None`: none are sent.
    pub echo: Option<Duration>,
    /// Whether the peer has to start the session.
    pub passive: bool,
    /// Minimum TTL of multihop packets.
    pub minimum_ttl: u8,
}

/// In milliseconds.
const INTERVALS: &str = "10 to 60000 (milliseconds)";
const DEFAULT_INTERVAL: u32 = 300;
const DEFAULT_ECHO: u32 = 50;

pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, BfdParameters> {
    let mut profiles = BTreeMap::new();
    let mut names = Names::new();
    for object in objects {
        let Object::BfdProfile(written) = &object.value else { continue };
        if !takes_name(object, &mut names, problems) {
            continue;
        }
        let mut check = ObjectCheck::of(object, problems);
        let profile = read(&written.spec, &mut check);
        if let Some(profile) = profile.filter(|_| check.sound) {
            profiles.insert(written.metadata.name.clone(), profile);
        }
    }
    profiles
}

fn read(spec: &BfdProfileSpec, check: &mut ObjectCheck<'_>) -> Option<BfdParameters> {
    let mut interval = |field, written: Option<u32>, default| {
        let checked = within(written.unwrap_or(default), 10, 60_000, INTERVALS);
        check.value(field, checked).map(|ms| Duration::from_millis(ms.into()))
    };
    let receive = interval("spec.receiveInterval", spec.receive_interval, DEFAULT_INTERVAL);
    let transmit = interval("spec.transmitInterval", spec.transmit_interval, DEFAULT_INTERVAL);
    let echo = interval("spec.echoInterval", spec.echo_interval, DEFAULT_ECHO);
    let multiplier = within(spec.detect_multiplier.unwrap_or(3), 2, 255, "2 to 255");
    let multiplier = check.value("spec.detectMultiplier", multiplier);
    let minimum_ttl = within(spec.minimum_ttl.unwrap_or(254), 1, 254, "1 to 254");
    let minimum_ttl = check.value("spec.minimumTtl", minimum_ttl);
    Some(BfdParameters {
        transmit: transmit?,
        receive: receive?,
        multiplier: u8::try_from(multiplier?).ok()?,
        echo: echo.filter(|_| spec.echo_mode),
        passive: spec.passive_mode,
        minimum_ttl: u8::try_from(minimum_ttl?).ok()?,
    })
}

fn within(number: u32, least: u32, most: u32, allowed: &'static str) -> Result<u32, Reason> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(Reason::OutOfRange { written: number.to_string(), allowed })
    }
}
