//! What we have, as records: which are asked for, which are known already, which contradict others'.

use core::cmp::Ordering;
use core::net::IpAddr;

use coracle_wire::Malformed;
use coracle_wire::dns::{DnsFlags, MDNS_PORT, Message, Name, NameBuf, Record, Section, Writer, class, kind};

use super::{MAX_SERVICES, Reply, Responder, Service, State};

/// [RFC 6762 §10] Records with the host's name in them or as their owner live two minutes, others 75.
const HOST_TTL: u32 = 120;
const OTHER_TTL: u32 = 4_500;
/// [RFC 6762 §6.7] Resolvers that speak plain DNS keep nothing for long.
const LEGACY_TTL: u32 = 10;

/// A set of our records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of the host: addresses, what else it does not have, and which kinds of services there are.
    pub(super) host: u8,
    /// Of each service.
    pub(super) services: [u8; MAX_SERVICES],
}

impl Wanted {
    pub(super) const NONE: Self = Self { host: 0, services: [0; MAX_SERVICES] };
    const ADDRESSES_V4: u8 = 1;
    const ADDRESSES_V6: u8 = 2;
    /// That there is nothing else of the name [RFC 6762 §6.1]; of a host and of a service.
    const NOTHING_ELSE: u8 = 8;
    const KINDS: u8 = 16;
    const POINTER: u8 = 1;
    const PLACE: u8 = 2;
    const TEXTS: u8 = 4;
    /// Everything of a service.
    pub(super) const SERVICE: u8 = Self::POINTER | Self::PLACE | Self::TEXTS;

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether others may have records of the same name too, and so answer at the same time.
    pub(super) fn is_shared(&self) -> bool {
        self.host & Self::KINDS != 0 || self.services.iter().any(|records| records & Self::POINTER != 0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.host |= other.host;
        for (mine, theirs) in self.services.iter_mut().zip(other.services) {
            *mine |= theirs;
        }
    }
}

impl Service {
    /// The name of the instance; none when it would be too long.
    pub(super) fn name(&self) -> Option<NameBuf> {
        let mut name = NameBuf::ROOT;
        name.push(self.instance.bytes()).ok()?;
        name.push_name(self.kind.name()).ok()?;
        Some(name)
    }

    fn texts(&self) -> &[u8] {
        // [RFC 6763 §6.1] A record without texts has one that is empty.
        if self.texts_len == 0 { &[0] } else { &self.texts[..usize::from(self.texts_len)] }
    }
}

/// Tells kinds of services.
fn kinds_name() -> NameBuf {
    NameBuf::from_text("_services._dns-sd._udp.local").unwrap_or(NameBuf::ROOT)
}

fn asks(question: u16, kind: u16) -> bool {
    question == kind || question == kind::ANY
}

impl Responder {
    pub(super) fn host_name(&self) -> NameBuf {
        let mut name = NameBuf::ROOT;
        name.push(self.host.bytes()).and_then(|()| name.push(b"local")).unwrap_or_default();
        name
    }

    fn each_service(&self) -> impl Iterator<Item = (usize, &Service)> {
        self.services.iter().enumerate().filter_map(|(slot, place)| Some((slot, place.as_ref()?)))
    }

    /// All our records.
    pub(super) fn everything(&self) -> Wanted {
        let mut all = Wanted { host: Wanted::ADDRESSES_V4 | Wanted::ADDRESSES_V6, ..Wanted::NONE };
        for (slot, _) in self.each_service() {
            all.services[slot] = Wanted::SERVICE;
        }
        all
    }

    /// Which records the questions of a message ask for, and whether the answer is for the asker alone.
    pub(super) fn wanted_by(&self, message: &Message<'_>, addresses: &[IpAddr]) -> (Wanted, bool) {
        let (mut wanted, mut alone) = (Wanted::NONE, true);
        for question in message.questions().map_while(Result::ok) {
            if !matches!(question.class & !class::UNICAST_RESPONSE, class::IN | class::ANY) {
                continue;
            }
            let mut found = Wanted::NONE;
            self.find(question.name, question.kind, addresses, &mut found);
            if !found.is_nothing() {
                alone &= question.class & class::UNICAST_RESPONSE != 0;
                wanted.add(&found);
            }
        }
        (wanted, alone)
    }

