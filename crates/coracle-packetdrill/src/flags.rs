//! The text of `--so_flags`.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use coracle_script::sockets::SocketsConfig;

/// What was asked for; nothing is packetdrill's own addresses and the stack's usual settings.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) sockets: SocketsConfig,
    /// Where all packets are written to.
    pub(crate) capture: Option<PathBuf>,
}

impl Flags {
    /// Reads `name=value,name=value`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut flags = Self::default();
        for flag in text.split(',').map(str::trim).filter(|flag| !flag.is_empty()) {
            let (name, value) = flag.split_once('=').ok_or_else(|| format!("{flag} is not name=value"))?;
            match name {
                "local" => flags.local(value)?,
                "pcap" => flags.capture = Some(value.into()),
                _ => flags.sockets.set(name, value).map_err(|what| format!("{flag} is {what}"))?,
            }
        }
        Ok(flags)
    }

    /// The stack's address of one family, with the length of its network's prefix or without.
    fn local(&mut self, value: &str) -> Result<(), String> {
        let wrong = || format!("local={value} is no address such as 192.168.0.1/16 or fd3d::1/48");
        let (address, prefix) = value.split_once('/').map_or((value, None), |(at, len)| (at, Some(len)));
        match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => return Err(wrong()),
            IpAddr::V4(address) => {
                self.sockets.address = address;
                self.sockets.prefix = length(prefix, self.sockets.prefix, 32).ok_or_else(wrong)?;
            }
            IpAddr::V6(address) => {
                self.sockets.address_v6 = address;
                self.sockets.prefix_v6 = length(prefix, self.sockets.prefix_v6, 128).ok_or_else(wrong)?;
            }
        }
        Ok(())
    }
}

/// The length of a prefix, at most so many bits.
fn length(text: Option<&str>, default: u8, most: u8) -> Option<u8> {
    match text {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|&length| length <= most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flags_are_packetdrills_own_addresses() {
        let flags = Flags::parse(" ,").unwrap();
        assert_eq!((flags.sockets.address, flags.sockets.prefix), (Ipv4Addr::new(192, 168, 0, 1), 16));
        assert_eq!(flags.capture, None);
    }

    #[test]
    fn flags_choose_addresses_settings_and_a_capture() {
        let text =
            "local=10.0.0.1/8,profile=small,initial_window=2,min_rto=1s,sack=off,congestion=cubic,pcap=/x/y";
        let flags = Flags::parse(text).unwrap();
        let tcp = &flags.sockets.config.tcp;
        assert_eq!((flags.sockets.address, flags.sockets.prefix), (Ipv4Addr::new(10, 0, 0, 1), 8));
        assert_eq!((tcp.window, tcp.initial_window, tcp.min_rto.as_secs(), tcp.sack), (5_840, 2, 1, false));
        assert_eq!((tcp.congestion.name(), flags.capture), ("cubic", Some(PathBuf::from("/x/y"))));
        assert_eq!(Flags::parse("local=10.0.0.2").unwrap().sockets.prefix, 16);
        let both = Flags::parse("local=10.0.0.2,local=fd3d::2/64").unwrap().sockets;
        assert_eq!((both.address_v6, both.prefix_v6), ("fd3d::2".parse().unwrap(), 64));
        assert_eq!(both.address, Ipv4Addr::new(10, 0, 0, 2));
    }

    #[test]
    fn wrong_flags_say_why() {
        let why = |text: &str| Flags::parse(text).unwrap_err();
        assert_eq!(why("mtu=1500,ipv4"), "ipv4 is not name=value");
        assert_eq!(why("sack=perhaps"), "sack=perhaps is neither on nor off");
        assert_eq!(why("colour=blue"), "colour=blue is no setting");
        for wrong in ["", "0.0.0.0", "::", "fd3d::1/129", "10.0.0.1/33", "10.0.0.1/", "10.0.0"] {
            assert!(
                why(&format!("local={wrong}")).ends_with("no address such as 192.168.0.1/16 or fd3d::1/48"),
                "{wrong}"
            );
        }
    }
}
