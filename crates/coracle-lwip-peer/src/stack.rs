//! One lwIP stack with one Ethernet interface, behind safe calls.

use std::borrow::Cow;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use crate::Error;
use crate::ffi::{
    ERR_IF, ERR_MEM, ERR_OK, Ip4Addr, IpAddr, NETIF_FLAGS, Netif, PBUF_RAM, PBUF_RAW, PBUF_TRANSPORT, Pbuf,
    UdpPcb,
};
use crate::library::Api;
use crate::tcp::TcpSockets;

/// Frames that wait for [`Stack::pop_frame`]; more are refused with `ERR_MEM`, as a full device ring would.
const TRANSMIT_QUEUE: usize = 64;

/// How the stack's one interface is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Ethernet address.
    pub hardware_address: [u8; 6],
    /// IPv4 address.
    pub address: Ipv4Addr,
    /// Netmask of the directly reachable network.
    pub netmask: Ipv4Addr,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
}

/// An lwIP stack of its own: nothing is shared with another `Stack` of the process.
///
/// It belongs to one thread, as lwIP's raw API demands.
pub struct Stack {
    sockets: RefCell<Vec<Rc<Socket>>>,
    pub(crate) tcp: Rc<TcpSockets>,
    interface: Rc<Interface>,
}

/// Names a UDP control block of the stack that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpSocket(usize);

/// A received datagram, as lwIP's `udp_recv` callback gets it. Freed when dropped.
pub struct Datagram<'a> {
    socket: &'a Socket,
    pbuf: NonNull<Pbuf>,
    from: *const IpAddr,
    from_port: u16,
}

/// A frame that the stack transmits. Freed when dropped.
pub struct Frame<'a> {
    api: &'a Api,
    raw: RawFrame,
}

/// What the C callbacks of the interface reach through `netif.state`.
struct Interface {
    api: Rc<Api>,
    config: Config,
    netif: UnsafeCell<Netif>,
    transmit: RefCell<VecDeque<RawFrame>>,
    in_input: Cell<bool>,
}

/// A counted reference to a pbuf, and where the frame lay in it when it was sent.
struct RawFrame {
    pbuf: NonNull<Pbuf>,
    bytes: NonNull<u8>,
    length: u16,
}

/// What the C callback of a UDP control block reaches through its `arg`.
struct Socket {
    api: Rc<Api>,
    pcb: NonNull<UdpPcb>,
    handler: Box<dyn Fn(Datagram<'_>)>,
}

impl Stack {
    /// Loads a private copy of the library, initialises it and brings the interface up.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the library is not installed, [`Error::Layout`] where it is one that this crate does
    /// not know, and what loading it may meet besides.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let api = Rc::new(Api::load()?);
        // SAFETY: the first call into a fresh copy of the library, whose stack thread is never started.
        unsafe { (api.lwip_init)() };
        let interface = Rc::new(Interface {
            api,
            config: *config,
            netif: UnsafeCell::new(Netif::new()),
            transmit: RefCell::new(VecDeque::with_capacity(TRANSMIT_QUEUE)),
            in_input: Cell::new(false),
        });
        interface.add()?;
        let tcp = Rc::new(TcpSockets::new(Rc::clone(&interface.api)));
        Ok(Self { sockets: RefCell::default(), tcp, interface })
    }

