//! A parser of the kernel's BTF for the numbers that the program needs: type IDs of functions, and offsets of
//! members.
//!
//! `Documentation/bpf/btf.rst` specifies the format: a header, types of varying length numbered from one, and
//! strings.

/// The kinds of types that matter here (`BTF_KIND_*`).
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const FUNC: u32 = 12;

/// The length of `struct btf_type`: name, info, size or type.
const TYPE: usize = 12;
/// The length of `struct btf_member`: name, type, offset in bits.
const MEMBER: usize = 12;

/// The reason why BTF cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BtfError {
    /// The header is invalid.
    #[error("not BTF in this machine's byte order")]
    Header,
    /// The data ends within a type.
    #[error("BTF is truncated in type {0}")]
    Truncated(usize),
    /// A type of unknown kind, whose length is unknown.
    #[error("BTF contains a type of unknown kind {0}")]
    Kind(u32),
}

/// Parsed BTF, with the offset of every type.
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    names: &'a [u8],
    /// The offset of each type; the first type has ID one.
    offsets: Vec<usize>,
}

/// A type.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    /// The size, or the ID of the referenced type.
    size_or_type: u32,
    rest: &'a [u8],
}

impl Type<'_> {
    const fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }
}

impl<'a> Btf<'a> {
    /// Parses BTF.
    ///
    /// # Errors
    /// When the data is not BTF, is truncated, or contains unknown kinds of types.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        const MAGIC: u32 = 0xeb9f;
        let field = |at: usize| number(bytes, at).ok_or(BtfError::Header);
        let header = field(4)? as usize;
        if field(0)? & 0xffff != MAGIC {
            return Err(BtfError::Header);
        }
        let section = |at: usize| {
            let start = header.checked_add(field(at)? as usize).ok_or(BtfError::Header)?;
            let length = field(at + 4)? as usize;
            bytes.get(start..).and_then(|rest| rest.get(..length)).ok_or(BtfError::Header)
        };
        let (types, names) = (section(8)?, section(16)?);
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < types.len() {
            let info = number(types, at + 4).ok_or(BtfError::Truncated(offsets.len() + 1))?;
            offsets.push(at);
            at += TYPE + rest_length(info)?;
        }
        if at > types.len() {
            return Err(BtfError::Truncated(offsets.len()));
        }
        Ok(Self { types, names, offsets })
    }

    /// Returns the type ID of a function.
    pub(crate) fn function(&self, name: &str) -> Option<u32> {
        self.find(FUNC, name)
    }

    /// Returns the offset in bytes of a nested member of a structure. Every member of the path except the
    /// last one is a structure or union.
    pub(crate) fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = self.find(STRUCT, structure)?;
        let mut bits = 0;
        for name in path {
            let (member, offset) = self.member(self.resolve(id)?, name)?;
            id = member;
            bits += offset;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let is_it = |found: Type<'_>| found.kind() == kind && self.is_named(found.name, name);
        (1..=self.offsets.len() as u32).find(|id| self.get(*id).is_some_and(is_it))
    }

    fn get(&self, id: u32) -> Option<Type<'a>> {
        let at = *self.offsets.get((id as usize).checked_sub(1)?)?;
        let field = |offset: usize| number(self.types, at + offset);
        let rest = self.types.get(at + TYPE..)?;
        Some(Type { name: field(0)?, info: field(4)?, size_or_type: field(8)?, rest })
    }

    /// Resolves typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<Type<'a>> {
        // A longer chain is a cycle.
        for _ in 0..16 {
            let found = self.get(id)?;
            if !matches!(found.kind(), TYPEDEF | VOLATILE | CONST) {
                return Some(found);
            }
            id = found.size_or_type;
        }
        None
    }

    /// Returns the type ID and the offset in bits of a member.
    fn member(&self, of: Type<'_>, name: &str) -> Option<(u32, u32)> {
        if !matches!(of.kind(), STRUCT | UNION) {
            return None;
        }
        // With `kind_flag`, the upper byte is the width of a bit field.
        let mask = if of.info >> 31 == 0 { u32::MAX } else { 0x00ff_ffff };
        let members = (0..(of.info & 0xffff) as usize).map(|index| index * MEMBER);
        let mut named = members.filter(|at| number(of.rest, *at).is_some_and(|n| self.is_named(n, name)));
        let at = named.next()?;
        Some((number(of.rest, at + 4)?, number(of.rest, at + 8)? & mask))
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let rest = self.names.get(at as usize..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// Returns the length of the data that follows `struct btf_type`.
const fn rest_length(info: u32) -> Result<usize, BtfError> {
    let items = (info & 0xffff) as usize;
    match info >> 24 & 0x1f {
        // Pointer, forward declaration, typedef, volatile, const, restrict, function, floating point, type
        // tag.
        2 | 7..=12 | 16 | 18 => Ok(0),
        // Integer, variable, declaration tag.
        1 | 14 | 17 => Ok(4),
        // Enumeration, function prototype.
        6 | 13 => Ok(items * 8),
        3 => Ok(12),
        // Structure, union, section, 64-bit enumeration.
        STRUCT | UNION | 15 | 19 => Ok(items * 12),
        kind => Err(BtfError::Kind(kind)),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[u8] = b"\0conn\0proto\0state\0look_up\0tcp\0";

    fn at(name: &str) -> u32 {
        let name = [b"\0", name.as_bytes(), b"\0"].concat();
        NAMES.windows(name.len()).position(|window| window == name).unwrap() as u32 + 1
    }

    fn btf(types: &[&[u32]]) -> Vec<u8> {
        let types: Vec<u8> = types.concat().into_iter().flat_map(u32::to_ne_bytes).collect();
        let header = [0x1_eb9f, 24, 0, types.len() as u32, types.len() as u32, NAMES.len() as u32];
        let header: Vec<u8> = header.into_iter().flat_map(u32::to_ne_bytes).collect();
        [&header, &types, NAMES].concat()
    }

    fn sample() -> Vec<u8> {
        btf(&[
            &[0, 1 << 24, 1, 8],
            &[at("tcp"), STRUCT << 24 | 2, 8, 0, 1, 0, at("state"), 1, 40],
            &[at("proto"), UNION << 24 | 1, 8, at("tcp"), 2, 0],
            &[0, CONST << 24, 3],
            &[at("conn"), STRUCT << 24 | 1 << 31 | 1, 24, at("proto"), 4, 1 << 24 | 128],
            &[0, 13 << 24, 1],
            &[at("look_up"), FUNC << 24, 6],
        ])
    }

    #[test]
    fn a_function_is_found_by_its_full_name() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.function("look_up"), Some(7));
        assert_eq!(btf.function("look"), None, "a prefix of a name");
        assert_eq!(btf.function("conn"), None, "a structure");
    }

    #[test]
    fn a_member_is_found_through_unions_and_qualifiers() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("conn", &["proto", "tcp", "state"]), Some(16 + 5));
        assert_eq!(btf.offset("conn", &["tcp"]), None);
        assert_eq!(btf.offset("tcp", &["state", "state"]), None, "a number has no members");
    }

    #[test]
    fn truncated_data_and_unknown_kinds_are_errors() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(Btf::parse(&btf(&[&[0, 31 << 24, 0]])).err(), Some(BtfError::Kind(31)));
        assert_eq!(Btf::parse(&btf(&[&[0, STRUCT << 24 | 2, 0, 0]])).err(), Some(BtfError::Truncated(1)));
        let cycle = btf(&[&[at("conn"), STRUCT << 24 | 1, 8, at("proto"), 2, 0], &[0, CONST << 24, 2]]);
        assert_eq!(Btf::parse(&cycle).unwrap().offset("conn", &["proto", "state"]), None);
    }

    #[test]
    fn the_running_kernels_btf_is_parsed() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.function("tcp_v4_rcv").is_some() || btf.function("schedule").is_some());
        assert_eq!(btf.offset("list_head", &["prev"]), Some(size_of::<usize>() as u32));
    }
}
