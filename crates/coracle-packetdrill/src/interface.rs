//! packetdrill's table of functions.

use std::ffi::{c_int, c_longlong, c_uint, c_ulong, c_void};

use libc::{iovec, loff_t, msghdr, nfds_t, pollfd, sockaddr, socklen_t, ssize_t, timeval, useconds_t};

use crate::adapter::Adapter;
use crate::{calls, variadic};

type Userdata<'a> = Option<&'a Adapter>;

/// Declares the table and how it is filled, in packetdrill's order.
macro_rules! interface {
    ($($(#[$doc:meta])* $name:ident = $function:path: $type:ty,)*) => {
        /// The table of functions, laid out as packetdrill's header has it.
        ///
        /// The first argument of each is `userdata`. Results are those of Linux's calls of the same name: -1 and `errno`
        /// for a failure. [`packetdrill_interface_init`](crate::packetdrill_interface_init) fills it.
        ///
        /// # Safety
        ///
        /// Of those who call them: `userdata` is the table's own, or null; it is not used any more once `free` was called
        /// with it, and no call is under way then. Other pointers are null, or to as much memory as the call of the same
        /// name in C wants, aligned as C wants it.
        #[repr(C)]
        pub struct Interface {
            /// The stack; null when it could not be made.
            pub userdata: *mut Adapter,
            $($(#[$doc])* pub $name: $type,)*
        }

        /// The table for a stack.
        pub(crate) fn table(userdata: *mut Adapter) -> Interface {
            Interface { userdata, $($name: $function,)* }
        }
    };
}

interface! {
    /// Ends the stack. Descriptors that are open stay so: they are the program's.
    free = calls::free: unsafe extern "C" fn(*mut Adapter),
    /// `socket(2)`.
    socket = calls::socket: unsafe extern "C" fn(Userdata<'_>, c_int, c_int, c_int) -> c_int,
    /// `bind(2)`.
    bind = calls::bind: unsafe extern "C" fn(Userdata<'_>, c_int, *const sockaddr, socklen_t) -> c_int,
    /// `listen(2)`.
    listen = calls::listen: unsafe extern "C" fn(Userdata<'_>, c_int, c_int) -> c_int,
    /// `accept(2)`.
    accept = calls::accept: unsafe extern "C" fn(Userdata<'_>, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    /// `connect(2)`.
    connect = calls::connect: unsafe extern "C" fn(Userdata<'_>, c_int, *const sockaddr, socklen_t) -> c_int,
    /// `read(2)`.
    read = calls::read: unsafe extern "C" fn(Userdata<'_>, c_int, *mut c_void, usize) -> ssize_t,
    /// `readv(2)`.
    readv = calls::readv: unsafe extern "C" fn(Userdata<'_>, c_int, *const iovec, c_int) -> ssize_t,
    /// `recv(2)`.
    recv = calls::recv: unsafe extern "C" fn(Userdata<'_>, c_int, *mut c_void, usize, c_int) -> ssize_t,
    /// `recvfrom(2)`.
    recvfrom = calls::recvfrom: unsafe extern "C" fn(
        Userdata<'_>, c_int, *mut c_void, usize, c_int, *mut sockaddr, *mut socklen_t,
    ) -> ssize_t,
    /// `recvmsg(2)`.
    recvmsg = calls::recvmsg: unsafe extern "C" fn(Userdata<'_>, c_int, *mut msghdr, c_int) -> ssize_t,
    /// `write(2)`.
    write = calls::write: unsafe extern "C" fn(Userdata<'_>, c_int, *const c_void, usize) -> ssize_t,
    /// `writev(2)`.
    writev = calls::writev: unsafe extern "C" fn(Userdata<'_>, c_int, *const iovec, c_int) -> ssize_t,
    /// `send(2)`.
    send = calls::send: unsafe extern "C" fn(Userdata<'_>, c_int, *const c_void, usize, c_int) -> ssize_t,
    /// `sendto(2)`.
    sendto = calls::sendto: unsafe extern "C" fn(
        Userdata<'_>, c_int, *const c_void, usize, c_int, *const sockaddr, socklen_t,
    ) -> ssize_t,
    /// `sendmsg(2)`.
    sendmsg = calls::sendmsg: unsafe extern "C" fn(Userdata<'_>, c_int, *const msghdr, c_int) -> ssize_t,
    /// `fcntl(2)`.
    fcntl = variadic::coracle_packetdrill_fcntl: unsafe extern "C" fn(Userdata<'_>, c_int, c_int, ...) -> c_int,
    /// `ioctl(2)`.
    ioctl = variadic::coracle_packetdrill_ioctl: unsafe extern "C" fn(Userdata<'_>, c_int, c_ulong, ...) -> c_int,
    /// `close(2)`.
    close = calls::close: unsafe extern "C" fn(Userdata<'_>, c_int) -> c_int,
    /// `shutdown(2)`.
    shutdown = calls::shutdown: unsafe extern "C" fn(Userdata<'_>, c_int, c_int) -> c_int,
    /// `getsockopt(2)`.
    getsockopt = calls::getsockopt: unsafe extern "C" fn(
        Userdata<'_>, c_int, c_int, c_int, *mut c_void, *mut socklen_t,
    ) -> c_int,
    /// `setsockopt(2)`.
    setsockopt = calls::setsockopt: unsafe extern "C" fn(
        Userdata<'_>, c_int, c_int, c_int, *const c_void, socklen_t,
    ) -> c_int,
    /// `poll(2)`.
    poll = calls::poll: unsafe extern "C" fn(Userdata<'_>, *mut pollfd, nfds_t, c_int) -> c_int,
    /// A packet for the stack, its IP header first.
    netdev_send = calls::netdev_send: unsafe extern "C" fn(Userdata<'_>, *const c_void, usize) -> c_int,
    /// The next packet of the stack; its length goes in as the room for it, and is 0 when none will come. The time is in
    /// microseconds.
    netdev_receive = calls::netdev_receive: unsafe extern "C" fn(
        Userdata<'_>, *mut c_void, *mut usize, *mut c_longlong,
    ) -> c_int,
    /// `usleep(3)`.
    usleep = calls::usleep: unsafe extern "C" fn(Userdata<'_>, useconds_t) -> c_int,
    /// `gettimeofday(2)`.
    gettimeofday = calls::gettimeofday: unsafe extern "C" fn(Userdata<'_>, *mut timeval, *mut c_void) -> c_int,
    /// `epoll_create(2)`, which there is not.
    epoll_create = calls::epoll_create: unsafe extern "C" fn(Userdata<'_>, c_int) -> c_int,
    /// `epoll_ctl(2)`, which there is not.
    epoll_ctl = calls::epoll_ctl: unsafe extern "C" fn(Userdata<'_>, c_int, c_int, c_int, *mut c_void) -> c_int,
    /// `epoll_wait(2)`, which there is not.
    epoll_wait = calls::epoll_wait: unsafe extern "C" fn(Userdata<'_>, c_int, *mut c_void, c_int, c_int) -> c_int,
    /// `pipe(2)`, which there is not.
    pipe = calls::pipe: unsafe extern "C" fn(Userdata<'_>, *mut c_int) -> c_int,
    /// `splice(2)`, which there is not.
    splice = calls::splice: unsafe extern "C" fn(
        Userdata<'_>, c_int, *mut loff_t, c_int, *mut loff_t, usize, c_uint,
    ) -> c_int,
}
