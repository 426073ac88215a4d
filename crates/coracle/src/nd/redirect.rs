//! Better first hops [RFC 4861 §8].

use core::time::Duration;

use coracle_wire::Malformed;
use coracle_wire::ndp::{Preference, Redirect};

use super::learned::{Kind, Learned};
use super::solicit::target_station;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Received;

/// How long a redirect is believed; a first hop that is still not the best says so again.
const LIFETIME: Duration = Duration::from_mins(10);

impl Engine {
    pub(super) fn nd_redirected(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (redirect, options) = Redirect::read(message, info.source.to_v6())?;
        let netif = info.netif.slot();
        if !self.netifs.at(netif).is_some_and(|interface| interface.nd.believes()) {
            return Ok(());
        }
        let destination = Address::v6(redirect.destination().octets(), netif);
        let target = Address::v6(redirect.target().octets(), netif);
        // [4861-13]
        let hop = self.routes.find(destination, |netif| netif == info.netif).map(|route| route.gateway);
        let sane = destination.is_one_host() && !destination.is_v4() && !destination.is_link_local();
        if hop != Some(info.source) || !sane || self.owner_of(target).is_some() {
            return Err(Malformed::Address);
        }
        count!(self.counters.nd.redirects);
        let on_link = target == destination;
        if let Some(station) = target_station(options) {
            self.nud_heard(netif, target, station, (!on_link).then_some(true));
        }
        let learned = Learned {
            netif: netif as u32,
            kind: Kind::Redirect,
            prefix: destination,
            prefix_len: 128,
            gateway: if on_link { Address::ANY } else { target },
            preference: Preference::Medium,
            until: self.now + LIFETIME,
            suspect: false,
        };
        if self.learned.learn(learned, self.now) {
            self.routes_changed();
        }
        self.learned_set_timer();
        Ok(())
    }
}
