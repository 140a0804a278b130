//! The maps of VIPs: buckets in mapped arrays, and a hash map for keys whose bucket is full.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use aya::maps::{HashMap, MapData};
use lb_common::maps::{Vip, Vip4Key, Vip6Key, capacity, name};
use lb_common::vips::{self, BUCKET_WORDS, Bucket, BucketKey, PackedVip};
use lb_plan::contents::{MapKey, Op, VipKey};

use super::mapping::MappedWords;
use super::maps::{MapsError, open, open_mapped, read_error, removed, written};
use super::pins::Pins;

/// All VIPs.
pub(super) struct VipMaps {
    v4: MappedWords,
    v6: MappedWords,
    more: HashMap<MapData, Vip6Key, PackedVip>,
}

impl VipMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self {
            v4: open_mapped(pins, name::VIPS4, BUCKET_WORDS)?,
            v6: open_mapped(pins, name::VIPS6, BUCKET_WORDS)?,
            more: open(pins, name::VIPS_MORE)?,
        })
    }

    /// Writes a VIP, new or changed.
    ///
    /// # Errors
    /// When its bucket is full and the map beside the buckets takes no entry.
    pub(super) fn put(&mut self, op: &Op, key: &VipKey, vip: Vip) -> Result<(), MapsError> {
        match key.map_key() {
            MapKey::V4(key) => put(&self.v4, name::VIPS4, &mut self.more, op, key, vip),
            MapKey::V6(key) => put(&self.v6, name::VIPS6, &mut self.more, op, key, vip),
        }
    }

    /// Removes a VIP.
    ///
    /// # Errors
    /// When the map beside the buckets cannot be read or written.
    pub(super) fn remove(&mut self, op: &Op, key: &VipKey) -> Result<(), MapsError> {
        match key.map_key() {
            MapKey::V4(key) => remove(&self.v4, name::VIPS4, &mut self.more, op, key),
            MapKey::V6(key) => remove(&self.v6, name::VIPS6, &mut self.more, op, key),
        }
    }

    /// All VIPs.
    ///
    /// # Errors
    /// When the map beside the buckets cannot be read.
    pub(super) fn read_back(&self) -> Result<BTreeMap<VipKey, Vip>, MapsError> {
        let mut held = BTreeMap::new();
        for number in 0..capacity::VIP4_BUCKETS {
            let bucket = bucket(&self.v4, name::VIPS4, number)?;
            held.extend(vips::entries::<_, Vip4Key>(bucket).map(|(key, vip)| (key.into(), vip)));
        }
        for number in 0..capacity::VIP6_BUCKETS {
            let bucket = bucket(&self.v6, name::VIPS6, number)?;
            held.extend(vips::entries::<_, Vip6Key>(bucket).map(|(key, vip)| (key.into(), vip)));
        }
        for entry in self.more.iter() {
            let (key, vip) = entry.map_err(|e| read_error(name::VIPS_MORE, e))?;
            let key = Vip4Key::of_spilled(key).map_or_else(|| key.into(), VipKey::from);
            held.insert(key, vip.unpacked());
        }
        Ok(held)
    }
}

fn bucket<'a>(
    map: &'a MappedWords,
    name: &'static str,
    number: usize,
) -> Result<&'a Bucket<AtomicU64>, MapsError> {
    map.chunk(number).ok_or(MapsError::NoSuchBucket(number, name))
}

fn put<K: BucketKey>(
    map: &MappedWords,
    name: &'static str,
    more: &mut HashMap<MapData, Vip6Key, PackedVip>,
    op: &Op,
    key: K,
    vip: Vip,
) -> Result<(), MapsError> {
    let bucket = bucket(map, name, key.bucket() as usize)?;
    let is_in_more = vips::is_spilled::<_, K>(bucket) && more.get(&key.spilled(), 0).is_ok();
    if !is_in_more && vips::put(bucket, key, vip) {
        return Ok(());
    }
    written(name::VIPS_MORE, op, more.insert(key.spilled(), vip.packed(), 0))?;
    vips::note_spilled::<_, K>(bucket, true);
    Ok(())
}

fn remove<K: BucketKey>(
    map: &MappedWords,
    name: &'static str,
    more: &mut HashMap<MapData, Vip6Key, PackedVip>,
    op: &Op,
    key: K,
) -> Result<(), MapsError> {
    let number = key.bucket();
    let bucket = bucket(map, name, number as usize)?;
    if vips::remove(bucket, key) || !vips::is_spilled::<_, K>(bucket) {
        return Ok(());
    }
    removed(name::VIPS_MORE, op, more.remove(&key.spilled()))?;
    let keys = more.keys().collect::<Result<Vec<_>, _>>().map_err(|e| read_error(name::VIPS_MORE, e))?;
    let is_of_bucket = |other: &Vip6Key| K::of_spilled(*other).is_some_and(|other| other.bucket() == number);
    vips::note_spilled::<_, K>(bucket, keys.iter().any(is_of_bucket));
    Ok(())
}
