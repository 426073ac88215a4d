//! TCP by lwIP's raw API: listeners and connections with a handler each.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;

use crate::ffi::{ERR_CLSD, ERR_OK, IpAddr, Pbuf, TCP_WRITE_FLAG_COPY, TcpPcb};
use crate::library::Api;
use crate::stack::check;
use crate::{Error, Stack};

/// Half seconds of lwIP that TIME-WAIT lasts, and one more.
const TIME_WAIT_TICKS: u32 = 2 * 60 * 2 + 1;

/// What hears of a connection, from inside [`Stack::input`].
pub trait TcpHandler {
    /// The connection stands (`tcp_accept`, or the callback of `tcp_connect`).
    fn opened(&self, tcp: &TcpSocket);

    /// Data came, in order; one call for each contiguous piece. The window is opened again afterwards (`tcp_recved`).
    fn received(&self, tcp: &TcpSocket, data: &[u8]);

    /// The peer closed its direction.
    fn finished(&self, tcp: &TcpSocket);

    /// So many bytes are acknowledged.
    fn sent(&self, tcp: &TcpSocket, bytes: usize);

    /// The connection is gone by an error.
    fn failed(&self, tcp: &TcpSocket);
}

/// A TCP connection. After [`close`](Self::close), an error, or the end of its stack every call gives `ERR_CLSD` (−15).
pub struct TcpSocket {
    sockets: Rc<TcpSockets>,
    pcb: Cell<Option<NonNull<TcpPcb>>>,
    handler: Rc<dyn TcpHandler>,
}

/// The connections and listeners of one stack.
pub(crate) struct TcpSockets {
    api: Rc<Api>,
    /// What lwIP's callbacks reach through the `arg` of connections, by address; with a key here, a socket is alive.
    open: RefCell<HashMap<*const TcpSocket, Rc<TcpSocket>>>,
    doors: RefCell<Vec<(NonNull<TcpPcb>, Rc<Door>)>>,
}

/// What the callback of a listener reaches through its `arg`.
struct Door {
    sockets: Rc<TcpSockets>,
    handler: Rc<dyn TcpHandler>,
}

impl Stack {
    /// Takes connections to `port` of every address; all of them share the handler (`tcp_listen`, `tcp_accept`).
    ///
    /// # Errors
    /// [`Error::Memory`], or what lwIP returns, such as `ERR_USE` (−8) for a port that is taken.
    pub fn tcp_listen(&self, port: u16, handler: Rc<dyn TcpHandler>) -> Result<(), Error> {
        let api = &self.tcp.api;
        let pcb = self.tcp.new_pcb()?;
        let any = IpAddr::v4(Ipv4Addr::UNSPECIFIED);
        // SAFETY: a live control block and an address that lwIP copies.
        if let Err(error) = check(unsafe { (api.tcp_bind)(pcb.as_ptr(), &raw const any, port) }) {
            // SAFETY: the control block is live and nobody else knows it.
            unsafe { (api.tcp_abort)(pcb.as_ptr()) };
            return Err(error);
        }
        // SAFETY: a live, bound control block, which lwIP frees if it returns another.
        let door_pcb = NonNull::new(unsafe { (api.tcp_listen_with_backlog)(pcb.as_ptr(), u8::MAX) });
        let Some(door_pcb) = door_pcb else {
            // SAFETY: the control block is still live, as there is no other for it.
            unsafe { (api.tcp_abort)(pcb.as_ptr()) };
            return Err(Error::Memory);
        };
        let door = Rc::new(Door { sockets: Rc::clone(&self.tcp), handler });
        // SAFETY: a live listener; the door is kept in `doors` until `end` has closed that.
        unsafe {
            (api.tcp_arg)(door_pcb.as_ptr(), Rc::as_ptr(&door).cast_mut().cast());
            (api.tcp_accept)(door_pcb.as_ptr(), accepted);
        }
        self.tcp.doors.borrow_mut().push((door_pcb, door));
        Ok(())
    }

    /// Opens a connection (`tcp_new`, `tcp_connect`); [`TcpHandler::opened`] tells when it stands.
    ///
    /// # Errors
    /// [`Error::Memory`], or what lwIP returns.
    pub fn tcp_connect(&self, to: SocketAddrV4, handler: Rc<dyn TcpHandler>) -> Result<Rc<TcpSocket>, Error> {
        let socket = self.tcp.adopt(self.tcp.new_pcb()?, handler);
        let address = IpAddr::v4(*to.ip());
        let connect = |pcb: NonNull<TcpPcb>| {
            // SAFETY: a live control block, and an address that lwIP copies.
            check(unsafe {
                (self.tcp.api.tcp_connect)(pcb.as_ptr(), &raw const address, to.port(), connected)
            })
        };
        match socket.call(connect) {
            Ok(()) => Ok(socket),
            Err(error) => {
                self.tcp.abort(&socket);
                Err(error)
            }
        }
    }

