//! Packets that are longer than a link takes, cut into fragments [RFC 791 §3.2] [RFC 8200 §4.5].
//!
//! A fragment is a small buffer with headers, and behind it a view of the data where it lies.

use coracle_buf::{Error, Layer, Memory, Pbuf, PbufQueue};
use coracle_wire::MacAddr;
use coracle_wire::ipv4::{
    CHECKSUM_OFFSET, HEADER_LEN, Ipv4Fields, Ipv4Header, MAX_HEADER_LEN, protocol, write_header_with_options,
};
#[cfg(feature = "ipv6")]
use coracle_wire::ipv6::{self, extension};

use super::Cast;
use super::output::{Send, ether_type, strip};
use super::way::Hop;
use crate::address::Family;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::error::Rejected;
use crate::link::LinkHeader;
use crate::netif::Checksums;

/// The link that fragments are cut for.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    /// What it puts in front of each.
    pub(crate) header: &'a LinkHeader,
    pub(crate) mtu: usize,
    /// How many frames its queue has room for.
    pub(crate) room: usize,
    /// Whether the IPv4 header's checksum is made here, and not by the device.
    pub(crate) checksum: bool,
}

impl Engine {
    /// Sends a packet that is longer than its way takes.
    ///
    /// [`Error::Value`] when it is longer than any packet.
    #[cold]
    #[inline(never)]
    pub(super) fn ip_send_long(
        &mut self,
        hop: &Hop,
        waits_at: Option<usize>,
        send: Option<&Send>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let bare = Hop { link: LinkHeader::NONE, ..*hop };
        let v4 = hop.destination.is_v4();
        let longest = if v4 { LONGEST_V4 } else { LONGEST_V6 };
        if bare.headers_len(send) + data.len() > longest {
            count!(self.counters.ip_of(hop.destination).too_big);
            return Err(Rejected::new(Error::Value, data));
        }
        let send = send.map(|send| Send { dont_fragment: false, ..*send });
        let send = send.as_ref();
        if let Some(position) = waits_at {
            // It is cut when the station is known.
            return self.ip_let_wait(position, hop, send, data);
        }
        let packet = self.ip_with_headers(&bare, send, data)?;
        if let Err(error) = self.ip_send_cut(hop, &packet, false) {
            if error == Error::WouldBlock {
                count!(self.counters.ip_of(hop.destination).queue_full);
            }
            return Err(strip(error, packet, bare.headers_len(send)));
        }
        count!(self.counters.ip_of(hop.destination).sent);
        Ok(())
    }

    /// Queues the fragments of a packet behind this link header, all or none.
    fn ip_send_cut(&mut self, hop: &Hop, packet: &Pbuf, unlimited: bool) -> Result<(), Error> {
        let interface = self.netifs.at_mut(hop.netif).ok_or(Error::Route)?;
        let free = interface.queue_limit.saturating_sub(interface.queue.len());
        let link = Link {
            header: &hop.link,
            mtu: hop.mtu.into(),
            room: if unlimited { usize::MAX } else { free },
            checksum: interface.checksums.contains(Checksums::GENERATE_IP),
        };
        let mut frames = match hop.destination.family() {
            Family::V4 => cut_v4(&self.memory, packet, link)?,
            #[cfg(feature = "ipv6")]
            Family::V6 => cut_v6(&self.memory, packet, link, self.random.next_u64() as u32)?,
        };
        let count = frames.len() as u32;
        while let Some(frame) = frames.pop_front() {
            // It came out of a queue, so it goes into one.
            interface.enqueue(frame, hop.cast == Cast::Unicast).map_err(|(error, _)| error)?;
        }
        count!(self.counters.link.sent, count);
        let counters = self.counters.ip_of(hop.destination);
        count!(counters.fragmented);
        count!(counters.fragments_sent, count);
        Ok(())
    }