    /// Binds a new UDP control block to `port` of every address (`udp_new`, `udp_bind`, `udp_recv`); 0 lets lwIP pick.
    ///
    /// `handler` is called from inside [`input`](Self::input).
    ///
    /// # Errors
    /// [`Error::Memory`], or what lwIP returns, such as `ERR_USE` (−8) for a port that is taken.
    pub fn udp_bind(&self, port: u16, handler: impl Fn(Datagram<'_>) + 'static) -> Result<UdpSocket, Error> {
        let api = &self.interface.api;
        // SAFETY: initialised stack, on its one thread.
        let pcb = NonNull::new(unsafe { (api.udp_new)() }).ok_or(Error::Memory)?;
        let any = IpAddr::v4(Ipv4Addr::UNSPECIFIED);
        // SAFETY: a live control block and an address that lwIP copies.
        let status = unsafe { (api.udp_bind)(pcb.as_ptr(), &raw const any, port) };
        let socket = Rc::new(Socket { api: Rc::clone(api), pcb, handler: Box::new(handler) });
        if let Err(error) = check(status) {
            // SAFETY: the control block is live and nobody else knows it.
            unsafe { (api.udp_remove)(pcb.as_ptr()) };
            return Err(error);
        }
        // SAFETY: the socket is kept in `sockets` until `drop` has removed the control block, so `arg` stays valid.
        unsafe { (api.udp_recv)(pcb.as_ptr(), received, Rc::as_ptr(&socket).cast_mut().cast()) };
        let mut sockets = self.sockets.borrow_mut();
        sockets.push(socket);
        Ok(UdpSocket(sockets.len() - 1))
    }

    /// Sends `payload` from `socket`: `pbuf_alloc(PBUF_TRANSPORT, …, PBUF_RAM)`, a copy, `udp_sendto`, `pbuf_free`.
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::TooLong`], or what lwIP returns. A handle of another stack gives `ERR_ARG` (−16).
    pub fn udp_send(&self, socket: UdpSocket, to: SocketAddrV4, payload: &[u8]) -> Result<(), Error> {
        const ERR_ARG: i8 = -16;
        let api = &self.interface.api;
        let pcb = self.sockets.borrow().get(socket.0).map(|socket| socket.pcb).ok_or(Error::Lwip(ERR_ARG))?;
        let pbuf = filled_pbuf(api, PBUF_TRANSPORT, payload)?;
        let address = IpAddr::v4(*to.ip());
        // SAFETY: control block and pbuf are live; lwIP takes references of its own to what it keeps of the pbuf.
        let status = unsafe { (api.udp_sendto)(pcb.as_ptr(), pbuf.as_ptr(), &raw const address, to.port()) };
        // SAFETY: gives back the one reference that `filled_pbuf` made.
        unsafe { (api.pbuf_free)(pbuf.as_ptr()) };
        check(status)
    }

    /// Hands a received Ethernet frame to the stack, in a fresh `PBUF_RAM`; callbacks run before this returns.
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::TooLong`], or [`Error::Busy`] from inside a callback of this stack. A frame that lwIP
    /// drops is not an error.
    pub fn input(&self, frame: &[u8]) -> Result<(), Error> {
        let interface = &*self.interface;
        if interface.in_input.replace(true) {
            return Err(Error::Busy);
        }
        let status = filled_pbuf(&interface.api, PBUF_RAW, frame).map(|pbuf| {
            // SAFETY: the interface is in lwIP's list, and the pbuf is live; its reference passes to lwIP …
            let status = unsafe { (interface.api.ethernet_input)(pbuf.as_ptr(), interface.netif.get()) };
            if status != ERR_OK {
                // SAFETY: … unless lwIP refuses it, in which case it is still ours.
                unsafe { (interface.api.pbuf_free)(pbuf.as_ptr()) };
            }
        });
        interface.in_input.set(false);
        status
    }

    /// The oldest frame that waits to be transmitted.
    pub fn pop_frame(&self) -> Option<Frame<'_>> {
        let raw = self.interface.transmit.borrow_mut().pop_front()?;
        Some(Frame { api: &self.interface.api, raw })
    }

    /// Runs the timers that are due by the system's monotonic clock (`sys_check_timeouts`).
    pub fn check_timeouts(&self) {
        // SAFETY: initialised stack, on its one thread.
        unsafe { (self.interface.api.sys_check_timeouts)() };
    }

    /// The Internet checksum of `bytes` as lwIP computes it: complemented, in the byte order of the header field
    /// (`inet_chksum`) [RFC 1071].
    ///
    /// # Errors
    /// [`Error::TooLong`] above 65,535 bytes.
    pub fn checksum(&self, bytes: &[u8]) -> Result<u16, Error> {
        let length = u16::try_from(bytes.len()).map_err(|_| Error::TooLong)?;
        // SAFETY: reads `length` bytes from a live slice.
        Ok(unsafe { (self.interface.api.inet_chksum)(bytes.as_ptr().cast(), length) })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let interface = &*self.interface;
        self.tcp.end();
        for socket in self.sockets.get_mut().iter() {
            // SAFETY: each control block was made by this stack and is removed once; no callback of it can run after.
            unsafe { (interface.api.udp_remove)(socket.pcb.as_ptr()) };
        }
        // SAFETY: the interface was added by `new`; lwIP forgets it here, and with it the pointer to `interface`.
        unsafe { (interface.api.netif_remove)(interface.netif.get()) };
        for frame in interface.transmit.borrow_mut().drain(..) {
            // SAFETY: each queued frame owns one reference.
            unsafe { (interface.api.pbuf_free)(frame.pbuf.as_ptr()) };
        }
    }
}

