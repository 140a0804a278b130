//! A packet that can be read, written and moved, in the kernel or on the host.

/// A packet, from its first Ethernet byte.
///
/// Every access names its length as a constant: in the kernel that is what the verifier can follow, on the
/// host it is one slice conversion.
pub trait Frame {
    /// `N` bytes from offset `at`, or `None` where the frame (its directly readable part) is shorter.
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]>;

    /// As [`Frame::view`], to write.
    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]>;

    /// Bytes in the directly readable part. Headers are always in it.
    fn linear_len(&self) -> usize;

    /// Bytes in the whole frame, with what a driver has put into further buffers.
    fn total_len(&self) -> usize;

    /// Index of the interface that the frame came in by.
    fn ingress(&self) -> u32;

    /// Moves the first byte by `delta`: negative makes room in front, positive cuts. The content of new
    /// bytes is not defined. Every view taken before is void. Returns false, and changes nothing, where
    /// there is no room.
    #[must_use]
    fn move_head(&mut self, delta: i32) -> bool;

    /// Cuts the end off, so that the frame has `len` bytes. False, with nothing changed, where it cannot be
    /// done or the frame is shorter. Every view taken before is void.
    #[must_use]
    fn cut_tail(&mut self, len: usize) -> bool;

    /// Whether the frame holds an IP packet of this length at `l3`.
    #[inline(always)]
    fn holds(&self, l3: usize, length: u32) -> bool {
        let end = l3 + length as usize;
        end <= self.linear_len() || end <= self.total_len()
    }
}
