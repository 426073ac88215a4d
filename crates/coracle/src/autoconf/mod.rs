//! How an interface comes to its IPv4 address by itself: from a DHCP server, a link-local one of its own while there is
//! no server, or a given one once it is known that nobody else has it. The three share the interface's one address here.

mod engine;
#[cfg(feature = "dns")]
mod names;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use engine::Place;

use core::net::Ipv4Addr;

use coracle_buf::Error;
use coracle_wire::MacAddr;
use coracle_wire::arp::ArpPacket;
use coracle_wire::dhcpv4::DhcpMessage;

use crate::acd::{Acd, Due, Sight};
use crate::autoip::AutoIp;
use crate::dhcp::{Client, DhcpConfig, DhcpState};
use crate::netif::{Hostname, Ipv4Settings};
use crate::random::Random;
use crate::time::Instant;

/// What the machines need of their interface.
pub(crate) trait Port {
    /// The present time.
    fn now(&self) -> Instant;
    /// Unpredictable numbers.
    fn random(&mut self) -> &mut Random;
    /// The interface's name for others.
    fn hostname(&self) -> Option<Hostname>;
    /// The interface's MTU.
    fn mtu(&self) -> u16;
    /// The interface's address.
    fn address(&self) -> Ipv4Addr;
    /// Sends a message from port 68 to port 67; what cannot be sent is lost, and will be sent again.
    fn send(&mut self, source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]);
    /// Asks all for an address: from 0.0.0.0, which is a probe, or from the address itself, which announces it.
    fn arp(&mut self, address: Ipv4Addr, announce: bool);
    /// Sets the interface's address, or takes it away. Setting one announces it. An error says that another interface
    /// has it.
    fn set_ipv4(&mut self, settings: Ipv4Settings) -> Result<(), Error>;
    /// Somebody else has the address that the interface has, or was to have.
    fn conflict(&mut self);
}

/// The machines of one interface.
#[derive(Debug)]
pub(crate) struct Autoconf {
    pub(crate) client: Client,
    autoip: AutoIp,
    /// Whether the owner asked for a link-local address, DHCP or not.
    autoip_wanted: bool,
    /// An address given by hand that is being checked, or watched over.
    given: Ipv4Settings,
    given_in_use: bool,
    acd: Acd,
    link_up: bool,
}

impl Autoconf {
    pub(crate) const fn new(station: MacAddr) -> Self {
        Self {
            client: Client::new(DhcpConfig::new(), station),
            autoip: AutoIp::new(station),
            autoip_wanted: false,
            given: Ipv4Settings::NONE,
            given_in_use: false,
            acd: Acd::OFF,
            link_up: false,
        }
    }

    /// Whether the interface's address is a link-local one that it gave itself.
    pub(crate) fn has_autoip(&self) -> bool {
        self.autoip.address().is_some()
    }