    fn find(&self, name: Name<'_>, asked: u16, addresses: &[IpAddr], wanted: &mut Wanted) {
        if name == self.host_name().name() {
            for (record, bit, there) in [
                (kind::A, Wanted::ADDRESSES_V4, addresses.iter().any(IpAddr::is_ipv4)),
                (kind::AAAA, Wanted::ADDRESSES_V6, addresses.iter().any(IpAddr::is_ipv6)),
            ] {
                if asks(asked, record) && there {
                    wanted.host |= bit;
                }
            }
            if wanted.host == 0 {
                wanted.host = Wanted::NOTHING_ELSE;
            }
        }
        if asks(asked, kind::PTR) && self.each_service().next().is_some() && name == kinds_name().name() {
            wanted.host |= Wanted::KINDS;
        }
        for (slot, service) in self.each_service() {
            let records = &mut wanted.services[slot];
            if asks(asked, kind::PTR) && name == service.kind.name() {
                *records |= Wanted::POINTER;
            }
            if service.name().is_some_and(|own| own.name() == name) {
                for (record, bit) in [(kind::SRV, Wanted::PLACE), (kind::TXT, Wanted::TEXTS)] {
                    if asks(asked, record) {
                        *records |= bit;
                    }
                }
                if *records & Wanted::SERVICE == 0 {
                    *records |= Wanted::NOTHING_ELSE;
                }
            }
        }
    }

    /// What the asker knows already, for at least half as long as we would say, is not told again [RFC 6762 §7.1].
    pub(super) fn suppress_known(&self, wanted: &mut Wanted, message: &Message<'_>, addresses: &[IpAddr]) {
        let host = self.host_name();
        for known in message.records().map_while(Result::ok).filter(|one| one.section == Section::Answer) {
            if known.name == host.name() && known.ttl() >= HOST_TTL / 2 {
                let ours =
                    addresses.iter().filter(|address| address.is_ipv4() == (known.kind == kind::A)).count();
                if ours == 1 && addresses.iter().any(|&address| is_address(&known, address)) {
                    wanted.host &=
                        if known.kind == kind::A { !Wanted::ADDRESSES_V4 } else { !Wanted::ADDRESSES_V6 };
                }
            }
            for (slot, service) in self.each_service() {
                let Some(own) = service.name() else { continue };
                let long = known.ttl() >= OTHER_TTL / 2;
                let records = &mut wanted.services[slot];
                if known.name == service.kind.name()
                    && known.target().is_ok_and(|target| target == own.name())
                    && long
                {
                    *records &= !Wanted::POINTER;
                } else if known.name == own.name()
                    && known.kind == kind::TXT
                    && known.data() == service.texts()
                    && long
                {
                    *records &= !Wanted::TEXTS;
                }
            }
        }
    }

    /// Whether a response says something else of a name that is ours alone. Names that somebody has while we ask for them
    /// are changed.
    pub(super) fn contradicts(&mut self, message: &Message<'_>, addresses: &[IpAddr]) -> bool {
        let host = self.host_name();
        let probing = matches!(self.state, State::Probing(..));
        let mut conflict = false;
        for record in message.records().map_while(Result::ok) {
            if record.class & !class::CACHE_FLUSH != class::IN || record.ttl() == 0 {
                continue;
            }
            if record.name == host.name()
                && matches!(record.kind, kind::A | kind::AAAA)
                && !addresses.iter().any(|&address| is_address(&record, address))
            {
                if probing && !conflict {
                    self.host.rename();
                }
                conflict = true;
            }
            for slot in 0..self.services.len() {
                let Some(service) = &self.services[slot] else { continue };
                let elsewhere = |record: &Record<'_>| {
                    record.srv().is_ok_and(|srv| srv.port != service.port || srv.target != host.name())
                };
                if service.name().is_some_and(|own| own.name() == record.name) && elsewhere(&record) {
                    if probing && let Some(service) = &mut self.services[slot] {
                        service.instance.rename();
                    }
                    conflict = true;
                }
            }
        }
        conflict
    }

