//! What packetdrill is to the library: the owner of its table, two threads, and a peer that writes packets.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread::{self, Scope, ScopedJoinHandle};

pub(crate) use coracle::wire::tcp::TcpFlags;
use coracle::wire::tcp::{TcpFields, TcpOptions};
use coracle_packetdrill::{Adapter, Interface};
use coracle_sim::frames::{Ipv4, tcp, udp};
use libc::timeval;

pub(crate) const LOCAL: [u8; 4] = [192, 168, 0, 1];
pub(crate) const REMOTE: [u8; 4] = [192, 0, 2, 1];
/// The port of the stack in all tests, and that of the peer.
pub(crate) const PORT: u16 = 8_080;
pub(crate) const PEER: u16 = 4_000;
pub(crate) const SYN: TcpFlags = TcpFlags::SYN;
pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
/// The length of a `struct sockaddr_in`.
pub(crate) const ADDRESS_LEN: u32 = 16;

/// Calls a function of the table.
macro_rules! call {
    ($tool:expr, $name:ident $(, $argument:expr)* $(,)?) => {{
        let tool: &crate::tool::Tool = &$tool;
        // SAFETY: pointers among the arguments are null, or to what the test owns and as long as the call is told.
        unsafe { (tool.table.$name)(tool.userdata() $(, $argument)*) }
    }};
}
pub(crate) use call;

pub(crate) type Initialise = unsafe extern "C" fn(*const c_char, *mut Interface);

pub(crate) struct Tool {
    pub(crate) table: Interface,
}

// SAFETY: the table is only read, and what it points to is meant for several threads.
unsafe impl Sync for Tool {}

impl Tool {
    pub(crate) fn new(flags: &str) -> Self {
        Self::of(coracle_packetdrill::packetdrill_interface_init, Some(flags))
    }

    pub(crate) fn of(initialise: Initialise, flags: Option<&str>) -> Self {
        let text = flags.map(|flags| CString::new(flags).unwrap());
        let mut table = MaybeUninit::uninit();
        let flags = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        // SAFETY: the flags are null or a text of C, and there is room for a table, all of which is written.
        let table = unsafe {
            initialise(flags, table.as_mut_ptr());
            table.assume_init()
        };
        Self { table }
    }

    pub(crate) fn userdata(&self) -> Option<&Adapter> {
        // SAFETY: it is null, or lives until `Drop` frees it.
        unsafe { self.table.userdata.as_ref() }
    }

    /// The time in microseconds, as a thread sees it.
    pub(crate) fn now(&self) -> i64 {
        let mut time = timeval { tv_sec: 0, tv_usec: 0 };
        assert_eq!(call!(self, gettimeofday, &raw mut time, std::ptr::null_mut()), 0);
        time.tv_sec * 1_000_000 + time.tv_usec
    }

    pub(crate) fn socket(&self, kind: c_int) -> c_int {
        let fd = call!(self, socket, libc::AF_INET, kind, 0);
        assert!(fd > 2, "{}", io::Error::last_os_error());
        fd
    }

    /// A socket that listens.
    pub(crate) fn listener(&self) -> c_int {
        let fd = self.socket(libc::SOCK_STREAM);
        let local = address(LOCAL, PORT);
        assert_eq!(call!(self, bind, fd, (&raw const local).cast(), ADDRESS_LEN), 0);
        assert_eq!(call!(self, listen, fd, 1), 0);
        fd
    }

    pub(crate) fn inject(&self, packet: &[u8]) {
        assert_eq!(call!(self, netdev_send, packet.as_ptr().cast(), packet.len()), 0);
    }

    /// The next packet; none when none will come.
    pub(crate) fn receive(&self) -> Option<Packet> {
        let mut bytes = vec![0; 4_096];
        let (mut len, mut at) = (bytes.len(), -1);
        let result = call!(self, netdev_receive, bytes.as_mut_ptr().cast(), &raw mut len, &raw mut at);
        assert_eq!(result, 0);
        bytes.truncate(len);
        (len > 0).then_some(Packet { at, bytes })
    }

    /// Makes a call on a second thread, as packetdrill does, and returns when it sleeps: the call's value, the error,
    /// and the time that the thread sees then.
    pub(crate) fn blocked<'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        call: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, (T, Option<i32>, i64)> {
        let (tell, told) = mpsc::channel();
        let thread = scope.spawn(move || {
            // SAFETY: it has no arguments and always succeeds.
            tell.send(unsafe { libc::gettid() }).unwrap();
            let value = call();
            let error = io::Error::last_os_error().raw_os_error();
            (value, error, self.now())
        });
        let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap());
        let mut asleep = 0;
        while asleep < 3 {
            thread::yield_now();
            assert!(!thread.is_finished(), "the call did not block");
            let stat = std::fs::read_to_string(&stat).unwrap();
            asleep = if stat.rsplit(") ").next().unwrap().starts_with('S') { asleep + 1 } else { 0 };
        }
        thread
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { (self.table.free)(self.table.userdata) };
    }
}

/// Holds that a call failed, and why.
#[track_caller]
pub(crate) fn fails(result: impl TryInto<i64>, error: c_int) {
    let found = io::Error::last_os_error();
    assert_eq!((result.try_into().ok(), found.raw_os_error()), (Some(-1), Some(error)), "{found}");
}

pub(crate) fn address(ip: [u8; 4], port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip) },
        sin_zero: [0; 8],
    }
}

/// A segment of the peer.
pub(crate) fn segment(flags: TcpFlags, (sequence, acknowledgment): (u32, u32), data: &[u8]) -> Vec<u8> {
    let fields = TcpFields {
        source_port: PEER,
        destination_port: PORT,
        sequence,
        acknowledgment,
        flags,
        window: 65_535,
        ..TcpFields::default()
    };
    let mss = flags.contains(SYN).then_some(1_000);
    let options = TcpOptions { mss, ..TcpOptions::default() };
    Ipv4::new(Ipv4Addr::from(REMOTE), Ipv4Addr::from(LOCAL)).packet(6, &tcp(&fields, &options, data))
}

/// A datagram of the peer.
pub(crate) fn datagram(data: &[u8]) -> Vec<u8> {
    Ipv4::new(Ipv4Addr::from(REMOTE), Ipv4Addr::from(LOCAL)).packet(17, &udp(PEER, PORT, data))
}

/// A packet of the stack, taken apart by hand.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) at: i64,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn source_port(&self) -> u16 {
        (self.number(20) >> 16) as u16
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.number(24)
    }

    pub(crate) fn acknowledgment(&self) -> u32 {
        self.number(28)
    }

    pub(crate) fn flags(&self) -> TcpFlags {
        TcpFlags::from_bits(self.bytes[33])
    }

    fn options_end(&self) -> usize {
        20 + usize::from(self.bytes[32] >> 4) * 4
    }

    /// The kinds of the options, in their order.
    pub(crate) fn options(&self) -> Vec<u8> {
        let (mut rest, mut kinds) = (&self.bytes[40..self.options_end()], Vec::new());
        while let [kind, behind @ ..] = rest {
            kinds.push(*kind);
            rest = if *kind < 2 { behind } else { &rest[usize::from(rest[1])..] };
        }
        kinds
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.options_end()..]
    }
}
