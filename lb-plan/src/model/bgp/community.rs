//! Communities, and names of them.

use std::collections::BTreeMap;

use lb_bgp::value::{Community, LargeCommunity};

use super::Judge;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A community of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AnyCommunity {
    Plain(Community),
    Large(LargeCommunity),
}

/// Names of communities.
pub(super) type Aliases = BTreeMap<String, AnyCommunity>;

pub(super) fn aliases<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    problems: &mut Vec<Problem>,
) -> Aliases {
    let mut aliases = Aliases::new();
    for object in objects {
        let Object::Community(written) = &object.value else { continue };
        let mut judge = Judge::of(object, problems);
        for (i, alias) in written.spec.communities.iter().enumerate() {
            let field = format!("spec.communities[{i}]");
            let Some(community) = judge.value(&format!("{field}.value"), parse(&alias.value)) else {
                continue;
            };
            if aliases.contains_key(&alias.name) {
                judge.refuse(format!("{field}.name"), Reason::DuplicateEntry { written: alias.name.clone() });
            } else {
                aliases.insert(alias.name.clone(), community);
            }
        }
    }
    aliases
}

/// `65000:100` or `large:65000:100:1`.
pub(super) fn parse(written: &str) -> Result<AnyCommunity, Reason> {
    let wrong = || Reason::NotACommunity { written: written.to_owned() };
    let parts: Vec<&str> = written.split(':').collect();
    match parts.as_slice() {
        ["large", a, b, c] => {
            let part = |text: &str| text.parse::<u32>().map_err(|_| wrong());
            Ok(AnyCommunity::Large(LargeCommunity([part(a)?, part(b)?, part(c)?])))
        }
        [high, low] => {
            let part = |text: &str| text.parse::<u16>().map_err(|_| wrong());
            Ok(AnyCommunity::Plain(Community::new(part(high)?, part(low)?)))
        }
        _ => Err(wrong()),
    }
}

/// A community, or a name of one.
pub(super) fn resolve(written: &str, aliases: &Aliases) -> Result<AnyCommunity, Reason> {
    if written.contains(':') {
        return parse(written);
    }
    aliases.get(written).copied().ok_or_else(|| Reason::UnknownCommunity { written: written.to_owned() })
}
