//! A bounds-checked cursor over received octets: reading past the end returns `None`.

/// The unread octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct OctetReader<'a>(&'a [u8]);

impl<'a> OctetReader<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Returns all unread octets without consuming them.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    /// Splits off the next octets as a reader of their own.
    pub(super) fn part(&mut self, count: usize) -> Option<Self> {
        self.take(count).map(Self)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    /// Returns all unread octets if they have exactly this length.
    pub(super) fn all<const N: usize>(&self) -> Option<[u8; N]> {
        self.0.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::OctetReader;

    #[test]
    fn a_truncated_value_is_not_read() {
        let mut reader = OctetReader::new(&[1, 2, 3]);
        assert_eq!((reader.u32(), reader.u16(), reader.u16()), (None, Some(0x0102), None));
        assert_eq!((reader.rest(), reader.take(2), reader.u8()), ([3].as_slice(), None, Some(3)));
        assert!(reader.is_empty());
    }
}
