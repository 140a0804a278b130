//! What was probably meant by a name that nobody knows.

/// A longer name is none that somebody mistyped.
const LONGEST: usize = 64;
/// A name that is a part of another is that one, if it is this long.
const LEAST_PART: usize = 5;

/// The name nearest to what is written, if any is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_lowercase();
    let distances = names.filter_map(|name| Some((distance(&written, &name.to_lowercase())?, name)));
    distances.min().map(|(_, name)| name)
}

/// How far two names are apart, if one may be meant by the other: both in lower case.
fn distance(written: &str, name: &str) -> Option<usize> {
    let distance = strsim::osa_distance(written, name);
    let is_part = written.len() >= LEAST_PART && name.contains(written);
    let is_near = distance <= name.len().min(written.len()) / 3;
    // What is only a part comes after what is mistyped.
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
