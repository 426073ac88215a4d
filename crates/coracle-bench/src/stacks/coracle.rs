//! Coracle itself.

use coracle_wire::checksum::Sum as PartialSum;

use crate::checksum::Sum;
use crate::failure::Failure;

/// Coracle's checksum function.
pub(crate) struct Checksum;

impl Sum for Checksum {
    fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    #[inline]
    fn sum(&self, bytes: &[u8]) -> Option<u16> {
        Some(PartialSum::new().add_bytes(bytes).fold())
    }
}