    /// Lets as much of lwIP's time pass as connections stay in TIME-WAIT (`tcp_ticks`, `tcp_slowtmr`). To all other
    /// connections it is half a second.
    pub fn tcp_end_time_wait(&self) {
        let api = &self.tcp.api;
        // SAFETY: the variable is a word of the loaded library, which no other thread uses; the function is the one
        // that lwIP's own timer calls.
        unsafe {
            let ticks = api.tcp_ticks.as_ptr();
            *ticks = (*ticks).wrapping_add(TIME_WAIT_TICKS);
            (api.tcp_slowtmr)();
        }
    }
}

impl TcpSocket {
    /// Sends bytes that are copied (`tcp_write` with `TCP_WRITE_FLAG_COPY`). They leave after the callback, or by
    /// [`output`](Self::output).
    ///
    /// # Errors
    /// [`Error::Memory`] when the buffer is full, [`Error::TooLong`], or what lwIP returns.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write_with(bytes, TCP_WRITE_FLAG_COPY)
    }

    /// Sends bytes that stay where they are (`tcp_write` without a flag). Debian's build copies them nevertheless, as
    /// it is made for devices that take a frame in one piece (`LWIP_NETIF_TX_SINGLE_PBUF`).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_static(&self, bytes: &'static [u8]) -> Result<(), Error> {
        self.write_with(bytes, 0)
    }

    fn write_with(&self, bytes: &[u8], flags: u8) -> Result<(), Error> {
        let length = u16::try_from(bytes.len()).map_err(|_| Error::TooLong)?;
        self.call(|pcb| {
            // SAFETY: a live control block; the bytes are readable, and either copied or there for ever.
            check(unsafe { (self.sockets.api.tcp_write)(pcb.as_ptr(), bytes.as_ptr().cast(), length, flags) })
        })
    }

    /// Sends what may leave now (`tcp_output`).
    ///
    /// # Errors
    /// What lwIP returns.
    pub fn output(&self) -> Result<(), Error> {
        // SAFETY: a live control block.
        self.call(|pcb| check(unsafe { (self.sockets.api.tcp_output)(pcb.as_ptr()) }))
    }

    /// Closes both directions; nothing more is heard of the connection (`tcp_close`).
    ///
    /// # Errors
    /// [`Error::Memory`]: it is still open, and may be closed later.
    pub fn close(&self) -> Result<(), Error> {
        self.call(|pcb| {
            let api = &self.sockets.api;
            // lwIP may free the control block at once or keep it for long; either way it must not call back.
            self.sockets.detach(pcb);
            // SAFETY: a live control block.
            if let Err(error) = check(unsafe { (api.tcp_close)(pcb.as_ptr()) }) {
                self.sockets.attach(self, pcb);
                return Err(error);
            }
            self.gone();
            Ok(())
        })
    }

    /// Whether it was neither closed nor ended by an error.
    pub fn is_open(&self) -> bool {
        self.pcb.get().is_some()
    }

    /// It has no control block any more.
    fn gone(&self) {
        self.pcb.set(None);
        self.sockets.open.borrow_mut().remove(&ptr::from_ref(self));
    }

    fn call(&self, call: impl FnOnce(NonNull<TcpPcb>) -> Result<(), Error>) -> Result<(), Error> {
        self.pcb.get().ok_or(Error::Lwip(ERR_CLSD)).and_then(call)
    }
}

impl TcpSockets {
    pub(crate) fn new(api: Rc<Api>) -> Self {
        Self { api, open: RefCell::default(), doors: RefCell::default() }
    }

    fn new_pcb(&self) -> Result<NonNull<TcpPcb>, Error> {
        // SAFETY: initialised stack, on its one thread.
        NonNull::new(unsafe { (self.api.tcp_new)() }).ok_or(Error::Memory)
    }

    /// Makes a socket of a control block, which hears of it from now on.
    fn adopt(self: &Rc<Self>, pcb: NonNull<TcpPcb>, handler: Rc<dyn TcpHandler>) -> Rc<TcpSocket> {
        let socket = Rc::new(TcpSocket { sockets: Rc::clone(self), pcb: Cell::new(Some(pcb)), handler });
        self.open.borrow_mut().insert(Rc::as_ptr(&socket), Rc::clone(&socket));
        self.attach(&socket, pcb);
        socket
    }

    fn attach(&self, socket: &TcpSocket, pcb: NonNull<TcpPcb>) {
        let api = &self.api;
        // SAFETY: a live control block. The socket stays in `open` until `detach` has taken it out of lwIP's sight, or
        // lwIP has said by the error callback that the control block is gone.
        unsafe {
            (api.tcp_arg)(pcb.as_ptr(), ptr::from_ref(socket).cast_mut().cast());
            (api.tcp_recv)(pcb.as_ptr(), Some(received));
            (api.tcp_sent)(pcb.as_ptr(), Some(sent));
            (api.tcp_err)(pcb.as_ptr(), Some(failed));
        }
    }