impl Datagram<'_> {
    /// The payload: borrowed where it lies in one piece, as it does for a frame from [`Stack::input`].
    #[inline]
    pub fn payload(&self) -> Cow<'_, [u8]> {
        // SAFETY: the pbuf is live as long as this datagram.
        let pbuf = unsafe { self.pbuf.as_ref() };
        if pbuf.next.is_null() {
            // SAFETY: a live pbuf's payload is `len` readable bytes, and nobody writes to them meanwhile.
            return Cow::Borrowed(unsafe { slice::from_raw_parts(pbuf.payload, usize::from(pbuf.len)) });
        }
        let mut bytes = vec![0; usize::from(pbuf.tot_len)];
        // SAFETY: copies at most `tot_len` bytes into as many.
        unsafe { (self.socket.api.pbuf_copy_partial)(pbuf, bytes.as_mut_ptr().cast(), pbuf.tot_len, 0) };
        Cow::Owned(bytes)
    }

    /// Who sent it.
    #[inline]
    pub fn source(&self) -> SocketAddrV4 {
        // SAFETY: lwIP's pointer to the packet's source is valid during the callback, and so is this datagram only.
        SocketAddrV4::new(unsafe { *self.from }.to_v4(), self.from_port)
    }

    /// Sends the received buffer back to where it came from, without copying it (`udp_sendto` on the received pbuf).
    ///
    /// # Errors
    /// What lwIP returns.
    #[inline]
    pub fn reply(self) -> Result<(), Error> {
        let Socket { api, pcb, .. } = self.socket;
        // SAFETY: control block, pbuf and address are live during the callback; lwIP references what it keeps.
        check(unsafe { (api.udp_sendto)(pcb.as_ptr(), self.pbuf.as_ptr(), self.from, self.from_port) })
    }
}

impl Drop for Datagram<'_> {
    fn drop(&mut self) {
        // SAFETY: lwIP gave the callback one reference, and this gives it back.
        unsafe { (self.socket.api.pbuf_free)(self.pbuf.as_ptr()) };
    }
}

impl Deref for Frame<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the frame holds a reference to the pbuf, in whose storage these bytes lie, and lwIP does not write
        // to a buffer that was handed to a driver.
        unsafe { slice::from_raw_parts(self.raw.bytes.as_ptr(), usize::from(self.raw.length)) }
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        // SAFETY: the frame owns one reference.
        unsafe { (self.api.pbuf_free)(self.raw.pbuf.as_ptr()) };
    }
}

impl Interface {
    fn add(self: &Rc<Self>) -> Result<(), Error> {
        let (address, netmask) = (Ip4Addr::new(self.config.address), Ip4Addr::new(self.config.netmask));
        let gateway = Ip4Addr::new(Ipv4Addr::UNSPECIFIED);
        let state: *mut c_void = Rc::as_ptr(self).cast_mut().cast();
        // SAFETY: `netif` and `state` lie in this `Rc`, which `Stack` keeps until its `drop` has removed the interface;
        // lwIP copies the addresses, and the two functions have the types that it calls.
        let added = unsafe {
            (self.api.netif_add)(
                self.netif.get(),
                &raw const address,
                &raw const netmask,
                &raw const gateway,
                state,
                leave_to_caller,
                self.api.ethernet_input,
            )
        };
        if added.is_null() {
            return Err(Error::Lwip(ERR_IF));
        }
        // SAFETY: lwIP is not running, so this is the only reference to the interface, and every member of it was
        // initialised by `Netif::new`.
        let filled = unsafe { (*self.netif.get()).fill_in(&self.config, &self.api, state) };
        if let Err(error) = filled {
            // SAFETY: added just now, and forgotten again here before `self` goes.
            unsafe { (self.api.netif_remove)(self.netif.get()) };
            return Err(error);
        }
        // SAFETY: the interface was added and is complete.
        unsafe {
            (self.api.netif_set_default)(self.netif.get());
            (self.api.netif_set_up)(self.netif.get());
        }
        Ok(())
    }

