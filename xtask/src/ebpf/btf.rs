//! The type information (BTF) of the object, completed for loaders other than aya.
//!
//! The kernel refuses BTF in which an argument of a function has no name, and the compiler gives arguments of
//! closures none. aya adds names when it loads an object; libbpf, and so `bpftool prog load` and `ip link`,
//! does not, and then no function is verified on its own.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

/// The name for an argument without one: that of the program's own argument.
const NAME: &[u8] = b"context";

/// Kinds of types (`Documentation/bpf/btf.rst`).
const FUNCTION_PROTOTYPE: u32 = 13;
/// Bytes of the part that all types have: name, info, size or type.
const TYPE: usize = 12;
/// Bytes of an argument: name, type.
const ARGUMENT: usize = 8;

/// Names the arguments without a name, in the file of the object. A file without such arguments is not
/// written.
pub(super) fn complete(object: &Path) -> Result<()> {
    let bytes = fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    let elf = object::File::parse(bytes.as_slice()).with_context(|| object.display().to_string())?;
    let section = elf.section_by_name(".BTF").context("the XDP object has no BTF")?;
    let (start, _) = section.file_range().context("the BTF of the XDP object is not in its file")?;
    let mut btf = section.data()?.to_vec();
    if name_arguments(&mut btf)? > 0 {
        // In place: the file has a second name in cargo's directory of intermediate files.
        OpenOptions::new().write(true).open(object)?.write_all_at(&btf, start)?;
    }
    Ok(())
}

/// Names the arguments that have no name, and returns how many there were.
fn name_arguments(btf: &mut [u8]) -> Result<usize> {
    ensure!(number(btf, 0)? & 0xffff == 0xeb9f, "no little-endian BTF");
    let header = number(btf, 4)? as usize;
    let (types, strings) = (header + number(btf, 8)? as usize, header + number(btf, 16)? as usize);
    let types_end = types + number(btf, 12)? as usize;
    let name = find_name(btf.get(strings..).unwrap_or_default())?;
    let (mut at, mut named) = (types, 0);
    while at < types_end {
        let info = number(btf, at + 4)?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        at += TYPE;
        if kind == FUNCTION_PROTOTYPE {
            for argument in (0..count).map(|index| at + index * ARGUMENT) {
                // An argument without a type stands for `...`.
                if number(btf, argument)? == 0 && number(btf, argument + 4)? != 0 {
                    btf[argument..argument + 4].copy_from_slice(&name.to_le_bytes());
                    named += 1;
                }
            }
        }
        at += trailing_bytes(kind, count)?;
    }
    Ok(named)
}

/// Offset of [`NAME`] in the strings.
fn find_name(strings: &[u8]) -> Result<u32> {
    let pattern = [b"\0", NAME, b"\0"].concat();
    let before = strings.windows(pattern.len()).position(|window| window == pattern);
    let before = before.context("the XDP object has no name `context`")?;
    Ok(u32::try_from(before)? + 1)
}

/// Bytes behind the common part of a type.
fn trailing_bytes(kind: u32, count: usize) -> Result<usize> {
    Ok(match kind {
        // Pointer, forward declaration, typedef, volatile, const, restrict, function, floating point, type
        // tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Enumeration, function prototype.
        6 | FUNCTION_PROTOTYPE => count * ARGUMENT,
        // Array.
        3 => 12,
        // Structure, union, section, 64-bit enumeration.
        4 | 5 | 15 | 19 => count * 12,
        _ => anyhow::bail!("the BTF of the XDP object holds a type of unknown kind {kind}"),
    })
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().map(u32::from_le_bytes).context("the BTF of the XDP object ends too early")
}

#[cfg(test)]
mod tests {
    use super::name_arguments;

    const STRINGS: &[u8] = b"\0u32\0context\0";

    fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let length = types.len() as u32 * 4;
        let header = [0x1_eb9f, 24, 0, length, length, strings.len() as u32];
        let words = header.iter().chain(types).flat_map(|word| word.to_le_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    /// An integer; a function's prototype with two arguments, the first with this name, and `...`.
    fn sample(name: u32, second: u32) -> [u32; 13] {
        [1, 1 << 24, 4, 32, 0, 13 << 24 | 3, 1, name, 1, second, 1, 0, 0]
    }

    #[test]
    fn an_argument_without_a_name_gets_one() {
        let mut bytes = btf(&sample(1, 0), STRINGS);
        assert_eq!(name_arguments(&mut bytes).unwrap(), 1);
        assert_eq!(bytes, btf(&sample(1, 5), STRINGS), "the one with a name and `...` stay as they are");
        assert_eq!(name_arguments(&mut bytes).unwrap(), 0);
    }

    #[test]
    fn invalid_btf_is_an_error() {
        let whole = btf(&sample(1, 0), STRINGS);
        for length in 0..whole.len() - STRINGS.len() {
            assert!(name_arguments(&mut whole[..length].to_vec()).is_err(), "{length} bytes");
        }
        assert!(name_arguments(&mut btf(&sample(1, 0), b"\0u32\0")).is_err(), "no name to give");
        assert!(name_arguments(&mut btf(&[0, 31 << 24, 0], STRINGS)).is_err(), "an unknown kind");
    }
}
