extern crate std;

use std::fmt::Write as _;
use std::path::Path;
use std::string::String;
use std::{format, fs};

use crate::map_table::{LAYOUT, MAPS};

/// Writes a structure, then a line for each field: offset, size, name.
macro_rules! describe {
    ($($name:ty { $($field:ident),+ })+) => {
        fn describe(out: &mut String) -> std::fmt::Result {
            $(
                writeln!(out, "\n{}: {} bytes, aligned to {}", short(stringify!($name)), size_of::<$name>(), align_of::<$name>())?;
                $(writeln!(
                    out,
                    "  {} + {} {}",
                    core::mem::offset_of!($name, $field),
                    field_size(|value: &$name| &value.$field),
                    stringify!($field),
                )?;)+
            )+
            Ok(())
        }
    };
}

fn field_size<S, T>(_: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

/// A type without the path to it.
fn short(name: &str) -> String {
    name.rsplit_once("::").map_or(name, |(_, name)| name).replace(' ', "")
}

shared_types!(describe);

/// The table of maps and all types in it, as text.
fn layout() -> String {
    let mut text = format!("layout {LAYOUT}\n\n");
    for map in MAPS {
        let [key, value] = map.sizes;
        let (key_type, value_type) = (short(map.key), short(map.value));
        writeln!(
            text,
            "{}: {:?} of {}, {:?}; {key_type} ({key} bytes) to {value_type} ({value} bytes)",
            map.name, map.kind, map.entries, map.option
        )
        .unwrap();
    }
    describe(&mut text).unwrap();
    text
}

#[test]
fn a_layout_changes_with_its_number_only() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("layout/v{LAYOUT}.txt"));
    let (now, committed) = (layout(), fs::read_to_string(&path).unwrap_or_default());
    let differs = now.lines().zip(committed.lines()).find(|(now, committed)| now != committed);
    assert!(
        now == committed,
        "maps differ from {}, first at {differs:?}. Agents of both builds would take over each other's maps: raise \
         LAYOUT in src/map_table.rs, and commit as layout/v<LAYOUT>.txt:\n\n{now}",
        path.display()
    );
}
