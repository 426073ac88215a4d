//! Private networks of the kernel's, to try things in.
//!
//! A [`Namespace`] has interfaces, addresses, routes and sockets of its own and no way out but the interfaces that are
//! opened in it. It has no name anywhere: it lives while this program holds its descriptor, so it vanishes with all that is
//! in it when it is dropped, and also when the program panics or is killed. The commands that run in it are ended with it.
//!
//! ```no_run
//! use coracle_host::Namespace;
//! let namespace = Namespace::new()?;
//! let tap = namespace.open_tap("tap0")?;
//! namespace.ip("address add 192.0.2.1/24 dev tap0")?;
//! namespace.ip("link set tap0 up")?;
//! let output = namespace.command("ping").args(["-c", "1", "192.0.2.1"]).run()?;
//! println!("{}", output.stdout);
//! # Ok::<(), coracle_host::Error>(())
//! ```

mod command;

pub use command::{Command, Output, Running};

use crate::device::{Tap, Tun};
use crate::error::Error;
use crate::sys::{self, Control};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A private network namespace. See the [module's page](self).
#[derive(Debug)]
pub struct Namespace {
    file: Arc<File>,
}

impl Namespace {
    /// Makes a namespace with nothing in it but the loopback interface, which is up.
    ///
    /// It takes root (`CAP_SYS_ADMIN`), or a user namespace, in which any user is root; see
    /// [`enter_user_namespace`].
    ///
    /// # Errors
    /// [`NoPermission`](Error::NoPermission) or [`NoNamespaces`](Error::NoNamespaces).
    pub fn new() -> Result<Self, Error> {
        // Only the calling thread changes its namespace, so one is spent on it.
        let file = on_thread("make a namespace", || {
            sys::unshare_network().map_err(unshare_error)?;
            Control::new()
                .and_then(|control| control.set_up("lo", true))
                .map_err(|error| Error::from_io("bring up the loopback interface", error))?;
            File::open("/proc/thread-self/ns/net")
                .map_err(|error| Error::from_io("open the new namespace", error))
        })??;
        Ok(Self { file: Arc::new(file) })
    }

    /// Runs a closure inside, on a thread of its own, and waits for its result. Sockets and threads that it makes belong to the
    /// namespace for ever; so this is how a test gets a kernel socket in there. A panic in it goes on in the caller.
    ///
    /// # Errors
    /// No thread could be started, or the namespace not be entered.
    pub fn run<R: Send>(&self, inside: impl FnOnce() -> R + Send) -> Result<R, Error> {
        on_thread("run a closure in a namespace", || {
            enter(&self.file)?;
            Ok(inside())
        })?
    }

    /// Opens a TAP interface inside; this program reads and writes it from outside.
    ///
    /// # Errors
    /// Those of [`Tap::open`](crate::Device::open).
    pub fn open_tap(&self, name: &str) -> Result<Tap, Error> {
        self.run(|| Tap::open(name))?
    }

    /// Opens a TUN interface inside; this program reads and writes it from outside.
    ///
    /// # Errors
    /// Those of [`Tun::open`](crate::Device::open).
    pub fn open_tun(&self, name: &str) -> Result<Tun, Error> {
        self.run(|| Tun::open(name))?
    }

    /// A command to run inside.
    pub fn command(&self, program: &str) -> Command {
        Command::new(Arc::clone(&self.file), program)
    }

    /// Runs `ip` with these words inside: `namespace.ip("link set tap0 up")`.
    ///
    /// # Errors
    /// `ip` is not installed, or refuses; the message has its answer.
    pub fn ip(&self, words: &str) -> Result<Output, Error> {
        self.command("ip").args(words.split_whitespace()).run()
    }

    /// Sets one of the kernel's network parameters inside: `namespace.sysctl("net.ipv4.ip_forward", "1")`.
    ///
    /// # Errors
    /// There is no such parameter, or the value is not one for it.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), Error> {
        let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        self.run(|| std::fs::write(path, value))?
            .map_err(|error| Error::from_io(format!("set {name} to {value}"), error))
    }

    /// Keeps the kernel from speaking of its own accord inside: no IPv6 on interfaces made from now on, hence no router
    /// solicitations, no duplicate address detection and no multicast reports. Tests that count frames want that.
    ///
    /// # Errors
    /// The parameter could not be set. A kernel without IPv6 is no error.
    pub fn silence(&self) -> Result<(), Error> {
        match self.sysctl("net.ipv6.conf.default.disable_ipv6", "1") {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// A path that names the namespace for other programs while this one runs, as in `ip link set veth1 netns PATH`.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes an ordinary user root of a private user namespace, for the rest of this process and its children: it may then make
/// [`Namespace`]s, and interfaces in them as far as `/dev/net/tun` may be opened. Nothing outside is changed or
/// gained. The process is in an empty network namespace afterwards.
///
/// The kernel allows it only while the process has a single thread, so call it first thing in `main`.
///
/// # Errors
/// [`NoPermission`](Error::NoPermission) where the system forbids it to users, [`NoNamespaces`](Error::NoNamespaces), or
/// [`Io`](Error::Io) when there are threads already.
pub fn enter_user_namespace() -> Result<(), Error> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare_when_alone().map_err(|error| match error {
        Errno::INVAL => Error::Io {
            what: "enter a user namespace after threads have started".to_owned(),
            source: error.into(),
        },
        error => unshare_error(error),
    })?;
    // The kernel wants group lists given up before a user maps a group.
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ] {
        std::fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| Error::from_io(format!("write /proc/self/{file}"), error))?;
    }
    Ok(())
}

/// Does what it takes to make [`Namespace`]s: nothing for root, [`enter_user_namespace`] for everybody else, with the same
/// condition and consequences.
///
/// # Errors
/// Those of [`enter_user_namespace`].
pub fn ensure_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { enter_user_namespace() }
}

/// The kernel counts a thread for a moment after it was joined, so that it takes a few tries to be alone.
fn unshare_when_alone() -> Result<(), Errno> {
    for _ in 0..50 {
        match sys::unshare_user_and_network() {
            Err(Errno::INVAL) => std::thread::sleep(Duration::from_millis(2)),
            result => return result,
        }
    }
    Err(Errno::INVAL)
}

fn unshare_error(error: Errno) -> Error {
    match error {
        Errno::NOSYS | Errno::INVAL | Errno::NOSPC | Errno::USERS => Error::NoNamespaces(error.into()),
        error => Error::from_io("make a namespace", error),
    }
}

/// Moves the calling thread into the namespace, for good.
fn enter(namespace: &File) -> Result<(), Error> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| Error::from_io("enter a namespace", error))
}

/// Runs the closure on a thread that ends with it.
fn on_thread<R: Send>(what: &str, inside: impl FnOnce() -> R + Send) -> Result<R, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("namespace".to_owned())
            .spawn_scoped(scope, inside)
            .map_err(|error| Error::from_io(what, error))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