    /// When [`timer`](Self::timer) is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own =
            [self.autoip.deadline(), self.acd.deadline()].map(|deadline| deadline.filter(|_| self.link_up));
        [self.client.deadline(), own[0], own[1]].into_iter().flatten().min()
    }

    /// Starts the DHCP client, or starts it anew. An address given by hand goes.
    pub(crate) fn dhcp_start(&mut self, port: &mut dyn Port, station: MacAddr, config: &DhcpConfig) {
        self.let_go_of_given(port);
        self.client.configure(port, config, station);
        self.client.start(port, self.link_up);
        self.settle(port);
    }

    /// Asks for the settings that go with an address set by hand.
    pub(crate) fn dhcp_inform(&mut self, port: &mut dyn Port, station: MacAddr, config: &DhcpConfig) {
        self.client.configure(port, config, station);
        self.client.inform(port, self.link_up);
        self.settle(port);
    }

    pub(crate) fn dhcp_renew(&mut self, port: &mut dyn Port) {
        self.client.renew(port);
        self.settle(port);
    }

    /// Stops the client; `release`: and gives the lease back.
    pub(crate) fn dhcp_stop(&mut self, port: &mut dyn Port, release: bool) {
        if release {
            self.client.release(port);
        } else {
            self.client.stop(port);
        }
        self.settle(port);
    }

    /// Gives the interface a link-local address, as long as it has no better one.
    pub(crate) fn autoip_start(&mut self, port: &mut dyn Port, station: MacAddr) {
        self.let_go_of_given(port);
        if !self.autoip.is_on() {
            self.autoip = AutoIp::new(station);
        }
        self.autoip_wanted = true;
        self.settle(port);
    }

    pub(crate) fn autoip_stop(&mut self, port: &mut dyn Port) {
        self.autoip_wanted = false;
        self.autoip_off(port);
        self.settle(port);
    }

    /// Checks an address, and sets it when nobody has it; then watches over it.
    pub(crate) fn acd_start(&mut self, port: &mut dyn Port, settings: Ipv4Settings) {
        self.give_way(port);
        self.given = settings;
        self.acd = Acd::OFF;
        self.acd.start(settings.address, port.now(), port.random());
    }

    /// The owner set an address by hand: nobody else sets one from now on.
    pub(crate) fn give_way(&mut self, port: &mut dyn Port) {
        if self.client.state() != DhcpState::Informing && self.client.state() != DhcpState::Informed {
            self.client.give_way(port);
        }
        self.autoip_wanted = false;
        self.autoip.stop();
        self.given_in_use = false;
        self.acd.stop();
    }

    pub(crate) fn link_changed(&mut self, port: &mut dyn Port, up: bool) {
        if core::mem::replace(&mut self.link_up, up) == up {
            return;
        }
        self.client.link_changed(port, up);
        if up {
            // It may be another network now, where somebody else has the addresses.
            if self.autoip.is_on() {
                self.autoip_off(port);
                self.autoip.start(port.now(), port.random());
            }
            if let Some(address) = self.acd.address() {
                self.acd.start(address, port.now(), port.random());
            }
        }
        self.settle(port);
    }

    /// A deadline may have come.
    pub(crate) fn timer(&mut self, port: &mut dyn Port) {
        self.client.timer(port);
        if self.link_up {
            self.autoip_timer(port);
            self.acd_timer(port);
        }
        self.settle(port);
    }

    /// Takes a DHCP message; whether it was the acknowledgment that the client waited for.
    pub(crate) fn input(&mut self, port: &mut dyn Port, message: &DhcpMessage<'_>) -> bool {
        let taken = self.client.input(port, message);
        self.settle(port);
        taken
    }

    /// Shows an ARP packet that another station sent.
    pub(crate) fn arp(&mut self, port: &mut dyn Port, packet: &ArpPacket) {
        self.client.arp(port, packet);
        let (now, own) = (port.now(), self.autoip.address());
        match self.autoip.arp(packet, now, port.random()) {
            Sight::Defend => port.arp(own.unwrap_or(Ipv4Addr::UNSPECIFIED), true),
            Sight::Lost if own.is_some() => clear(port),
            Sight::Lost | Sight::Harmless => {}
        }
        match self.acd.arp(packet, now) {
            Sight::Harmless => {}
            Sight::Defend => port.arp(self.given.address, true),
            Sight::Lost => {
                if core::mem::take(&mut self.given_in_use) {
                    clear(port);
                }
                port.conflict();
            }
        }
        self.settle(port);
    }

    /// Starts and stops the search for a link-local address, as the client finds a server or does not. Once started it
    /// goes on until there is a lease, so that a server that answers now and then leaves nobody without any address.
    fn settle(&mut self, port: &mut dyn Port) {
        let leased = self.client.lease().is_some();
        let looking = self.client.state() != DhcpState::Off && !self.client.is_forbidden();
        let meanwhile = looking && (self.client.wants_autoip() || self.autoip.is_on());
        let wanted = !leased && (self.autoip_wanted || meanwhile);
        if wanted && !self.autoip.is_on() {
            self.autoip.start(port.now(), port.random());
        } else if leased {
            // The lease's address has taken its place.
            self.autoip.stop();
        } else if !wanted {
            self.autoip_off(port);
        }
    }

    fn autoip_off(&mut self, port: &mut dyn Port) {
        if self.autoip.address().is_some() {
            clear(port);
        }
        self.autoip.stop();
    }

    fn autoip_timer(&mut self, port: &mut dyn Port) {
        let now = port.now();
        let (due, address) = self.autoip.timer(now, port.random());
        match due {
            Due::Probe => port.arp(address, false),
            // Setting it announces it; that a link-local address is another interface's is no accident that lasts.
            Due::Claim if port.set_ipv4(self.autoip.settings()).is_err() => {
                self.autoip.skip(now, port.random());
            }
            Due::Claim | Due::Nothing => {}
            Due::Announce => port.arp(address, true),
        }
    }

    fn acd_timer(&mut self, port: &mut dyn Port) {
        let now = port.now();
        match self.acd.timer(now, port.random()) {
            Due::Nothing => {}
            Due::Probe => port.arp(self.given.address, false),
            Due::Claim if self.given_in_use => port.arp(self.given.address, true),
            Due::Claim => {
                self.given_in_use = port.set_ipv4(self.given).is_ok();
                if !self.given_in_use {
                    self.acd.stop();
                    port.conflict();
                }
            }
            Due::Announce => port.arp(self.given.address, true),
        }
    }

    fn let_go_of_given(&mut self, port: &mut dyn Port) {
        self.acd.stop();
        if core::mem::take(&mut self.given_in_use) {
            clear(port);
        }
    }
}

fn clear(port: &mut dyn Port) {
    // Taking an address away cannot collide with anybody's.
    port.set_ipv4(Ipv4Settings::NONE).unwrap_or_default();
}
