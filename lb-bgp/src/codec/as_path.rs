//! AS_PATH and AS4_PATH (RFC 4271, section 4.3; RFC 6793).

use super::reader::OctetReader;
use crate::value::Asn;

/// Segment types (RFC 4271, RFC 5065).
mod segment {
    pub(super) const SET: u8 = 1;
    pub(super) const SEQUENCE: u8 = 2;
    pub(super) const CONFED_SEQUENCE: u8 = 3;
    pub(super) const CONFED_SET: u8 = 4;
}

/// Maximum AS numbers in a segment.
const MAX_SEGMENT: usize = u8::MAX as usize;

/// A flattened AS path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AsPath {
    hops: Vec<Hop>,
    /// RFC 9774, section 3: a route with a set in its path is treated as withdrawn.
    pub(super) has_set: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    asn: Asn,
    /// Inside a confederation: does not count towards the path length (RFC 5065, section 5.3).
    is_inside: bool,
}

/// How to parse a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsPathOptions {
    pub(super) four_octet_asn: bool,
    /// Confederation segments are valid only from inside the confederation (RFC 5065, section 5).
    pub(super) accepts_confederation: bool,
}

impl AsPath {
    /// Parses all segments; `None` if malformed (RFC 7606, section 7.2) or if one contains AS 0 (RFC 7607).
    pub(super) fn read(mut value: OctetReader<'_>, options: AsPathOptions) -> Option<Self> {
        let mut path = Self::default();
        while !value.is_empty() {
            let kind = value.u8()?;
            let is_inside = match kind {
                segment::SET | segment::SEQUENCE => false,
                segment::CONFED_SEQUENCE | segment::CONFED_SET if options.accepts_confederation => true,
                _ => return None,
            };
            path.has_set |= matches!(kind, segment::SET | segment::CONFED_SET);
            let count = value.u8().filter(|&count| count != 0)?;
            for _ in 0..count {
                let number = if options.four_octet_asn { value.u32()? } else { value.u16()?.into() };
                path.hops.push(Hop { asn: Asn::new(number)?, is_inside });
            }
        }
        Some(path)
    }

    /// Returns the AS numbers.
    pub(super) fn asns(&self) -> Vec<Asn> {
        self.hops.iter().map(|hop| hop.asn).collect()
    }

    fn length(&self) -> usize {
        self.hops.iter().filter(|hop| !hop.is_inside).count()
    }

    /// Reconstructs the four-octet path: what two-octet speakers prepended, followed by AS4_PATH (RFC 6793,
    /// section 4.2.3).
    pub(super) fn with_as4_path(self, as4_path: &Self) -> Self {
        let Some(mut ahead) = self.length().checked_sub(as4_path.length()) else { return self };
        // A hop without length stays with its neighbors in the path.
        let is_ahead = |hop: &Hop| {
            let left = ahead.checked_sub(usize::from(!hop.is_inside));
            ahead = left.unwrap_or(ahead);
            left.is_some()
        };
        let leading: Vec<Hop> = self.hops.into_iter().take_while(is_ahead).collect();
        // AS4_PATH must not carry confederation segments (RFC 6793, section 6).
        let rest = as4_path.hops.iter().filter(|hop| !hop.is_inside);
        Self { hops: leading.into_iter().chain(rest.copied()).collect(), has_set: self.has_set }
    }
}

/// Encodes a path as sequences of four-octet or two-octet numbers.
pub(super) fn value(path: &[Asn], four_octet_asn: bool) -> Vec<u8> {
    let mut value = Vec::new();
    for part in path.chunks(MAX_SEGMENT) {
        value.extend([segment::SEQUENCE, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
        for asn in part {
            if four_octet_asn {
                value.extend(asn.get().to_be_bytes());
            } else {
                value.extend(asn.two_octets().to_be_bytes());
            }
        }
    }
    value
}

/// Returns whether two octets cannot represent the path, so that AS4_PATH is needed.
pub(super) fn needs_as4_path(path: &[Asn]) -> bool {
    path.iter().any(|asn| asn.get() > u16::MAX.into())
}

#[cfg(test)]
mod tests {
    use super::{AsPath, AsPathOptions, OctetReader};

    fn read(octets: &[u8], four_octet_asn: bool) -> AsPath {
        AsPath::read(OctetReader::new(octets), AsPathOptions { four_octet_asn, accepts_confederation: true })
            .unwrap()
    }

    #[test]
    fn as4_path_is_appended_to_what_two_octet_speakers_prepended() {
        const TRANS: [u8; 2] = [0x5b, 0xa0];
        let as4_path = read(&[2, 2, 0, 1, 0, 0, 0, 0, 0, 7], true);
        let [t0, t1] = TRANS;
        let cases: [(&[u8], &[u32]); 5] = [
            (&[2, 2, t0, t1, 0, 7], &[65_536, 7]),
            (&[2, 4, 0, 9, 0, 8, t0, t1, 0, 7], &[9, 8, 65_536, 7]),
            (&[3, 1, 0, 5, 2, 3, 0, 9, t0, t1, 0, 7], &[5, 9, 65_536, 7]),
            (&[3, 1, 0, 5, 2, 2, t0, t1, 0, 7], &[5, 65_536, 7]),
            // Shorter than AS4_PATH, which therefore belongs to another route.
            (&[2, 1, 0, 7], &[7]),
        ];
        for (octets, expected) in cases {
            let path = read(octets, false).with_as4_path(&as4_path).asns();
            let numbers: Vec<u32> = path.into_iter().map(crate::value::Asn::get).collect();
            assert_eq!(numbers, expected, "{octets:?}");
        }
    }
}
