//! What a wire needs to know of the frames it carries.

/// A frame that an [`Impairer`](super::Impairer) can carry, copy and damage.
pub trait Frame: Sized {
    /// Its length in bytes.
    fn byte_len(&self) -> usize;

    /// A copy that can be damaged or consumed without touching this one, or `None` when there is no memory for it.
    fn duplicate(&self) -> Option<Self>;

    /// Inverts one bit: bit `index % 8` (0 is the least significant) of byte `index / 8`. Bytes that others can see
    /// must not change, so a shared buffer is copied first. Returns `false`, and leaves the frame as it was, when there is
    /// no memory for that or no such bit.
    fn flip_bit(&mut self, index: usize) -> bool;
}

impl Frame for Vec<u8> {
    #[inline]
    fn byte_len(&self) -> usize {
        self.len()
    }

    fn duplicate(&self) -> Option<Self> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(self.len()).ok()?;
        copy.extend_from_slice(self);
        Some(copy)
    }

    fn flip_bit(&mut self, index: usize) -> bool {
        let Some(byte) = self.get_mut(index / 8) else { return false };
        *byte ^= 1 << (index % 8);
        true
    }
}
