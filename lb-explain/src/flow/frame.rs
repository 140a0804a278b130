//! A packet in a vector.

use lb_pipeline::frame::Frame;
use lb_pipeline::inline::Inline;

/// Room for the headers that forwarding adds.
const HEADROOM: usize = 256;

/// A packet in a vector, as a [`Frame`].
pub(super) struct VectorFrame {
    memory: Vec<u8>,
    start: usize,
    ingress: u32,
}

impl VectorFrame {
    pub(super) fn new(packet: &[u8], ingress: u32) -> Self {
        let mut memory = vec![0; HEADROOM];
        memory.extend_from_slice(packet);
        Self { memory, start: HEADROOM, ingress }
    }
}

impl Inline for VectorFrame {}

impl Frame for VectorFrame {
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        self.memory.get(self.start..)?.get(at..)?.first_chunk()
    }

    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]> {
        self.memory.get_mut(self.start..)?.get_mut(at..)?.first_chunk_mut()
    }

    fn linear_len(&self) -> usize {
        self.memory.len() - self.start
    }

    fn total_len(&self) -> usize {
        self.linear_len()
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn move_head(&mut self, delta: i32) -> bool {
        let Some(start) = self.start.checked_add_signed(delta as isize) else { return false };
        if start >= self.memory.len() {
            return false;
        }
        self.start = start;
        true
    }

    fn cut_tail(&mut self, len: usize) -> bool {
        if len > self.total_len() {
            return false;
        }
        self.memory.truncate(self.start + len);
        true
    }
}
