//! A packet that can be read, written and moved, in the kernel or on the host.

/// A packet, from its first Ethernet byte.
///
/// The length of every access is a constant, which the verifier can follow.
pub trait Frame {
    /// Returns `N` bytes from offset `at`; `None` if the linear part of the frame is shorter.
    fn view<const N: usize>(&self, at: usize) -> Option<&[u8; N]>;

    /// Returns the bytes of [`Frame::view`] to write.
    fn view_mut<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]>;

    /// Returns the bytes of the linear part, which always contains the headers.
    fn linear_len(&self) -> usize;

    /// Returns the bytes of the whole frame, further buffers of the driver included.
    fn total_len(&self) -> usize;

    /// Returns the index of the ingress interface.
    fn ingress(&self) -> u32;

    /// Moves the first byte by `delta`: negative adds headers, positive removes them. New bytes are
    /// undefined, and previous views invalid. Returns false, and changes nothing, if there is no headroom.
    #[must_use]
    fn move_head(&mut self, delta: i32) -> bool;

    /// Truncates the frame to `len` bytes; previous views are invalid. Returns false, and changes nothing, if
    /// it cannot or if the frame is shorter.
    #[must_use]
    fn cut_tail(&mut self, len: usize) -> bool;

    /// Returns whether the frame holds an IP packet of this length at `l3`.
    #[inline(always)]
    fn holds(&self, l3: usize, length: u32) -> bool {
        let end = l3 + length as usize;
        end <= self.linear_len() || end <= self.total_len()
    }
}
