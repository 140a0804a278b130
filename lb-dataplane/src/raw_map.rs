//! Maps whose keys and values have sizes that only the running system knows, by `bpf(2)`.
#![allow(unsafe_code, reason = "no library reads and writes entries of a size chosen at run time")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use aya::maps::{MapData, MapError, MapType};
use aya::util::nr_cpus;

/// `BPF_MAP_LOOKUP_ELEM`.
const LOOKUP: libc::c_long = 1;
/// `BPF_MAP_UPDATE_ELEM`.
const UPDATE: libc::c_long = 2;
/// `BPF_MAP_GET_NEXT_KEY`.
const NEXT_KEY: libc::c_long = 4;

/// `BPF_MAP_LOOKUP_BATCH`.
const LOOKUP_BATCH: libc::c_long = 24;

/// The kernel aligns the value of each CPU to so many bytes.
const CPU_ALIGNMENT: usize = 8;

/// A map with what the kernel states about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawMap<'a> {
    map: BorrowedFd<'a>,
    key_size: usize,
    /// The bytes of a value; of a per-CPU map, of the value of one CPU.
    pub(crate) value_size: usize,
    /// The bytes from the value of one CPU to that of the next.
    pub(crate) stride: usize,
    /// The values of an entry: one, or one for each CPU.
    pub(crate) values: usize,
    /// The entries that it has room for.
    pub(crate) entries: u32,
    /// Whether it is an array, whose keys are indices, all of them present.
    pub(crate) is_array: bool,
}

/// The part of `union bpf_attr` that is used here.
#[repr(C)]
struct Attributes {
    map: u32,
    pad: u32,
    key: u64,
    /// The value, or where the next key is written.
    value: u64,
    flags: u64,
}

/// The same for batches.
#[repr(C)]
struct BatchAttributes {
    /// The key before the first one, or null.
    after: u64,
    /// Where the last key is written.
    last: u64,
    keys: u64,
    values: u64,
    /// The entries that are asked for, and then those that were read.
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

impl<'a> RawMap<'a> {
    /// Returns the entries of a map.
    ///
    /// # Errors
    /// When the kernel does not describe it, or the number of CPUs is unknown.
    pub(crate) fn of(data: &'a MapData) -> Result<Self, MapError> {
        let info = data.info()?;
        let (kind, value_size) = (info.map_type()?, info.value_size() as usize);
        let (stride, values) = match kind {
            MapType::PerCpuArray => {
                let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
                (value_size.next_multiple_of(CPU_ALIGNMENT), cpus)
            }
            _ => (value_size, 1),
        };
        Ok(Self {
            map: data.fd().as_fd(),
            key_size: info.key_size() as usize,
            value_size,
            stride,
            values,
            entries: info.max_entries(),
            is_array: matches!(kind, MapType::Array | MapType::PerCpuArray),
        })
    }

    /// Returns the key behind `key`, or the first one; `None` at the end. If `key` has been removed, the
    /// kernel starts again.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut next = vec![0; self.key_size];
        let at = match key {
            Some(key) => sized(key, self.key_size)?.as_ptr().expose_provenance(),
            None => 0,
        };
        found(self.call(NEXT_KEY, at, next.as_mut_ptr().expose_provenance()), next)
    }

    /// Returns the value of a key; `None` if it has none.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(crate) fn value(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.stride * self.values];
        let key = sized(key, self.key_size)?;
        found(
            self.call(LOOKUP, key.as_ptr().expose_provenance(), value.as_mut_ptr().expose_provenance()),
            value,
        )
    }

    /// Writes a value.
    ///
    /// # Errors
    /// When the kernel refuses it; in most cases the map is full.
    pub(crate) fn write(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let (key, value) = (sized(key, self.key_size)?, sized(value, self.stride * self.values)?);
        self.call(UPDATE, key.as_ptr().expose_provenance(), value.as_ptr().expose_provenance())
    }

    /// Reads entries of an array from `first` on into `values`, which is as long as `count` of them, in one
    /// system call. The kernel locks nothing for it. Returns how many there were.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(crate) fn batch(&self, first: u32, count: u32, values: &mut [u8]) -> io::Result<u32> {
        let size = self.stride * self.values * count as usize;
        if !self.is_array || values.len() != size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut keys = vec![0u32; count as usize];
        let (before, mut last) = (first.wrapping_sub(1), 0u32);
        let mut attributes = BatchAttributes {
            after: if first == 0 { 0 } else { (&raw const before).expose_provenance() as u64 },
            last: (&raw mut last).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count,
            map: self.map.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        let length = size_of::<BatchAttributes>();
        // SAFETY: all addresses are of buffers that live through the call and are as large as the kernel
        // reads or writes for `count` entries; those that it writes to are held mutably.
        let result = unsafe { libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attributes, length) };
        if result < 0 {
            let error = io::Error::last_os_error();
            // The array ends before `count` entries.
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
        }
        Ok(attributes.count)
    }

    fn call(&self, command: libc::c_long, key: usize, value: usize) -> io::Result<()> {
        let attributes = Attributes {
            map: self.map.as_raw_fd() as u32,
            pad: 0,
            key: key as u64,
            value: value as u64,
            flags: 0,
        };
        // SAFETY: `key` and `value` are addresses of buffers of the map's sizes that the callers hold for the
        // length of the call, and those that the kernel writes to are held mutably.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of::<Attributes>()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Refuses bytes of another size: the kernel would access memory behind them.
fn sized(bytes: &[u8], size: usize) -> io::Result<&[u8]> {
    if bytes.len() == size { Ok(bytes) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Converts the result of a search.
fn found(result: io::Result<()>, entry: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    match result {
        Ok(()) => Ok(Some(entry)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
