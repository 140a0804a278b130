//! The stack usage of the functions of a BPF object, read from their instructions.
//!
//! The functions of a call chain share 512 bytes. The verifier checks every call chain, but names neither the
//! functions nor the chain. It rounds up each frame: to 16 bytes, or to 32 before Linux 6.9.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolKind};

/// The stack that the functions of a call chain may use together (`MAX_BPF_STACK`).
pub const LIMIT: u32 = 512;

/// The largest unit that a kernel rounds frames up to.
const UNIT: u32 = 32;

/// Bytes of an instruction: opcode, registers, offset, immediate.
const INSTRUCTION: usize = 8;

/// A function of an object.
#[derive(Debug)]
struct Function {
    name: String,
    /// Bytes of its own frame.
    frame: u32,
    /// Its callees, as indices into the list of functions.
    calls: Vec<usize>,
}

/// All functions of an object.
#[derive(Debug)]
pub struct Functions(Vec<Function>);

impl Functions {
    /// Reads the functions of an object.
    ///
    /// # Errors
    /// When it is not a BPF object, or calls something that is not one of its functions.
    pub fn of(object: &[u8]) -> Result<Self> {
        let elf = object::File::parse(object).context("not an ELF object")?;
        let mut symbols: Vec<_> =
            elf.symbols().filter(|it| it.kind() == SymbolKind::Text && it.size() > 0).collect();
        symbols.sort_by_key(|it| (it.section_index().map_or(0, |index| index.0), it.address()));
        let mut places = HashMap::new();
        for (place, symbol) in symbols.iter().enumerate() {
            places.insert((symbol.section_index(), symbol.address()), place);
        }
        let mut functions = Vec::new();
        for symbol in &symbols {
            let index = symbol.section_index().context("a function without a section")?;
            let section = elf.section_by_index(index)?;
            let data = section.data()?;
            let (start, end) = (symbol.address() as usize, (symbol.address() + symbol.size()) as usize);
            let code = data.get(start..end).context("a function beyond the end of its section")?;
            let mut calls = Vec::new();
            for at in (start..end).step_by(INSTRUCTION).filter(|at| is_local_call(&data[*at..])) {
                let target = target(&elf, &section, at, number(&data[at..]))?;
                let callee = places.get(&target).with_context(|| format!("{symbol:?} calls {target:?}"))?;
                calls.push(*callee);
            }
            calls.sort_unstable();
            calls.dedup();
            functions.push(Function { name: symbol.name()?.to_owned(), frame: frame(code), calls });
        }
        Ok(Self(functions))
    }

    /// Returns the stack usage of the deepest call chain from this function, and the chain: names and bytes.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn deepest(&self, name: &str) -> Result<(u32, Vec<(&str, u32)>)> {
        Ok(self.deepest_from(self.find(name)?))
    }

    /// Returns the frame sizes of this function and all that it reaches, the largest first.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn frames(&self, name: &str) -> Result<Vec<u32>> {
        let mut reached = vec![self.find(name)?];
        let mut next = 0;
        while let Some(place) = reached.get(next) {
            let new: Vec<usize> =
                self.0[*place].calls.iter().filter(|it| !reached.contains(it)).copied().collect();
            reached.extend(new);
            next += 1;
        }
        let mut frames: Vec<u32> = reached.into_iter().map(|place| self.0[place].frame).collect();
        frames.sort_unstable_by(|a, b| b.cmp(a));
        Ok(frames)
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.0.iter().position(|it| it.name == name).with_context(|| format!("no function {name}"))
    }

    // The verifier allows no recursion.
    fn deepest_from(&self, place: usize) -> (u32, Vec<(&str, u32)>) {
        let function = &self.0[place];
        let own = function.frame.max(1).next_multiple_of(UNIT);
        let below =
            function.calls.iter().map(|callee| self.deepest_from(*callee)).max_by_key(|(bytes, _)| *bytes);
        let (bytes, mut chain) = below.unwrap_or_default();
        chain.insert(0, (&function.name, function.frame));
        (own + bytes, chain)
    }
}

/// Returns section and address of a call's target: of the relocated symbol, or relative to the call itself.
fn target(
    elf: &object::File<'_>,
    section: &object::Section<'_, '_>,
    at: usize,
    number: i32,
) -> Result<(Option<SectionIndex>, u64)> {
    let relocation = section.relocations().find(|(place, _)| *place == at as u64);
    let Some((_, relocation)) = relocation else {
        let address = at as i64 + (i64::from(number) + 1) * INSTRUCTION as i64;
        return Ok((Some(section.index()), address as u64));
    };
    let RelocationTarget::Symbol(symbol) = relocation.target() else {
        bail!("a call relocated to something other than a symbol")
    };
    let symbol = elf.symbol_by_index(symbol)?;
    // A call relocated to a section holds the function's offset in its immediate.
    let inside =
        if symbol.kind() == SymbolKind::Section { (i64::from(number) + 1) * INSTRUCTION as i64 } else { 0 };
    Ok((symbol.section_index(), symbol.address() + inside as u64))
}

/// Checks for a call of a function of the object (`BPF_PSEUDO_CALL`).
fn is_local_call(instruction: &[u8]) -> bool {
    instruction[0] == 0x85 && instruction[1] >> 4 == 1
}

fn number(instruction: &[u8]) -> i32 {
    i32::from_le_bytes([instruction[4], instruction[5], instruction[6], instruction[7]])
}

/// Returns how far below its frame pointer, r10, a function reaches: by loads and stores, and by copies of
/// r10 that are moved down.
fn frame(code: &[u8]) -> u32 {
    const POINTER: u8 = 10;
    const MOVE: u8 = 0xbf;
    const ADD: u8 = 0x07;
    let mut copy = None;
    let mut lowest = 0;
    for instruction in code.chunks_exact(INSTRUCTION) {
        let (class, target, source) = (instruction[0] & 7, instruction[1] & 15, instruction[1] >> 4);
        // Loads have their base in the source, stores in the target.
        let base = if class == 1 { source } else { target };
        if matches!(class, 1..=3) && base == POINTER {
            lowest = lowest.min(i32::from(i16::from_le_bytes([instruction[2], instruction[3]])));
        }
        if instruction[0] == ADD && copy == Some(target) {
            lowest = lowest.min(number(instruction));
        }
        copy = (instruction[0] == MOVE && source == POINTER).then_some(target);
    }
    lowest.unsigned_abs()
}