    /// Whether somebody who asks for our name at the same time has greater data [RFC 6762 §8.2].
    pub(super) fn loses_to(&self, message: &Message<'_>, addresses: &[IpAddr]) -> bool {
        let host = self.host_name();
        let theirs = || {
            message.records().map_while(Result::ok).filter(|record| {
                record.section == Section::Authority
                    && record.name == host.name()
                    && matches!(record.kind, kind::A | kind::AAAA)
            })
        };
        // Records in the order of their kinds and data; whoever runs out first has the lesser.
        let mut order = Ordering::Equal;
        let mut after: Option<(u16, [u8; 16])> = None;
        let mut mine: Option<(u16, [u8; 16])> = None;
        if theirs().next().is_none() {
            return false;
        }
        while order == Ordering::Equal {
            let their =
                theirs().filter_map(|record| sortable(&record)).filter(|key| Some(*key) > after).min();
            let own = addresses.iter().map(|&address| key(address)).filter(|key| Some(*key) > mine).min();
            if their.is_none() && own.is_none() {
                break;
            }
            order = own.cmp(&their);
            (after, mine) = (their.or(after), own.or(mine));
        }
        order == Ordering::Less
    }

    /// A question for all our names, with what we would say of them [RFC 6762 §8.1].
    pub(super) fn write_probe(&self, buffer: &mut [u8], addresses: &[IpAddr]) -> usize {
        let Ok(mut writer) = Writer::new(buffer, 0, DnsFlags::QUERY) else { return 0 };
        let host = self.host_name();
        let unicast = class::IN | class::UNICAST_RESPONSE;
        // What does not fit is claimed by the announcement alone.
        writer.question(host.name(), kind::ANY, unicast).unwrap_or_default();
        for (_, service) in self.each_service() {
            if let Some(own) = service.name() {
                writer.question(own.name(), kind::ANY, unicast).unwrap_or_default();
            }
        }
        let style = Style { section: Section::Authority, flush: 0, ttl: None };
        self.write_addresses(&mut writer, style, Wanted::ADDRESSES_V4 | Wanted::ADDRESSES_V6, addresses);
        for (_, service) in self.each_service() {
            self.write_place(&mut writer, style, service).unwrap_or_default();
        }
        writer.finish()
    }

    /// Records for everybody; as a goodbye they live no longer.
    pub(super) fn write_answers(
        &self,
        buffer: &mut [u8],
        wanted: &Wanted,
        addresses: &[IpAddr],
        goodbye: bool,
    ) -> usize {
        let flags = DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE);
        let Ok(mut writer) = Writer::new(buffer, 0, flags) else { return 0 };
        let ttl = goodbye.then_some(0);
        let style = Style { section: Section::Answer, flush: class::CACHE_FLUSH, ttl };
        self.write_all(&mut writer, style, wanted, addresses);
        writer.finish()
    }

    /// An answer for one asker.
    pub(super) fn write_reply(&self, buffer: &mut [u8], reply: &Reply, addresses: &[IpAddr]) -> usize {
        let flags = DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE);
        let Ok(mut writer) = Writer::new(buffer, reply.id, flags) else { return 0 };
        let legacy = reply.port != MDNS_PORT;
        if let Some((name, kind)) = &reply.question {
            writer.question(name.name(), *kind, class::IN).unwrap_or_default();
        }
        let style = Style {
            section: Section::Answer,
            flush: if legacy { 0 } else { class::CACHE_FLUSH },
            ttl: legacy.then_some(LEGACY_TTL),
        };
        self.write_all(&mut writer, style, &reply.wanted, addresses);
        writer.finish()
    }

    /// The records of a set, and behind them those that whoever asks for these wants next [RFC 6763 §12].
    fn write_all(&self, writer: &mut Writer<'_>, style: Style, wanted: &Wanted, addresses: &[IpAddr]) {
        self.write_addresses(writer, style, wanted.host, addresses);
        if wanted.host & Wanted::KINDS != 0 {
            let kinds = kinds_name();
            for (_, service) in self.each_service() {
                style.pointer(writer, kinds.name(), service.kind.name()).unwrap_or_default();
            }
        }
        for (slot, service) in self.each_service() {
            let records = wanted.services[slot];
            self.write_service(writer, style, service, records).unwrap_or_default();
        }
        let more = Style { section: Section::Additional, ..style };
        let host = self.host_name();
        if wanted.host & Wanted::NOTHING_ELSE != 0 {
            more.nothing_else(writer, host.name(), &host_kinds(addresses)).unwrap_or_default();
        }
        let mut place = false;
        for (slot, service) in self.each_service() {
            let records = wanted.services[slot];
            if records & Wanted::POINTER != 0 {
                let rest = Wanted::SERVICE & !records;
                self.write_service(writer, more, service, rest).unwrap_or_default();
            }
            if records & Wanted::NOTHING_ELSE != 0
                && let Some(own) = service.name()
            {
                more.nothing_else(writer, own.name(), &[kind::TXT, kind::SRV]).unwrap_or_default();
            }
            place |= records & (Wanted::POINTER | Wanted::PLACE) != 0;
        }
        if place {
            let rest = (Wanted::ADDRESSES_V4 | Wanted::ADDRESSES_V6) & !wanted.host;
            self.write_addresses(writer, more, rest, addresses);
        }
    }

    fn write_addresses(&self, writer: &mut Writer<'_>, style: Style, records: u8, addresses: &[IpAddr]) {
        let host = self.host_name();
        for &address in addresses {
            let (bit, (kind, bytes)) =
                (if address.is_ipv4() { Wanted::ADDRESSES_V4 } else { Wanted::ADDRESSES_V6 }, key(address));
            let len = if address.is_ipv4() { 4 } else { 16 };
            if records & bit != 0 {
                let (class, ttl) = (class::IN | style.flush, style.ttl.unwrap_or(HOST_TTL));
                let write = writer
                    .record(style.section, host.name(), kind, class, ttl, |data| data.bytes(&bytes[..len]));
                write.unwrap_or_default();
            }
        }
    }

    fn write_place(&self, writer: &mut Writer<'_>, style: Style, service: &Service) -> Result<(), Malformed> {
        let (own, host) = (service.name().ok_or(Malformed::Length)?, self.host_name());
        let (class, ttl) = (class::IN | style.flush, style.ttl.unwrap_or(HOST_TTL));
        writer.record(style.section, own.name(), kind::SRV, class, ttl, |data| {
            data.bytes(&[0; 4])?;
            data.bytes(&service.port.to_be_bytes())?;
            data.name(host.name())
        })
    }

    fn write_service(
        &self,
        writer: &mut Writer<'_>,
        style: Style,
        service: &Service,
        records: u8,
    ) -> Result<(), Malformed> {
        let own = service.name().ok_or(Malformed::Length)?;
        if records & Wanted::POINTER != 0 {
            style.pointer(writer, service.kind.name(), own.name())?;
        }
        if records & Wanted::PLACE != 0 {
            self.write_place(writer, style, service)?;
        }
        if records & Wanted::TEXTS != 0 {
            let (class, ttl) = (class::IN | style.flush, style.ttl.unwrap_or(OTHER_TTL));
            writer.record(style.section, own.name(), kind::TXT, class, ttl, |data| {
                data.bytes(service.texts())
            })?;
        }
        Ok(())
    }
}

