//! Own declarations of the part of lwIP's C interface that this crate calls.
//!
//! Sizes and offsets are those of lwIP 2.1 on a 64-bit target with IPv4 and IPv6 and Debian's `lwipopts.h`; the
//! assertions at the end of this file state them.

use std::ffi::c_void;
use std::net::Ipv4Addr;

/// `ERR_OK`.
pub(crate) const ERR_OK: i8 = 0;
/// `ERR_MEM`.
pub(crate) const ERR_MEM: i8 = -1;
/// `ERR_CLSD`.
pub(crate) const ERR_CLSD: i8 = -15;
/// `ERR_IF`.
pub(crate) const ERR_IF: i8 = -12;
/// `TCP_WRITE_FLAG_COPY`.
pub(crate) const TCP_WRITE_FLAG_COPY: u8 = 1;

/// `PBUF_RAW`: no headroom.
pub(crate) const PBUF_RAW: i32 = 0;
/// `PBUF_TRANSPORT`: headroom for transport, IPv6 and Ethernet headers.
pub(crate) const PBUF_TRANSPORT: i32 = 74;
/// `PBUF_RAM`: header and payload in one block of the heap.
pub(crate) const PBUF_RAM: i32 = 0x280;

/// `NETIF_FLAG_BROADCAST | NETIF_FLAG_LINK_UP | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET`.
pub(crate) const NETIF_FLAGS: u8 = 0x02 | 0x04 | 0x08 | 0x10;

/// `struct pbuf`, read only.
#[repr(C)]
pub(crate) struct Pbuf {
    pub(crate) next: *mut Pbuf,
    pub(crate) payload: *mut u8,
    pub(crate) tot_len: u16,
    pub(crate) len: u16,
    type_internal: u8,
    flags: u8,
    references: u8,
    if_idx: u8,
}

/// `ip_addr_t`: room for an IPv6 address and a tag.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct IpAddr {
    words: [u32; 4],
    zone: u32,
    kind: u8,
}

/// `ip4_addr_t`: one word in network byte order.
#[repr(transparent)]
pub(crate) struct Ip4Addr(u32);

/// `struct udp_pcb`; only lwIP looks inside.
#[repr(C)]
pub(crate) struct UdpPcb {
    opaque: [u8; 0],
}

/// `struct tcp_pcb`, and `struct tcp_pcb_listen`; only lwIP looks inside.
#[repr(C)]
pub(crate) struct TcpPcb {
    opaque: [u8; 0],
}

pub(crate) type InputFn = unsafe extern "C" fn(*mut Pbuf, *mut Netif) -> i8;
pub(crate) type OutputFn = unsafe extern "C" fn(*mut Netif, *mut Pbuf, *const Ip4Addr) -> i8;
pub(crate) type LinkOutputFn = unsafe extern "C" fn(*mut Netif, *mut Pbuf) -> i8;
pub(crate) type InitFn = unsafe extern "C" fn(*mut Netif) -> i8;
pub(crate) type UdpRecvFn = unsafe extern "C" fn(*mut c_void, *mut UdpPcb, *mut Pbuf, *const IpAddr, u16);
pub(crate) type TcpConnectedFn = unsafe extern "C" fn(*mut c_void, *mut TcpPcb, i8) -> i8;
pub(crate) type TcpAcceptFn = unsafe extern "C" fn(*mut c_void, *mut TcpPcb, i8) -> i8;
pub(crate) type TcpRecvFn = unsafe extern "C" fn(*mut c_void, *mut TcpPcb, *mut Pbuf, i8) -> i8;
pub(crate) type TcpSentFn = unsafe extern "C" fn(*mut c_void, *mut TcpPcb, u16) -> i8;
pub(crate) type TcpErrFn = unsafe extern "C" fn(*mut c_void, i8);

/// `struct netif`, with spare room behind it, because lwIP writes the members that are not declared here.
#[repr(C)]
pub(crate) struct Netif {
    next: *mut Netif,
    pub(crate) ip_addr: IpAddr,
    netmask: IpAddr,
    gateway: IpAddr,
    ipv6: [u8; 200],
    pub(crate) input: Option<InputFn>,
    pub(crate) output: Option<OutputFn>,
    pub(crate) linkoutput: Option<LinkOutputFn>,
    output_ip6: Option<unsafe extern "C" fn()>,
    pub(crate) state: *mut c_void,
    client_data: [u8; 16],
    pub(crate) mtu: u16,
    mtu6: u16,
    pub(crate) hwaddr: [u8; 6],
    pub(crate) hwaddr_len: u8,
    pub(crate) flags: u8,
    pub(crate) name: [u8; 2],
    num: u8,
    rest: [u8; 49],
    spare: [u64; 32],
}

impl Netif {
    /// A zeroed interface, as `netif_add` expects it.
    pub(crate) const fn new() -> Self {
        const ANY: IpAddr = IpAddr { words: [0; 4], zone: 0, kind: 0 };
        Self {
            next: std::ptr::null_mut(),
            ip_addr: ANY,
            netmask: ANY,
            gateway: ANY,
            ipv6: [0; 200],
            input: None,
            output: None,
            linkoutput: None,
            output_ip6: None,
            state: std::ptr::null_mut(),
            client_data: [0; 16],
            mtu: 0,
            mtu6: 0,
            hwaddr: [0; 6],
            hwaddr_len: 0,
            flags: 0,
            name: [0; 2],
            num: 0,
            rest: [0; 49],
            spare: [0; 32],
        }
    }
}

impl IpAddr {
    pub(crate) fn v4(address: Ipv4Addr) -> Self {
        Self { words: [Ip4Addr::new(address).0, 0, 0, 0], zone: 0, kind: 0 }
    }

    /// The IPv4 address; meaningless for an address that lwIP tagged as IPv6.
    pub(crate) fn to_v4(self) -> Ipv4Addr {
        Ipv4Addr::from(self.words[0].to_ne_bytes())
    }
}

impl Ip4Addr {
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        Self(u32::from_ne_bytes(address.octets()))
    }
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Pbuf>() == 24 && offset_of!(Pbuf, len) == 18);
    assert!(size_of::<IpAddr>() == 24 && offset_of!(IpAddr, kind) == 20);
    assert!(offset_of!(Netif, ip_addr) == 8 && offset_of!(Netif, input) == 280);
    assert!(offset_of!(Netif, linkoutput) == 296 && offset_of!(Netif, state) == 312);
    assert!(
        offset_of!(Netif, mtu) == 336 && offset_of!(Netif, hwaddr) == 340 && offset_of!(Netif, flags) == 347
    );
    assert!(offset_of!(Netif, spare) == 400);
};
