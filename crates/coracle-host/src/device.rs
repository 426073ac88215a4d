//! TAP and TUN interfaces.
//!
//! # Why an opener of our own
//!
//! The crates that open TAP and TUN interfaces were weighed against the little that is wanted: open, read and write without
//! blocking and without copies, a descriptor to poll, and room for the kernel's offloads (a virtio header before each
//! packet) and for several queues later.
//!
//! * `tun-rs` (2.8) is well kept, fast, and has offloads and queues. It is also under the Apache licence alone, which takes
//!   the choice of MIT from whoever uses this crate; it brings its own addresses, routes and buffers, which the owner of a
//!   namespace and the stack do themselves; and its five hundred `unsafe` lines would be ours to answer for.
//! * `tappers` (0.4) is light and under both licences, but has no virtio header, no offloads, no queues and no vectored
//!   writes.
//!
//! What is wanted is one `open` and one `ioctl`. The `rustix` crate, which the event loop needs as well, makes all of it safe
//! but the `ioctl` itself, which lives in `sys.rs`; so the whole opener is hardly longer than an adapter to either crate
//! would be, and offloads and queues are a flag and an `ioctl` away when they come.

use crate::error::Error;
use crate::sys::{self, Control};
use coracle_sim::pcap::LinkType;
use core::marker::PhantomData;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What an interface carries: [`Ethernet`] frames or [`Ip`] packets.
pub trait Layer: sealed::Sealed + Send + Sync + 'static {
    /// Bytes before the IP header, with room for one VLAN tag.
    const HEADER: usize;
    /// How captures call it.
    const LINK_TYPE: LinkType;
    #[doc(hidden)]
    const FLAGS: u16;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Ethernet {}
    impl Sealed for super::Ip {}
}

/// Ethernet frames, from the destination address on, without the frame check sequence.
#[derive(Debug)]
pub enum Ethernet {}

/// IPv4 and IPv6 packets, without anything before them.
#[derive(Debug)]
pub enum Ip {}

impl Layer for Ethernet {
    const HEADER: usize = 18;
    const LINK_TYPE: LinkType = LinkType::Ethernet;
    const FLAGS: u16 = sys::IFF_TAP | sys::IFF_NO_PI;
}

impl Layer for Ip {
    const HEADER: usize = 0;
    const LINK_TYPE: LinkType = LinkType::Ip;
    const FLAGS: u16 = sys::IFF_TUN | sys::IFF_NO_PI;
}

/// An interface that carries Ethernet frames between the kernel and this program.
pub type Tap = Device<Ethernet>;

/// An interface that carries IP packets between the kernel and this program.
pub type Tun = Device<Ip>;

/// A TAP or TUN interface, open for reading and writing without blocking. One read or write is one frame.
///
/// It belongs to the network namespace in which it was opened. An interface that was made by opening it vanishes when
/// it is dropped; one that existed before stays.
///
/// ```no_run
/// use coracle_host::Tap;
/// let tap = Tap::open("tap0")?;
/// let mut frame = vec![0; tap.frame_size()?];
/// while let Some(len) = tap.recv(&mut frame)? {
///     println!("{len} bytes from the kernel");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Device<L> {
    fd: OwnedFd,
    control: Control,
    name: String,
    layer: PhantomData<fn() -> L>,
}

impl<L: Layer> Device<L> {
    /// Opens the interface of this name, making it where there is none. A name with `%d` in it gets the first free
    /// number, and an empty one is chosen by the kernel; [`name`](Self::name) tells.
    ///
    /// # Errors
    /// [`NoTunDevice`](Error::NoTunDevice) and [`NoPermission`](Error::NoPermission) when the machine or the user lacks
    /// it, [`InvalidName`](Error::InvalidName), [`Busy`](Error::Busy), [`OtherKind`](Error::OtherKind).
    pub fn open(name: &str) -> Result<Self, Error> {
        if !is_valid_name(name) {
            return Err(Error::InvalidName(name.to_owned()));
        }
        let fd = open_tun()?;
        let name = sys::attach(&fd, name, L::FLAGS).map_err(|error| match error {
            Errno::BUSY => Error::Busy(name.to_owned()),
            Errno::INVAL => Error::OtherKind(name.to_owned()),
            error => Error::from_io(format!("make the interface `{name}`"), error),
        })?;
        let control = Control::new().map_err(|error| Error::from_io("open a control socket", error))?;
        Ok(Self { fd, control, name, layer: PhantomData })
    }

