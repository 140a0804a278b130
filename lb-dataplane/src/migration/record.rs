//! The record of a map beside its pin: which fields its keys and values have.
//!
//! A build that adopts the map may know nothing of the layout that it was made for, and the map's own BTF is
//! readable with CAP_SYS_ADMIN only, which the agent lacks. So the record is in the directory of the pins, as
//! the target of a symbolic link: a BPF file system holds nothing else that carries text.

use std::fmt;
use std::str::FromStr;

use lb_common::layout::Shape;
use lb_common::map_table::MapSpec;

/// The fields of a map's keys and values, and the first layout with their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The first layout whose entries have this meaning.
    pub(super) since: u32,
    pub(super) key: Fields,
    pub(super) value: Fields,
}

/// All integers of a key or value, in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<Integers>);

/// Integers of one size, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Integers {
    /// The names of the fields that lead to it, with the numbers of elements of arrays.
    pub(super) path: String,
    /// The offset of the first one.
    pub(super) offset: usize,
    /// The bytes of each.
    pub(super) size: usize,
    /// Their number.
    pub(super) count: usize,
}

impl Record {
    /// Returns the record of a map of this build.
    pub(super) fn of(map: &MapSpec) -> Self {
        let [key, value] = map.shapes.map(Fields::of);
        Self { since: map.since, key, value }
    }
}

impl Fields {
    fn of(shape: &Shape) -> Self {
        let mut fields = Vec::new();
        flatten(shape, String::new(), 0, &mut fields);
        Self(fields)
    }

    /// Returns the offset behind the last one.
    pub(super) fn end(&self) -> usize {
        self.0.iter().map(Integers::end).max().unwrap_or_default()
    }
}

impl Integers {
    /// Returns the offset behind them.
    pub(super) const fn end(&self) -> usize {
        self.offset.saturating_add(self.size.saturating_mul(self.count))
    }
}

fn flatten(shape: &Shape, path: String, offset: usize, fields: &mut Vec<Integers>) {
    match shape {
        Shape::Integer(size) => fields.push(Integers { path, offset, size: *size, count: 1 }),
        Shape::Array(Shape::Integer(size), count) => {
            fields.push(Integers { path, offset, size: *size, count: *count });
        }
        Shape::Array(element, count) => {
            for index in 0..*count {
                flatten(element, joined(&path, &index.to_string()), offset + index * element.size(), fields);
            }
        }
        Shape::Structure(members) => {
            for member in *members {
                flatten(member.shape, joined(&path, member.name), offset + member.offset, fields);
            }
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "since={} key={} value={}", self.since, self.key, self.value)
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Integers { path, offset, size, count }) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{path}@{offset}+{size}*{count}")?;
        }
        Ok(())
    }
}

/// The text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of fields")]
pub(super) struct RecordError;

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let mut words = text.split(' ');
        let mut next = |name: &str| {
            words.next().and_then(|word| word.strip_prefix(name)?.strip_prefix('=')).ok_or(RecordError)
        };
        let since = next("since")?.parse().map_err(|_| RecordError)?;
        let (key, value) = (next("key")?.parse()?, next("value")?.parse()?);
        if words.next().is_some() { Err(RecordError) } else { Ok(Self { since, key, value }) }
    }
}

impl FromStr for Fields {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let fields = text.split(',').map(|field| integers(field).ok_or(RecordError));
        fields.collect::<Result<_, _>>().map(Self)
    }
}

fn integers(text: &str) -> Option<Integers> {
    let (path, place) = text.split_once('@')?;
    let (offset, rest) = place.split_once('+')?;
    let (size, count) = rest.split_once('*')?;
    let number = |text: &str| text.parse::<u32>().ok().map(|number| number as usize);
    Some(Integers {
        path: path.to_owned(),
        offset: number(offset)?,
        size: number(size)?,
        count: number(count)?,
    })
}

#[cfg(test)]
mod tests {
    use lb_common::map_table::MAPS;

    use super::*;

    /// The kernel's limit of a symbolic link's target.
    const LONGEST: usize = 4095;

    #[test]
    fn a_record_of_every_map_is_read_as_written() {
        for map in MAPS {
            let (record, text) = (Record::of(map), Record::of(map).to_string());
            assert!(text.len() <= LONGEST, "{}: {} bytes", map.name, text.len());
            assert_eq!(text.parse(), Ok(record.clone()), "{text}");
            assert_eq!([record.key.end(), record.value.end()], map.sizes, "{}", map.name);
        }
    }

    #[test]
    fn every_part_of_a_damaged_record_is_missed() {
        let text = "since=6 key=@0+4*1 value=ranks@0+2*8,uplinks@16+8*1";
        assert!(text.parse::<Record>().is_ok());
        for part in ["since=6 ", "key=", "@", "+4", "*8", " value=", "6"] {
            assert_eq!(text.replacen(part, "", 1).parse::<Record>(), Err(RecordError), "without {part:?}");
        }
        assert_eq!(format!("{text} more").parse::<Record>(), Err(RecordError));
    }
}
