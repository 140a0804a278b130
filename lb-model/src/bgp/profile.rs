//! How ways to routers are watched.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::{Judge, Names, takes_name};
use lb_api::objects::{BfdProfileSpec, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// How the way to a router is watched (RFC 5880). What is not written is as FRR has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdProfile {
    /// Time between two packets out, at least.
    pub transmit: Duration,
    /// Time between two packets in, at least.
    pub receive: Duration,
    /// Packets that may be missing.
    pub multiplier: u8,
    /// Time between two echoes; `None`: none are sent.
    pub echo: Option<Duration>,
    /// Whether the router has to begin.
    pub passive: bool,
    /// Lowest TTL over several hops.
    pub minimum_ttl: u8,
}

/// In milliseconds.
const INTERVALS: &str = "10 to 60000 (milliseconds)";
const DEFAULT_INTERVAL: u32 = 300;
const DEFAULT_ECHO: u32 = 50;

pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, BfdProfile> {
    let mut profiles = BTreeMap::new();
    let mut names = Names::new();
    for object in objects {
        let Object::BfdProfile(written) = &object.value else { continue };
        if !takes_name(object, &mut names, problems) {
            continue;
        }
        let mut judge = Judge::of(object, problems);
        let profile = read(&written.spec, &mut judge);
        if let Some(profile) = profile.filter(|_| judge.sound) {
            profiles.insert(written.metadata.name.clone(), profile);
        }
    }
    profiles
}

fn read(spec: &BfdProfileSpec, judge: &mut Judge<'_>) -> Option<BfdProfile> {
    let mut interval = |field, written: Option<u32>, default| {
        let checked = within(written.unwrap_or(default), 10, 60_000, INTERVALS);
        judge.value(field, checked).map(|ms| Duration::from_millis(ms.into()))
    };
    let receive = interval("spec.receiveInterval", spec.receive_interval, DEFAULT_INTERVAL);
    let transmit = interval("spec.transmitInterval", spec.transmit_interval, DEFAULT_INTERVAL);
    let echo = interval("spec.echoInterval", spec.echo_interval, DEFAULT_ECHO);
    let multiplier = within(spec.detect_multiplier.unwrap_or(3), 2, 255, "2 to 255");
    let multiplier = judge.value("spec.detectMultiplier", multiplier);
    let minimum_ttl = within(spec.minimum_ttl.unwrap_or(254), 1, 254, "1 to 254");
    let minimum_ttl = judge.value("spec.minimumTtl", minimum_ttl);
    Some(BfdProfile {
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
