//! The VIP maps: buckets in mapped arrays, and a hash map for keys whose bucket is full.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use aya::maps::{HashMap, MapData};
use lb_common::map_table::name;
use lb_common::maps::{Vip, Vip4Key, Vip6Key};
use lb_common::vips::{self, BUCKET_WORDS, Bucket, BucketKey, PackedVip};
use lb_plan::contents::{MapKey, Op, VipKey};

use crate::map_io::{MapsError, open, open_mapped, read_error, removed, written};
use crate::mapping::MappedWords;
use crate::pins::Pins;

/// The VIPs of both families.
pub(super) struct VipMaps {
    v4: Buckets,
    v6: Buckets,
    more: Spilled,
}

/// `lb_vips_more`.
type Spilled = HashMap<MapData, Vip6Key, PackedVip>;

impl VipMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self {
            v4: Buckets::open(pins, name::VIPS4)?,
            v6: Buckets::open(pins, name::VIPS6)?,
            more: open(pins, name::VIPS_MORE)?,
        })
    }

    /// Inserts or updates a VIP.
    ///
    /// # Errors
    /// When its bucket is full and `lb_vips_more` does not take the entry.
    pub(super) fn put(&mut self, op: &Op, key: &VipKey, vip: Vip) -> Result<(), MapsError> {
        match key.map_key() {
            MapKey::V4(key) => self.v4.put(&mut self.more, op, key, vip),
            MapKey::V6(key) => self.v6.put(&mut self.more, op, key, vip),
        }
    }

    /// Removes a VIP.
    ///
    /// # Errors
    /// When `lb_vips_more` cannot be read or written.
    pub(super) fn remove(&mut self, op: &Op, key: &VipKey) -> Result<(), MapsError> {
        match key.map_key() {
            MapKey::V4(key) => self.v4.remove(&mut self.more, op, key),
            MapKey::V6(key) => self.v6.remove(&mut self.more, op, key),
        }
    }

    /// Reads all VIPs.
    ///
    /// # Errors
    /// When `lb_vips_more` cannot be read.
    pub(super) fn read_back(&self) -> Result<BTreeMap<VipKey, Vip>, MapsError> {
        let mut found = BTreeMap::new();
        self.v4.entries::<Vip4Key>(&mut found)?;
        self.v6.entries::<Vip6Key>(&mut found)?;
        for entry in self.more.iter() {
            let (key, vip) = entry.map_err(|e| read_error(name::VIPS_MORE, e))?;
            let key = Vip4Key::of_spilled(key).map_or_else(|| key.into(), VipKey::from);
            found.insert(key, vip.unpacked());
        }
        Ok(found)
    }
}

/// The buckets of one family.
struct Buckets {
    map: MappedWords,
    name: &'static str,
}

impl Buckets {
    fn open(pins: &Pins, name: &'static str) -> Result<Self, MapsError> {
        Ok(Self { map: open_mapped(pins, name, BUCKET_WORDS)?, name })
    }

    fn bucket(&self, number: usize) -> Result<&Bucket<AtomicU64>, MapsError> {
        self.map.chunk(number).ok_or(MapsError::NoSuchBucket(number, self.name))
    }

    /// Reads the VIPs in the buckets.
    fn entries<K: BucketKey + Into<VipKey>>(
        &self,
        found: &mut BTreeMap<VipKey, Vip>,
    ) -> Result<(), MapsError> {
        for number in 0..self.map.len() / BUCKET_WORDS {
            found.extend(vips::entries::<_, K>(self.bucket(number)?).map(|(key, vip)| (key.into(), vip)));
        }
        Ok(())
    }

    fn put<K: BucketKey>(&self, more: &mut Spilled, op: &Op, key: K, vip: Vip) -> Result<(), MapsError> {
        let bucket = self.bucket(key.bucket() as usize)?;
        let is_in_more = vips::is_spilled::<_, K>(bucket) && more.get(&key.spilled(), 0).is_ok();
        if !is_in_more && vips::put(bucket, key, vip) {
            return Ok(());
        }
        // First: an agent killed in between would leave a VIP that no lookup finds and no plan writes again.
        vips::note_spilled::<_, K>(bucket, true);
        written(name::VIPS_MORE, op, more.insert(key.spilled(), vip.packed(), 0))
    }

    fn remove<K: BucketKey>(&self, more: &mut Spilled, op: &Op, key: K) -> Result<(), MapsError> {
        let number = key.bucket();
        let bucket = self.bucket(number as usize)?;
        if vips::remove(bucket, key) || !vips::is_spilled::<_, K>(bucket) {
            return Ok(());
        }
        removed(name::VIPS_MORE, op, more.remove(&key.spilled()))?;
        let keys = more.keys().collect::<Result<Vec<_>, _>>().map_err(|e| read_error(name::VIPS_MORE, e))?;
        let is_of_bucket =
            |other: &Vip6Key| K::of_spilled(*other).is_some_and(|other| other.bucket() == number);
        vips::note_spilled::<_, K>(bucket, keys.iter().any(is_of_bucket));
        Ok(())
    }
}