    /// Keeps `pbuf` for [`Stack::pop_frame`], by reference where it lies in one piece.
    fn queue(&self, pbuf: *mut Pbuf) -> i8 {
        let mut queue = self.transmit.borrow_mut();
        if queue.len() == TRANSMIT_QUEUE {
            return ERR_MEM;
        }
        // SAFETY: lwIP passes a live pbuf.
        let kept = if unsafe { (*pbuf).next.is_null() } {
            // SAFETY: as above; the reference is given back when the frame is dropped.
            unsafe { (self.api.pbuf_ref)(pbuf) };
            pbuf
        } else {
            // SAFETY: as above; the clone is a new pbuf in one piece.
            unsafe { (self.api.pbuf_clone)(PBUF_RAW, PBUF_RAM, pbuf) }
        };
        let Some(pbuf) = NonNull::new(kept) else { return ERR_MEM };
        // SAFETY: `pbuf` is live, and its payload points at `len` bytes.
        let (payload, length) = unsafe { ((*pbuf.as_ptr()).payload, (*pbuf.as_ptr()).len) };
        let Some(bytes) = NonNull::new(payload) else { return ERR_MEM };
        queue.push_back(RawFrame { pbuf, bytes, length });
        ERR_OK
    }
}

impl Netif {
    /// Fills in what a driver fills in, after a look whether `netif_add` wrote its arguments where this crate reads them.
    fn fill_in(&mut self, config: &Config, api: &Api, state: *mut c_void) -> Result<(), Error> {
        let same_input = self.input.is_some_and(|input| input as usize == api.ethernet_input as usize);
        if !same_input || self.state != state || self.ip_addr.to_v4() != config.address {
            return Err(Error::Layout);
        }
        self.output = Some(api.etharp_output);
        self.linkoutput = Some(link_output);
        self.mtu = config.mtu;
        self.hwaddr = config.hardware_address;
        self.hwaddr_len = 6;
        self.flags = NETIF_FLAGS;
        self.name = *b"co";
        Ok(())
    }
}

/// `netif_init_fn` that changes nothing: the layout is checked before anything is written.
unsafe extern "C" fn leave_to_caller(_netif: *mut Netif) -> i8 {
    ERR_OK
}

/// `netif_linkoutput_fn`: the driver's send function.
unsafe extern "C" fn link_output(netif: *mut Netif, pbuf: *mut Pbuf) -> i8 {
    // SAFETY: lwIP passes the interface that `Interface::add` gave it, whose `state` is the `Interface` around it, alive
    // until `Stack::drop` has removed the interface.
    let interface = unsafe { &*(*netif).state.cast::<Interface>() };
    interface.queue(pbuf)
}

/// `udp_recv_fn`.
unsafe extern "C" fn received(
    arg: *mut c_void,
    _pcb: *mut UdpPcb,
    pbuf: *mut Pbuf,
    from: *const IpAddr,
    from_port: u16,
) {
    let Some(pbuf) = NonNull::new(pbuf) else { return };
    // SAFETY: `arg` is the `Socket` that `udp_bind` registered, alive until `Stack::drop` has removed its control block.
    let socket = unsafe { &*arg.cast::<Socket>() };
    (socket.handler)(Datagram { socket, pbuf, from, from_port });
}

/// A pbuf in one piece with `bytes` in it.
fn filled_pbuf(api: &Api, layer: i32, bytes: &[u8]) -> Result<NonNull<Pbuf>, Error> {
    // lwIP aligns the sum of headroom and length in 16 bits.
    const ROOM: u16 = PBUF_TRANSPORT as u16 + 8;
    let length =
        u16::try_from(bytes.len()).ok().filter(|length| *length <= u16::MAX - ROOM).ok_or(Error::TooLong)?;
    // SAFETY: initialised stack, on its one thread.
    let pbuf = NonNull::new(unsafe { (api.pbuf_alloc)(layer, length, PBUF_RAM) }).ok_or(Error::Memory)?;
    // SAFETY: a `PBUF_RAM` has `length` contiguous writable bytes at `payload`, in a fresh block that `bytes` is not in.
    unsafe { (*pbuf.as_ptr()).payload.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(pbuf)
}

pub(crate) fn check(status: i8) -> Result<(), Error> {
    match status {
        ERR_OK => Ok(()),
        ERR_MEM => Err(Error::Memory),
        other => Err(Error::Lwip(other)),
    }
}
