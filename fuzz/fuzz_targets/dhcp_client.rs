//! A stack that wants an address, and a server that answers with whatever the input says: messages made from good ones,
//! ARP, time, the link. The address is always a lease's or one of the host's own, and a good server is heard in the end.
#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use coracle::wire::dhcpv4::{BOOT_REPLY, DhcpFields, DhcpMessage, DhcpWriter, MessageType, code};
use coracle::wire::{EtherType, arp};
use coracle::{
    Arena, Config, DhcpConfig, Instant, Ipv4Settings, Kind, Layer, Limits, MacAddr, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Stack,
};
use coracle_sim::frames::{Ipv4, ethernet, udp};
use coracle_sim::repair::repair;
use coracle_sim::rig::Port;
use libfuzzer_sys::fuzz_target;

const OURS: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 7);
const THEIRS: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const SERVER: [u8; 4] = [192, 0, 2, 1];
const OFFERED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);

struct Bed {
    stack: Stack<()>,
    netif: NetifHandle,
    now: Instant,
    /// The client's last message.
    last: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let mut bed = Bed::new();
    bed.stack.netif(bed.netif).unwrap().dhcp_start(&DhcpConfig::new()).unwrap();
    let mut rest = data;
    for _ in 0..64 {
        let [kind, len, behind @ ..] = rest else { break };
        let (bytes, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = behind;
        bed.step(*kind, bytes);
        bed.check();
    }
    bed.recovers();
});

impl Bed {
    fn new() -> Self {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
        let mut stack = Stack::new(&mut arena, Limits::SMALL, memory, Config::new([7; 16])).unwrap();
        let netif = stack.netif_add(&NetifConfig::ethernet(OURS)).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        Self { stack, netif, now: Instant::from_secs(1), last: Vec::new() }
    }

    fn step(&mut self, kind: u8, bytes: &[u8]) {
        match kind % 8 {
            0..=3 => {
                let kind = MessageType::new(1 + kind / 8 % 8).unwrap();
                let message = self.answer(kind, bytes, bytes.first().is_some_and(|byte| byte & 1 != 0));
                self.hand(&message);
            }
            4 => self.pass(Duration::from_millis(
                bytes.iter().fold(1, |time: u64, &byte| time.wrapping_mul(3).wrapping_add(u64::from(byte)))
                    % 400_000,
            )),
            5 => {
                let mut packet = [0; arp::LEN];
                let address = match bytes {
                    [a, b, c, d, ..] => Ipv4Addr::new(*a, *b, *c, *d),
                    [_] => OFFERED,
                    _ => self.stack.netif(self.netif).unwrap().ipv4().unwrap().address,
                };
                arp::ArpPacket::write(&mut packet, arp::REPLY, (THEIRS, address), (OURS, OFFERED));
                self.input(&ethernet(MacAddr::BROADCAST, THEIRS, None, EtherType::ARP, &packet));
            }
            6 => self.stack.netif(self.netif).unwrap().set_link_up(bytes.len() & 1 != 0).unwrap(),
            _ => {
                let mut netif = self.stack.netif(self.netif).unwrap();
                match bytes.len() % 3 {
                    0 => netif.dhcp_start(&DhcpConfig::new()).unwrap(),
                    1 => netif.dhcp_renew().unwrap(),
                    _ => netif.dhcp_release().unwrap(),
                }
            }
        }
        self.drain();
    }

    /// An answer to the last message: a good one with these bytes among its options, or before all else.
    fn answer(&self, kind: MessageType, bytes: &[u8], good: bool) -> Vec<u8> {
        let transaction = DhcpMessage::read(&self.last).map_or(0, |message| message.header.transaction());
        let fields =
            DhcpFields { operation: BOOT_REPLY, yours: OFFERED, ..DhcpFields::request(transaction, OURS) };
        let mut message = vec![0; 700];
        let mut writer = DhcpWriter::new(&mut message, &fields, kind).unwrap();
        if good {
            assert!(writer.option(code::SERVER_ID, &SERVER) && writer.number(code::LEASE_TIME, 600));
            assert!(writer.number(code::NETMASK, 0xffff_ff00));
        }
        writer.finish();
        let end = message.iter().rposition(|&byte| byte == code::END).unwrap();
        message[end..end + bytes.len()].copy_from_slice(bytes);
        message
    }

    fn hand(&mut self, message: &[u8]) {
        let datagram = udp(67, 68, message);
        let packet = Ipv4::new(SERVER, [255; 4]).packet(17, &datagram);
        let mut frame = ethernet(MacAddr::BROADCAST, THEIRS, None, EtherType::IPV4, &packet);
        repair(&mut frame, Port::Ethernet.link());
        self.input(&frame);
    }

    fn input(&mut self, bytes: &[u8]) {
        let mut frame = self.stack.memory().alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
        frame.take(bytes).unwrap();
        self.stack.input(self.netif, frame, self.now).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(frame) = self.stack.transmit(self.netif) {
            let bytes = frame.payload();
            if bytes.get(12..14) == Some(&[8, 0]) && bytes.get(36..38) == Some(&[0, 67]) {
                self.last = bytes[42..].to_vec();
                assert!(DhcpMessage::read(&self.last).is_ok());
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(next) = self.stack.poll(self.now).filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.drain();
            steps += 1;
            assert!(steps < 5_000, "time stands still");
        }
        self.now = end;
        self.stack.poll(end);
        self.drain();
    }

    fn check(&mut self) {
        let netif = self.stack.netif(self.netif).unwrap();
        let (ipv4, lease) = (netif.ipv4().unwrap(), netif.dhcp_lease());
        match lease {
            Some(lease) => {
                assert_eq!(ipv4, lease.ipv4);
                assert!(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at);
            }
            None => assert!(ipv4 == Ipv4Settings::NONE || netif.autoip_supplied_address()),
        }
    }

    /// A good server is heard.
    fn recovers(&mut self) {
        self.stack.netif(self.netif).unwrap().set_link_up(true).unwrap();
        self.stack.netif(self.netif).unwrap().dhcp_release().unwrap();
        self.stack.netif(self.netif).unwrap().dhcp_start(&DhcpConfig::new()).unwrap();
        self.drain();
        self.hand(&self.answer(MessageType::Offer, &[code::END], true));
        self.pass(Duration::from_millis(60));
        self.hand(&self.answer(MessageType::Ack, &[code::END], true));
        assert_eq!(self.stack.netif(self.netif).unwrap().ipv4().unwrap().address, OFFERED);
    }
}
