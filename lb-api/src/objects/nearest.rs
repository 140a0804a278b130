//! The search for the name that a misspelling was meant to be.

/// A longer name is not a misspelling.
const LONGEST: usize = 64;
/// Minimum length of a name that matches as a part of another.
const LEAST_PART: usize = 5;

/// Returns the nearest name, if any is near enough.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_lowercase();
    let distances = names.filter_map(|name| Some((distance(&written, &name.to_lowercase())?, name)));
    distances.min().map(|(_, name)| name)
}

/// Returns the distance of two names if one may be a misspelling of the other: both in lower case.
fn distance(written: &str, name: &str) -> Option<usize> {
    let distance = strsim::osa_distance(written, name);
    let is_part = written.len() >= LEAST_PART && name.contains(written);
    let is_near = distance <= name.len().min(written.len()) / 3;
    // A mere part ranks behind a misspelling.
    if is_near { Some(distance) } else { is_part.then_some(LONGEST + distance) }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_misspellings_are_near() {
        let names = ["ebgpMultiHop", "enableGracefulRestart", "peerASN", "myASN", "peerAddress", "vrf"];
        for (written, meant) in [
            ("ebgpMultihop", Some("ebgpMultiHop")),
            ("egbpMultiHop", Some("ebgpMultiHop")),
            ("gracefulRestart", Some("enableGracefulRestart")),
            ("peerASNs", Some("peerASN")),
            ("VRF", Some("vrf")),
            ("description", None),
            ("as", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, names.into_iter()), meant, "{written}");
        }
        assert_eq!(nearest(&"e".repeat(1_000_000), names.into_iter()), None);
    }
}
