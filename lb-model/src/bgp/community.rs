//! Communities and their aliases.

use std::collections::BTreeMap;
use std::str::FromStr;

use lb_bgp::value::{LargeCommunity, StandardCommunity};

use super::check::ObjectCheck;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{BgpReason, Problem, Reason};

/// A plain or a large community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bgp) enum AnyCommunity {
    Plain(StandardCommunity),
    Large(LargeCommunity),
}

/// Communities by alias.
pub(in crate::bgp) type Aliases = BTreeMap<String, AnyCommunity>;

pub(in crate::bgp) fn aliases<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    problems: &mut Vec<Problem>,
) -> Aliases {
    let mut aliases = Aliases::new();
    for object in objects {
        let Object::Community(written) = &object.value else { continue };
        let mut check = ObjectCheck::of(object, problems);
        for (i, alias) in written.spec.communities.iter().enumerate() {
            let field = format!("spec.communities[{i}]");
            let Some(community) = check.value(&format!("{field}.value"), parse(&alias.value)) else {
                continue;
            };
            if aliases.contains_key(&alias.name) {
                check.refuse(format!("{field}.name"), Reason::DuplicateEntry { written: alias.name.clone() });
            } else {
                aliases.insert(alias.name.clone(), community);
            }
        }
    }
    aliases
}

/// Parses `65000:100` or `large:65000:100:1`.
pub(in crate::bgp) fn parse(written: &str) -> Result<AnyCommunity, BgpReason> {
    let wrong = || BgpReason::NotACommunity { written: written.to_owned() };
    let parts: Vec<&str> = written.split(':').collect();
    match parts.as_slice() {
        ["large", a, b, c] => {
            let part = |text: &str| number::<u32>(text).ok_or_else(wrong);
            Ok(AnyCommunity::Large(LargeCommunity([part(a)?, part(b)?, part(c)?])))
        }
        [high, low] => {
            let part = |text: &str| number::<u16>(text).ok_or_else(wrong);
            Ok(AnyCommunity::Plain(StandardCommunity::new(part(high)?, part(low)?)))
        }
        _ => Err(wrong()),
    }
}

/// Parses a number that consists of digits only, without a sign.
fn number<T: FromStr>(written: &str) -> Option<T> {
    written.bytes().all(|byte| byte.is_ascii_digit()).then(|| written.parse().ok()).flatten()
}

/// Well-known names (RFC 1997, RFC 8326, RFC 7999) and their values. They must be defined like other aliases:
/// MetalLB does not know them either, and a manifest must mean the same to both.
const WELL_KNOWN: [(&str, &str); 7] = [
    ("no-export", "65535:65281"),
    ("no-advertise", "65535:65282"),
    ("local-as", "65535:65283"),
    ("local-AS", "65535:65283"),
    ("no-export-subconfed", "65535:65283"),
    ("graceful-shutdown", "65535:0"),
    ("blackhole", "65535:666"),
];

/// Resolves a community or an alias.
pub(in crate::bgp) fn resolve(written: &str, aliases: &Aliases) -> Result<AnyCommunity, BgpReason> {
    if written.contains(':') {
        return parse(written);
    }
    if let Some(community) = aliases.get(written) {
        return Ok(*community);
    }
    let written = written.to_owned();
    Err(match WELL_KNOWN.iter().find(|(name, _)| *name == written) {
        Some((_, value)) => BgpReason::WellKnownCommunity { written, value },
        None => BgpReason::UnknownCommunity { written },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_known_name_is_rejected_with_its_value() {
        for (name, value) in WELL_KNOWN {
            let refused = resolve(name, &Aliases::new()).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains(value), "{refused}");
            assert!(parse(value).is_ok(), "{value}");
        }
        assert_eq!(
            resolve("vpn", &Aliases::new()),
            Err(BgpReason::UnknownCommunity { written: "vpn".into() })
        );
    }

    #[test]
    fn a_community_is_of_digits() {
        for written in ["64600:7", "064600:0007", "large:4294967295:0:1"] {
            assert!(parse(written).is_ok(), "{written}");
        }
        for written in
            ["+64600:7", "64600:-7", "64600: 7", "64600:", "65536:1", "large:+1:2:3", "1:2:3", "Large:1:2:3"]
        {
            assert_eq!(parse(written), Err(BgpReason::NotACommunity { written: written.into() }));
        }
    }

    #[test]
    fn a_community_object_may_define_a_name_that_routers_know() {
        let defined = parse("65000:1").unwrap();
        let aliases = Aliases::from([("no-export".to_owned(), defined)]);
        assert_eq!(resolve("no-export", &aliases), Ok(defined));
    }
}