    /// Sends a packet in fragments that waited for a neighbour, with its link header in front of it. It was accepted, so it
    /// may exceed the limit of the device's queue.
    #[cold]
    pub(crate) fn send_long_pending(
        &mut self,
        netif: usize,
        mac: MacAddr,
        mut frame: Pbuf,
    ) -> Result<(), Error> {
        let interface = self.netifs.at(netif).ok_or(Error::Route)?;
        frame.remove_header(interface.link_header_len())?;
        let info = self.describe(netif, &frame).ok_or(Error::Value)?;
        let netif = info.netif;
        let mut hop =
            self.hop(netif, info.destination, info.destination, Cast::Unicast, false).ok_or(Error::Route)?;
        hop.link = self.link_header(hop.netif, mac, ether_type(info.destination));
        self.ip_send_cut(&hop, &frame, true)
    }
}

impl Hop {
    /// Whether a packet must not be cut here. One that only shall not be cut on the way, so that the path's MTU becomes
    /// known, may be; and TCP makes shorter segments instead.
    pub(super) fn is_to_stay_whole(&self, send: Option<&Send>, data: &Pbuf) -> bool {
        match send {
            Some(send) => send.dont_fragment && (!self.dont_fragment || send.protocol == protocol::TCP),
            None if self.destination.is_v4() => {
                Ipv4Header::read(data.payload()).is_ok_and(Ipv4Header::dont_fragment)
            }
            // Another's, as ours are never sent without a header made here [RFC 8200 §5].
            None => true,
        }
    }
}

/// The longest packets.
const LONGEST_V4: usize = u16::MAX as usize;
#[cfg(feature = "ipv6")]
const LONGEST_V6: usize = ipv6::HEADER_LEN + u16::MAX as usize;
#[cfg(not(feature = "ipv6"))]
const LONGEST_V6: usize = 0;

/// Cuts an IPv4 packet, whose header is in its first segment, into frames. It may be a fragment itself, and is unchanged.
///
/// [`Error::WouldBlock`] when the link has no room for all of them, [`Error::Memory`] without buffers, [`Error::Value`]
/// if the link takes not even a fragment, or the packet's header is none.
pub(crate) fn cut_v4(memory: &Memory, packet: &Pbuf, link: Link<'_>) -> Result<PbufQueue, Error> {
    let header = Ipv4Header::read(packet.payload()).map_err(|_| Error::Value)?;
    let options = header.options(packet.payload());
    let mut copied = [0; MAX_HEADER_LEN - HEADER_LEN];
    let copied_len = copied_options(options, &mut copied);
    let copied = &copied[..copied_len];

    let (header_len, base) = (header.header_len(), header.fragment_offset());
    let data_len = packet.len() - header_len;
    let most = link.mtu.saturating_sub(header_len) & !7;
    if most == 0 {
        return Err(Error::Value);
    }
    // At the most, as later fragments have no longer headers than the first.
    if data_len.div_ceil(most) > link.room {
        return Err(Error::WouldBlock);
    }
    let mut frames = PbufQueue::new();
    let mut at = 0;
    while at < data_len {
        let options = if at == 0 { options } else { copied };
        let header_len = HEADER_LEN + options.len();
        let left = data_len - at;
        let takes = link.mtu - header_len;
        let part = if left <= takes { left } else { takes & !7 };
        let fields = Ipv4Fields {
            tos: header.tos(),
            total_len: (header_len + part) as u16,
            identification: header.identification(),
            dont_fragment: header.dont_fragment(),
            more_fragments: part < left || header.more_fragments(),
            fragment_offset: (base + at) as u16,
            ttl: header.ttl(),
            protocol: header.protocol(),
            source: header.source(),
            destination: header.destination(),
        };
        let frame = frame(memory, link.header, header_len, |bytes| {
            write_header_with_options(bytes, &fields, options).map_err(|_| Error::Value)?;
            if !link.checksum {
                bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
            }
            Ok(())
        })?;
        push(&mut frames, frame, packet.slice(packet.len() - left, part)?)?;
        at += part;
    }
    Ok(frames)
}