    fn detach(&self, pcb: NonNull<TcpPcb>) {
        let api = &self.api;
        // SAFETY: a live control block.
        unsafe {
            (api.tcp_arg)(pcb.as_ptr(), ptr::null_mut());
            (api.tcp_recv)(pcb.as_ptr(), None);
            (api.tcp_sent)(pcb.as_ptr(), None);
            (api.tcp_err)(pcb.as_ptr(), None);
        }
    }

    /// Ends a connection at once; not from a callback of its own.
    fn abort(&self, socket: &TcpSocket) {
        if let Some(pcb) = socket.pcb.get() {
            self.detach(pcb);
            // SAFETY: a live control block, of which nobody hears any more.
            unsafe { (self.api.tcp_abort)(pcb.as_ptr()) };
            socket.gone();
        }
    }

    /// Sockets that are open.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Ends everything, before the stack goes.
    pub(crate) fn end(&self) {
        let open: Vec<_> = self.open.borrow().values().cloned().collect();
        for socket in open {
            self.abort(&socket);
        }
        for (pcb, _door) in self.doors.take() {
            // SAFETY: a live listener, closed once; its door goes afterwards.
            unsafe { (self.api.tcp_close)(pcb.as_ptr()) };
        }
    }
}

/// The socket that `arg` is; `None` for a control block without one.
///
/// # Safety
/// `arg` is what `attach` gave lwIP, or null, and lwIP has it from a live control block or its error callback.
unsafe fn socket_of(arg: *mut c_void) -> Option<Rc<TcpSocket>> {
    let socket: *const TcpSocket = arg.cast();
    if socket.is_null() {
        return None;
    }
    // SAFETY: the socket came from an `Rc` and is in `open` still, so it is alive; the new count is dropped with the
    // result, so that it outlives a callback which closes it.
    unsafe {
        Rc::increment_strong_count(socket);
        Some(Rc::from_raw(socket))
    }
}

/// `tcp_accept_fn`.
unsafe extern "C" fn accepted(arg: *mut c_void, pcb: *mut TcpPcb, status: i8) -> i8 {
    let door: *const Door = arg.cast();
    let Some(pcb) = NonNull::new(pcb) else { return ERR_OK };
    if door.is_null() || status != ERR_OK {
        return ERR_OK;
    }
    // SAFETY: `arg` is the `Door` that `tcp_listen` registered, alive until `end` has closed the listener.
    let door = unsafe { &*door };
    let socket = door.sockets.adopt(pcb, Rc::clone(&door.handler));
    socket.handler.opened(&socket);
    ERR_OK
}

/// `tcp_connected_fn`.
unsafe extern "C" fn connected(arg: *mut c_void, _pcb: *mut TcpPcb, _status: i8) -> i8 {
    // SAFETY: lwIP passes the control block's `arg`.
    if let Some(socket) = unsafe { socket_of(arg) } {
        socket.handler.opened(&socket);
    }
    ERR_OK
}

/// `tcp_recv_fn`.
unsafe extern "C" fn received(arg: *mut c_void, pcb: *mut TcpPcb, pbuf: *mut Pbuf, _status: i8) -> i8 {
    // SAFETY: lwIP passes the control block's `arg`. Without a socket this function is not registered.
    let Some(socket) = (unsafe { socket_of(arg) }) else { return ERR_OK };
    if pbuf.is_null() {
        socket.handler.finished(&socket);
        return ERR_OK;
    }
    let mut piece: *const Pbuf = pbuf;
    while !piece.is_null() {
        // SAFETY: lwIP gave us the chain, which is freed below; each piece has `len` readable bytes.
        let bytes = unsafe {
            let Pbuf { payload, len, next, .. } = &*piece;
            piece = *next;
            slice::from_raw_parts(*payload, usize::from(*len))
        };
        socket.handler.received(&socket, bytes);
    }
    let api = &socket.sockets.api;
    // SAFETY: the chain is live and ours; the control block is live if the handler did not close it.
    unsafe {
        if socket.is_open() {
            (api.tcp_recved)(pcb, (*pbuf).tot_len);
        }
        (api.pbuf_free)(pbuf);
    }
    ERR_OK
}

/// `tcp_sent_fn`.
unsafe extern "C" fn sent(arg: *mut c_void, _pcb: *mut TcpPcb, bytes: u16) -> i8 {
    // SAFETY: lwIP passes the control block's `arg`.
    if let Some(socket) = unsafe { socket_of(arg) } {
        socket.handler.sent(&socket, usize::from(bytes));
    }
    ERR_OK
}

/// `tcp_err_fn`: lwIP has freed the control block.
unsafe extern "C" fn failed(arg: *mut c_void, _status: i8) {
    // SAFETY: lwIP passes what was the control block's `arg`.
    if let Some(socket) = unsafe { socket_of(arg) } {
        socket.gone();
        socket.handler.failed(&socket);
    }
}
