//! What the stack does for itself and its applications besides carrying packets: it resolves names, asks for the time.
//!
//! A service is a state machine in a folder of its own that knows no engine. It owns control blocks and timers, which
//! have no handlers: what comes for them comes here.

use coracle_buf::{Arena, Error, Pbuf};

use crate::config::{Config, Limits};
#[cfg(feature = "dns")]
use crate::dns::Dns;
use crate::engine::Engine;
use crate::event::Event;
#[cfg(feature = "sntp")]
use crate::sntp::SntpService;
use crate::table::Key;
use crate::tcp::Report;

/// Who a UDP control block belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Application,
    /// An exchange of the resolver.
    #[cfg(feature = "dns")]
    Dns(u16),
    #[cfg(feature = "sntp")]
    Sntp,
}

/// The timer of the resolver.
#[cfg(feature = "dns")]
pub(crate) const DNS_TIMER: usize = 0;
/// The timer of the client for the time.
#[cfg(feature = "sntp")]
pub(crate) const SNTP_TIMER: usize = cfg!(feature = "dns") as usize;

/// The services' state.
pub(crate) struct Services {
    #[cfg(feature = "dns")]
    pub(crate) dns: Dns,
    #[cfg(feature = "sntp")]
    pub(crate) sntp: SntpService,
}

#[cfg_attr(
    not(any(feature = "dns", feature = "sntp")),
    allow(unused_variables, unused_mut, clippy::unnecessary_wraps, reason = "there are no services")
)]
impl Services {
    /// How many timers they have.
    pub(crate) const TIMERS: usize = cfg!(feature = "dns") as usize + cfg!(feature = "sntp") as usize;

    /// How many UDP control blocks they have.
    pub(crate) fn udp(limits: &Limits) -> usize {
        let mut own = 0_usize;
        #[cfg(feature = "dns")]
        {
            own = own.saturating_add(limits.dns.queries.saturating_mul(2));
        }
        #[cfg(feature = "sntp")]
        {
            own = own.saturating_add(usize::from(limits.sntp_servers > 0));
        }
        own
    }

    pub(crate) fn new(arena: &mut Arena, limits: &Limits, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            #[cfg(feature = "dns")]
            dns: Dns::new(arena, limits, config)?,
            #[cfg(feature = "sntp")]
            sntp: SntpService::new(arena, limits, config)?,
        })
    }

    /// Something else than zero if they have anything to report.
    #[inline]
    #[cfg_attr(not(any(feature = "dns", feature = "sntp")), allow(clippy::unused_self))]
    pub(crate) fn events(&self) -> usize {
        let mut events = 0;
        #[cfg(feature = "dns")]
        {
            events |= self.dns.events();
        }
        #[cfg(feature = "sntp")]
        {
            events |= self.sntp.events();
        }
        events
    }
}

#[cfg_attr(
    not(all(feature = "dns", feature = "sntp")),
    allow(
        unused_variables,
        clippy::unused_self,
        clippy::needless_pass_by_value,
        clippy::unnecessary_wraps,
        reason = "some services are left out"
    )
)]
impl Engine {
    /// A datagram for a control block without a handler.
    #[cold]
    pub(crate) fn service_datagram(&mut self, key: Key, data: Pbuf) {
        let Some(pcb) = self.udp.slots.get(key) else { return };
        match pcb.owner {
            Owner::Application => {}
            #[cfg(feature = "dns")]
            Owner::Dns(exchange) => self.dns_datagram(exchange.into(), data),
            #[cfg(feature = "sntp")]
            Owner::Sntp => self.sntp_datagram(&data),
        }
    }

    /// An error about what a control block without a handler sent.
    #[cold]
    pub(crate) fn service_udp_error(&mut self, key: Key) {
        let Some(pcb) = self.udp.slots.get(key) else { return };
        match pcb.owner {
            Owner::Application => {}
            #[cfg(feature = "dns")]
            Owner::Dns(exchange) => self.dns_failed(exchange.into()),
            #[cfg(feature = "sntp")]
            Owner::Sntp => self.sntp_failed(),
        }
    }

    /// What a connection without a handler has to report, if it is a service's. The report comes back if it is not.
    #[cold]
    pub(crate) fn service_report(&mut self, key: Key, report: Report) -> Option<Report> {
        #[cfg(feature = "dns")]
        return self.dns_report(key, report);
        #[cfg(not(feature = "dns"))]
        Some(report)
    }

    /// One of the services' timers.
    #[cold]
    pub(crate) fn services_timer(&mut self, number: usize) {
        match number {
            #[cfg(feature = "dns")]
            DNS_TIMER => self.dns_timer(),
            #[cfg(feature = "sntp")]
            SNTP_TIMER => self.sntp_act(),
            _ => {}
        }
    }

    /// What the services have to tell applications.
    #[cold]
    pub(crate) fn next_service_event(&mut self) -> Option<Event> {
        #[cfg(feature = "dns")]
        if let Some(event) = self.dns_next_event() {
            return Some(event);
        }
        #[cfg(feature = "sntp")]
        if self.services.sntp.events() > 0 {
            return Some(Event::Time);
        }
        None
    }
}
