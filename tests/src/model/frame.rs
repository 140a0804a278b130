//! A packet's memory on the host, with the room that XDP gives.

use lb_pipeline::frame::Frame;
use lb_pipeline::inline::Inline;

use super::Packet;

/// Bytes in front of a packet: `XDP_PACKET_HEADROOM`.
const HEADROOM: usize = 256;
/// Bytes at the start of the headroom that the kernel keeps for itself: its `struct xdp_frame`.
const RESERVED: usize = 40;
/// The kernel leaves at least an Ethernet header.
const SHORTEST: usize = 14;
/// What lies in the headroom. The kernel promises nothing; a byte that the program forgets to write is seen
/// in a comparison because the kernel's test frames have zero there.
const STALE: u8 = 0xee;

/// A packet in a vector, as a [`Frame`].
pub struct SliceFrame {
    memory: Vec<u8>,
    start: usize,
    linear_end: usize,
    lowest_start: usize,
    ingress: u32,
}

impl SliceFrame {
    /// The packet, with headroom in front of it.
    pub fn new(packet: &Packet, ingress: u32) -> Self {
        let mut memory = vec![STALE; HEADROOM];
        memory.extend_from_slice(&packet.bytes);
        Self {
            memory,
            start: HEADROOM,
            linear_end: HEADROOM + packet.linear,
            lowest_start: RESERVED + packet.metadata,
            ingress,
        }
    }

    /// Returns the packet in its present state.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.memory.split_off(self.start)
    }
}

impl Inline for SliceFrame {}

impl Frame for SliceFrame {
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        self.memory.get(self.start..self.linear_end)?.get(at..)?.first_chunk()
    }

    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]> {
        self.memory.get_mut(self.start..self.linear_end)?.get_mut(at..)?.first_chunk_mut()
    }

    fn linear_len(&self) -> usize {
        self.linear_end - self.start
    }

    fn total_len(&self) -> usize {
        self.memory.len() - self.start
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn move_head(&mut self, delta: i32) -> bool {
        let Some(start) = self.start.checked_add_signed(delta as isize) else { return false };
        if start < self.lowest_start || start + SHORTEST > self.linear_end {
            return false;
        }
        self.start = start;
        true
    }

    fn cut_tail(&mut self, len: usize) -> bool {
        if len < SHORTEST || len > self.total_len() {
            return false;
        }
        self.memory.truncate(self.start + len);
        self.linear_end = self.linear_end.min(self.memory.len());
        true
    }
}
