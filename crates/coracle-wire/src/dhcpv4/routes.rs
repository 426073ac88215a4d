//! Classless static routes [RFC 3442].

use core::net::Ipv4Addr;

use super::Value;

/// A route of option 121.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClasslessRoute {
    /// The network, without bits behind its prefix.
    pub destination: Ipv4Addr,
    /// The length of its prefix, 0 to 32; 0 is the default route.
    pub prefix_len: u8,
    /// The router; 0.0.0.0 says that the network is on the link.
    pub router: Ipv4Addr,
}

/// The routes that option 121 lists. One that is cut, or has a prefix of more than 32 bits, is the end of the list.
#[derive(Debug, Clone)]
pub struct ClasslessRoutes<'a>(Value<'a>);

impl<'a> ClasslessRoutes<'a> {
    /// The routes in the value of option 121.
    pub const fn new(value: Value<'a>) -> Self {
        Self(value)
    }
}

impl Iterator for ClasslessRoutes<'_> {
    type Item = ClasslessRoute;

    fn next(&mut self) -> Option<ClasslessRoute> {
        let prefix_len = self.0.next().filter(|&len| len <= 32)?;
        let mut destination = [0; 4];
        for octet in &mut destination[..usize::from(prefix_len).div_ceil(8)] {
            *octet = self.0.next()?;
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0);
        Some(ClasslessRoute {
            destination: Ipv4Addr::from_bits(u32::from_be_bytes(destination) & mask),
            prefix_len,
            router: self.0.next_chunk::<4>()?.into(),
        })
    }
}