/// Cuts an IPv6 packet of ours into frames: all behind its fixed header, which is in its first segment, is the part that
/// fragments share. It is unchanged.
///
/// Fails as [`cut_v4`] does.
#[cfg(feature = "ipv6")]
pub(crate) fn cut_v6(
    memory: &Memory,
    packet: &Pbuf,
    link: Link<'_>,
    identification: u32,
) -> Result<PbufQueue, Error> {
    const HEADERS_LEN: usize = ipv6::HEADER_LEN + extension::FRAGMENT_LEN;
    let fixed: [u8; ipv6::HEADER_LEN] = *packet.payload().first_chunk().ok_or(Error::Value)?;
    let most = link.mtu.saturating_sub(HEADERS_LEN) & !7;
    let data_len = packet.len() - ipv6::HEADER_LEN;
    if most == 0 {
        return Err(Error::Value);
    }
    if data_len.div_ceil(most) > link.room {
        return Err(Error::WouldBlock);
    }
    let mut frames = PbufQueue::new();
    let mut at = 0;
    while at < data_len {
        let left = data_len - at;
        let part = if left <= link.mtu - HEADERS_LEN { left } else { most };
        let frame = frame(memory, link.header, HEADERS_LEN, |bytes| {
            let (header, rest) = bytes.split_first_chunk_mut().ok_or(Error::Buffer)?;
            *header = fixed;
            let len = ((extension::FRAGMENT_LEN + part) as u16).to_be_bytes();
            header[ipv6::PAYLOAD_LEN_OFFSET..ipv6::PAYLOAD_LEN_OFFSET + 2].copy_from_slice(&len);
            header[ipv6::NEXT_HEADER_OFFSET] = ipv6::next_header::FRAGMENT;
            let next = fixed[ipv6::NEXT_HEADER_OFFSET];
            let more = part < left;
            let rest = rest.first_chunk_mut().ok_or(Error::Buffer)?;
            extension::FragmentHeader::write(rest, next, at as u16, more, identification);
            Ok(())
        })?;
        push(&mut frames, frame, packet.slice(ipv6::HEADER_LEN + at, part)?)?;
        at += part;
    }
    Ok(frames)
}

/// A buffer with the link's header, and behind it one of `len` bytes that is written by `write`.
fn frame(
    memory: &Memory,
    link: &LinkHeader,
    len: usize,
    write: impl FnOnce(&mut [u8]) -> Result<(), Error>,
) -> Result<Pbuf, Error> {
    let mut frame = small_pbuf(memory, Layer::Raw, link.len() + len)?;
    let bytes = frame.payload_mut()?;
    link.write(bytes);
    write(bytes.get_mut(link.len()..).ok_or(Error::Buffer)?)?;
    Ok(frame)
}

fn push(frames: &mut PbufQueue, mut frame: Pbuf, data: Pbuf) -> Result<(), Error> {
    frame.cat(data).map_err(|(error, _)| error)?;
    frames.push_back(frame).map_err(|(error, _)| error)
}

/// Copies the options that every fragment has into `into`, padded; returns how many bytes they are. Malformed ones, and
/// those behind them, are left out: who receives the first fragment sees them.
fn copied_options(options: &[u8], into: &mut [u8]) -> usize {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const COPIED: u8 = 0x80;
    let (mut rest, mut len) = (options, 0);
    while let Some(&kind) = rest.first().filter(|&&kind| kind != END) {
        let option_len = if kind == NOP { 1 } else { rest.get(1).map_or(0, |&len| usize::from(len)) };
        let Some((option, behind)) = rest.split_at_checked(option_len).filter(|_| option_len > 0) else {
            break;
        };
        if kind & COPIED != 0
            && let Some(room) = into.get_mut(len..len + option_len)
        {
            room.copy_from_slice(option);
            len += option_len;
        }
        rest = behind;
    }
    len.next_multiple_of(4).min(into.len())
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