/// How records are written.
#[derive(Clone, Copy)]
struct Style {
    section: Section,
    /// The bit that says that there are no others.
    flush: u16,
    /// Another lifetime than the usual.
    ttl: Option<u32>,
}

impl Style {
    /// Pointers are shared: others may have some too.
    fn pointer(self, writer: &mut Writer<'_>, owner: Name<'_>, target: Name<'_>) -> Result<(), Malformed> {
        let ttl = self.ttl.unwrap_or(OTHER_TTL);
        writer.record(self.section, owner, kind::PTR, class::IN, ttl, |data| data.name(target))
    }

    fn nothing_else(self, writer: &mut Writer<'_>, owner: Name<'_>, kinds: &[u16]) -> Result<(), Malformed> {
        let (class, ttl) = (class::IN | self.flush, self.ttl.unwrap_or(HOST_TTL));
        writer.record(self.section, owner, kind::NSEC, class, ttl, |data| data.nsec(owner, kinds))
    }
}

/// The kinds of addresses that there are; the first twice where there is but one.
fn host_kinds(addresses: &[IpAddr]) -> [u16; 2] {
    let (v4, v6) = (addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6));
    match (v4, v6) {
        (true, false) => [kind::A; 2],
        (false, true) => [kind::AAAA; 2],
        _ => [kind::A, kind::AAAA],
    }
}

/// A record of an address: its kind, and its data with zeros behind.
fn key(address: IpAddr) -> (u16, [u8; 16]) {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            (kind::A, bytes)
        }
        IpAddr::V6(address) => (kind::AAAA, address.octets()),
    }
}

fn sortable(record: &Record<'_>) -> Option<(u16, [u8; 16])> {
    match record.kind {
        kind::A => record.a().ok().map(|address| key(address.into())),
        _ => record.aaaa().ok().map(|address| key(address.into())),
    }
}

fn is_address(record: &Record<'_>, address: IpAddr) -> bool {
    sortable(record) == Some(key(address)) && matches!(record.kind, kind::A | kind::AAAA)
}
