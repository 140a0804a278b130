//! The kernel's description of its own types (BTF), as far as the program needs numbers from it: ids of
//! functions, and offsets of members.
//!
//! `Documentation/bpf/btf.rst` describes the format: a header, types of varying length one behind the other,
//! numbered from one, and names.

/// Kinds of types that are told apart here.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const FUNC: u32 = 12;

/// Bytes in front of what depends on the kind: name, info, size or type.
const TYPE: usize = 12;
/// Bytes of a member: name, type, offset in bits.
const MEMBER: usize = 12;

/// Why the description cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It does not begin as it should.
    #[error("no BTF of this machine's byte order")]
    Header,
    /// It ends too early.
    #[error("BTF ends in the middle of type {0}")]
    Truncated(usize),
    /// Its types cannot be told apart any more.
    #[error("BTF holds a type of unknown kind {0}")]
    Kind(u32),
}

/// The description, with the place of every type.
pub struct Btf<'a> {
    types: &'a [u8],
    names: &'a [u8],
    /// Where a type begins; the first is number one.
    places: Vec<usize>,
}

/// A type.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    /// Its size, or the type that it refers to.
    size_or_type: u32,
    behind: &'a [u8],
}

impl Type<'_> {
    const fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }
}

impl<'a> Btf<'a> {
    /// Reads the description.
    ///
    /// # Errors
    /// When it is none, or has kinds of types that are not known.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
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
        let mut places = Vec::new();
        let mut at = 0;
        while at < types.len() {
            let info = number(types, at + 4).ok_or(BtfError::Truncated(places.len() + 1))?;
            places.push(at);
            at += TYPE + behind(info)?;
        }
        if at > types.len() {
            return Err(BtfError::Truncated(places.len()));
        }
        Ok(Self { types, names, places })
    }

    /// The number of a function.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(FUNC, name)
    }

    /// The offset in bytes of a member of a member of a structure, along a path of names; every one but the
    /// last is a structure or union itself.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
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
        (1..=self.places.len() as u32).find(|id| self.get(*id).is_some_and(is_it))
    }

    fn get(&self, id: u32) -> Option<Type<'a>> {
        let at = *self.places.get((id as usize).checked_sub(1)?)?;
        let field = |offset: usize| number(self.types, at + offset);
        let behind = self.types.get(at + TYPE..)?;
        Some(Type { name: field(0)?, info: field(4)?, size_or_type: field(8)?, behind })
    }

    /// The type behind other names and qualifiers of it.
    fn resolve(&self, mut id: u32) -> Option<Type<'a>> {
        // A chain that is longer leads in a circle.
        for _ in 0..16 {
            let found = self.get(id)?;
            if !matches!(found.kind(), TYPEDEF | VOLATILE | CONST) {
                return Some(found);
            }
            id = found.size_or_type;
        }
        None
    }

    /// Type and offset in bits of a member.
    fn member(&self, of: Type<'_>, name: &str) -> Option<(u32, u32)> {
        if !matches!(of.kind(), STRUCT | UNION) {
            return None;
        }
        // With the flag set, the upper byte is the width of a bit field.
        let mask = if of.info >> 31 == 0 { u32::MAX } else { 0x00ff_ffff };
        let members = (0..(of.info & 0xffff) as usize).map(|index| index * MEMBER);
        let mut named = members.filter(|at| number(of.behind, *at).is_some_and(|n| self.is_named(n, name)));
        let at = named.next()?;
        Some((number(of.behind, at + 4)?, number(of.behind, at + 8)? & mask))
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let rest = self.names.get(at as usize..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// Bytes behind the common part of a type.
const fn behind(info: u32) -> Result<usize, BtfError> {
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
    fn a_function_has_the_number_of_its_type() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.function("look_up"), Some(7));
        assert_eq!(btf.function("look"), None, "the beginning of a name");
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
    fn what_is_cut_or_unknown_is_an_error() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(Btf::parse(&btf(&[&[0, 31 << 24, 0]])).err(), Some(BtfError::Kind(31)));
        assert_eq!(Btf::parse(&btf(&[&[0, STRUCT << 24 | 2, 0, 0]])).err(), Some(BtfError::Truncated(1)));
        let circle = btf(&[&[at("conn"), STRUCT << 24 | 1, 8, at("proto"), 2, 0], &[0, CONST << 24, 2]]);
        assert_eq!(Btf::parse(&circle).unwrap().offset("conn", &["proto", "state"]), None);
    }

    #[test]
    fn the_kernel_that_runs_describes_its_tracked_connections() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.function("tcp_v4_rcv").is_some() || btf.function("schedule").is_some());
        assert_eq!(btf.offset("list_head", &["prev"]), Some(size_of::<usize>() as u32));
    }
}