    /// Takes the next frame that the kernel sends into `frame` and gives its length, or `None` when there is none at
    /// present. A frame longer than the space is cut; [`frame_size`](Self::frame_size) is always enough.
    ///
    /// # Errors
    /// The interface was removed.
    #[inline]
    pub fn recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.fd, frame) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a frame to the kernel. `false` means that the kernel takes no more at present: keep the frame, and
    /// wait until the descriptor is writable.
    ///
    /// # Errors
    /// The interface is down or was removed, or the kernel can make nothing of the bytes, as with fewer than a header.
    #[inline]
    pub fn send(&self, frame: &[u8]) -> io::Result<bool> {
        taken(rustix::io::write(&self.fd, frame))
    }

    /// As [`send`](Self::send), for a frame that lies in several parts, such as a chain of buffers. The kernel takes
    /// up to 1,024 parts.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        taken(rustix::io::writev(&self.fd, parts))
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The longest IP packet, in bytes.
    ///
    /// # Errors
    /// The interface was removed or renamed.
    pub fn mtu(&self) -> io::Result<usize> {
        Ok(self.control.mtu(&self.name)? as usize)
    }

    /// Sets the longest IP packet, in bytes.
    ///
    /// # Errors
    /// The kernel does not allow this size (68 to 65,521 bytes are usual), or this user to set it.
    pub fn set_mtu(&self, mtu: usize) -> io::Result<()> {
        let mtu = i32::try_from(mtu).map_err(|_| io::Error::from(Errno::INVAL))?;
        Ok(self.control.set_mtu(&self.name, mtu.cast_unsigned())?)
    }

    /// Space for the longest frame at the present MTU, in bytes.
    ///
    /// # Errors
    /// The interface was removed or renamed.
    pub fn frame_size(&self) -> io::Result<usize> {
        Ok(self.mtu()? + L::HEADER)
    }

    /// Whether the kernel's side is up.
    ///
    /// # Errors
    /// The interface was removed or renamed.
    pub fn is_up(&self) -> io::Result<bool> {
        Ok(self.control.is_up(&self.name)?)
    }

    /// Whether the kernel's side is up and has seen that this side is there.
    ///
    /// It sees that up to a second after an interface was opened that existed and was up before, and until then drops
    /// what it is to send.
    ///
    /// # Errors
    /// The interface was removed or renamed.
    pub fn is_running(&self) -> io::Result<bool> {
        Ok(self.control.is_running(&self.name)?)
    }

    /// Takes the kernel's side up or down.
    ///
    /// # Errors
    /// This user may not.
    pub fn set_up(&self, up: bool) -> io::Result<()> {
        Ok(self.control.set_up(&self.name, up)?)
    }
}

impl Device<Ethernet> {
    /// The Ethernet address of the kernel's side; this side chooses its own.
    ///
    /// # Errors
    /// The interface was removed or renamed.
    pub fn hardware_address(&self) -> io::Result<[u8; 6]> {
        Ok(self.control.hardware_address(&self.name)?)
    }
}

impl<L> AsFd for Device<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_tun() -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/net/tun", flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT | Errno::NXIO | Errno::NODEV => Error::NoTunDevice(error.into()),
        error => Error::from_io("open /dev/net/tun", error),
    })
}

fn is_valid_name(name: &str) -> bool {
    name.len() <= sys::NAME_LEN
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace())
}

fn taken(result: rustix::io::Result<usize>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
