//! The system calls that have no safe form in a library: the one file of this crate with `unsafe` code.
#![allow(unsafe_code)]

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Result;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Longest name of an interface, without the zero byte that ends it.
pub(crate) const NAME_LEN: usize = 15;

/// Flags of `TUNSETIFF`: IP packets; Ethernet frames; no four bytes of packet information before each.
pub(crate) const IFF_TUN: u16 = 0x0001;
pub(crate) const IFF_TAP: u16 = 0x0002;
pub(crate) const IFF_NO_PI: u16 = 0x1000;

const IFF_UP: u16 = 0x0001;
const IFF_RUNNING: u16 = 0x0040;

const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCSIFFLAGS: Opcode = 0x8914;
const SIOCGIFMTU: Opcode = 0x8921;
const SIOCSIFMTU: Opcode = 0x8922;
const SIOCGIFHWADDR: Opcode = 0x8927;

/// The kernel's `struct ifreq`: a name, then a union whose largest member is 24 bytes where pointers have eight.
#[repr(C, align(8))]
struct InterfaceRequest {
    name: [u8; NAME_LEN + 1],
    data: [u8; 24],
}

impl InterfaceRequest {
    fn new(name: &str) -> Self {
        let mut request = Self { name: [0; NAME_LEN + 1], data: [0; 24] };
        let length = name.len().min(NAME_LEN);
        request.name[..length].copy_from_slice(&name.as_bytes()[..length]);
        request
    }

    fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.data[0], self.data[1]])
    }

    fn set_flags(&mut self, flags: u16) {
        self.data[..2].copy_from_slice(&flags.to_ne_bytes());
    }

    fn update<const OPCODE: Opcode>(&mut self, fd: impl AsFd) -> Result<()> {
        // SAFETY: each opcode that this file uses here takes a pointer to `struct ifreq`, reads and writes no more than its
        // 40 bytes (32 where pointers have four), which `self` provides and which may hold any bytes.
        unsafe { ioctl(fd, Updater::<OPCODE, Self>::new(self)) }
    }
}

/// Makes an open `/dev/net/tun` an interface of this name and kind, and gives the name that the kernel chose.
pub(crate) fn attach(tun: impl AsFd, name: &str, flags: u16) -> Result<String> {
    let mut request = InterfaceRequest::new(name);
    request.set_flags(flags);
    request.update::<TUNSETIFF>(tun)?;
    let length = request.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
    Ok(String::from_utf8_lossy(&request.name[..length]).into_owned())
}

/// Asks for and sets properties of interfaces in the namespace of the thread that made it.
#[derive(Debug)]
pub(crate) struct Control(OwnedFd);

impl Control {
    pub(crate) fn new() -> Result<Self> {
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map(Self)
    }

    pub(crate) fn mtu(&self, name: &str) -> Result<u32> {
        let mut request = InterfaceRequest::new(name);
        request.update::<SIOCGIFMTU>(&self.0)?;
        let [a, b, c, d, ..] = request.data;
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }

    pub(crate) fn set_mtu(&self, name: &str, mtu: u32) -> Result<()> {
        let mut request = InterfaceRequest::new(name);
        request.data[..4].copy_from_slice(&mtu.to_ne_bytes());
        request.update::<SIOCSIFMTU>(&self.0)
    }

    fn flags(&self, name: &str) -> Result<u16> {
        let mut request = InterfaceRequest::new(name);
        request.update::<SIOCGIFFLAGS>(&self.0)?;
        Ok(request.flags())
    }

    pub(crate) fn is_up(&self, name: &str) -> Result<bool> {
        Ok(self.flags(name)? & IFF_UP != 0)
    }

    pub(crate) fn is_running(&self, name: &str) -> Result<bool> {
        Ok(self.flags(name)? & IFF_RUNNING != 0)
    }

    pub(crate) fn set_up(&self, name: &str, up: bool) -> Result<()> {
        let mut request = InterfaceRequest::new(name);
        request.update::<SIOCGIFFLAGS>(&self.0)?;
        let flags = request.flags();
        request.set_flags(if up { flags | IFF_UP } else { flags & !IFF_UP });
        request.update::<SIOCSIFFLAGS>(&self.0)
    }

    pub(crate) fn hardware_address(&self, name: &str) -> Result<[u8; 6]> {
        let mut request = InterfaceRequest::new(name);
        request.update::<SIOCGIFHWADDR>(&self.0)?;
        // A `struct sockaddr`: the address follows the 16-bit family.
        let mut address = [0; 6];
        address.copy_from_slice(&request.data[2..8]);
        Ok(address)
    }
}

/// Gives the calling thread a network namespace of its own.
pub(crate) fn unshare_network() -> Result<()> {
    // SAFETY: the call is unsafe for the sake of CLONE_FILES, after which threads disagree about descriptors; a network
    // namespace touches neither memory nor descriptors.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Gives this process, which must have one thread, a user namespace and a network namespace of its own.
pub(crate) fn unshare_user_and_network() -> Result<()> {
    // SAFETY: as above; namespaces of users and networks touch neither memory nor descriptors.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }
}

/// Lets the kernel end the command when the thread that starts it ends, so that nothing outlives this program, however
/// it ends.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the line above.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls, which allocate nothing, take no lock and touch no
    // memory but the stack.
    unsafe { command.pre_exec(prepare) };
}
