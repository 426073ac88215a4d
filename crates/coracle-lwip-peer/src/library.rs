//! Loading a private copy of `liblwip.so.0`.

use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

use crate::Error;
use crate::ffi::{
    InitFn, InputFn, Ip4Addr, IpAddr, Netif, OutputFn, Pbuf, TcpAcceptFn, TcpConnectedFn, TcpErrFn, TcpPcb,
    TcpRecvFn, TcpSentFn, UdpPcb, UdpRecvFn,
};

const SONAME: &CStr = c"liblwip.so.0";

/// One loaded library; unloaded when dropped.
struct Library(NonNull<c_void>);

macro_rules! functions {
    ($($name:ident: $signature:ty,)*) => {
        /// The functions of one private copy of the library, which stays loaded as long as this lives.
        pub(crate) struct Api {
            $(pub(crate) $name: $signature,)*
            /// lwIP's count of half seconds, by which it ages connections.
            pub(crate) tcp_ticks: NonNull<u32>,
            _library: Library,
        }

        impl Api {
            fn resolve(library: Library) -> Result<Self, Error> {
                Ok(Self {
                    $($name: {
                        let address = library.symbol(concat!(stringify!($name), "\0"))
                            .ok_or(Error::MissingSymbol(stringify!($name)))?;
                        // SAFETY: the address is that of lwIP's function of this name, whose C prototype the
                        // type repeats, and `_library` keeps it mapped as long as the pointer can be reached.
                        unsafe { std::mem::transmute::<*mut c_void, $signature>(address.as_ptr()) }
                    },)*
                    tcp_ticks: library.symbol("tcp_ticks\0").ok_or(Error::MissingSymbol("tcp_ticks"))?.cast(),
                    _library: library,
                })
            }
        }
    };
}

functions! {
    lwip_init: unsafe extern "C" fn(),
    sys_check_timeouts: unsafe extern "C" fn(),
    netif_add: unsafe extern "C" fn(
        *mut Netif, *const Ip4Addr, *const Ip4Addr, *const Ip4Addr, *mut c_void, InitFn, InputFn,
    ) -> *mut Netif,
    netif_remove: unsafe extern "C" fn(*mut Netif),
    netif_set_default: unsafe extern "C" fn(*mut Netif),
    netif_set_up: unsafe extern "C" fn(*mut Netif),
    ethernet_input: InputFn,
    etharp_output: OutputFn,
    pbuf_alloc: unsafe extern "C" fn(i32, u16, i32) -> *mut Pbuf,
    pbuf_ref: unsafe extern "C" fn(*mut Pbuf),
    pbuf_free: unsafe extern "C" fn(*mut Pbuf) -> u8,
    pbuf_clone: unsafe extern "C" fn(i32, i32, *mut Pbuf) -> *mut Pbuf,
    pbuf_copy_partial: unsafe extern "C" fn(*const Pbuf, *mut c_void, u16, u16) -> u16,
    udp_new: unsafe extern "C" fn() -> *mut UdpPcb,
    udp_bind: unsafe extern "C" fn(*mut UdpPcb, *const IpAddr, u16) -> i8,
    udp_recv: unsafe extern "C" fn(*mut UdpPcb, UdpRecvFn, *mut c_void),
    udp_sendto: unsafe extern "C" fn(*mut UdpPcb, *mut Pbuf, *const IpAddr, u16) -> i8,
    udp_remove: unsafe extern "C" fn(*mut UdpPcb),
    tcp_new: unsafe extern "C" fn() -> *mut TcpPcb,
    tcp_bind: unsafe extern "C" fn(*mut TcpPcb, *const IpAddr, u16) -> i8,
    tcp_listen_with_backlog: unsafe extern "C" fn(*mut TcpPcb, u8) -> *mut TcpPcb,
    tcp_connect: unsafe extern "C" fn(*mut TcpPcb, *const IpAddr, u16, TcpConnectedFn) -> i8,
    tcp_arg: unsafe extern "C" fn(*mut TcpPcb, *mut c_void),
    tcp_accept: unsafe extern "C" fn(*mut TcpPcb, TcpAcceptFn),
    tcp_recv: unsafe extern "C" fn(*mut TcpPcb, Option<TcpRecvFn>),
    tcp_sent: unsafe extern "C" fn(*mut TcpPcb, Option<TcpSentFn>),
    tcp_err: unsafe extern "C" fn(*mut TcpPcb, Option<TcpErrFn>),
    tcp_write: unsafe extern "C" fn(*mut TcpPcb, *const c_void, u16, u8) -> i8,
    tcp_output: unsafe extern "C" fn(*mut TcpPcb) -> i8,
    tcp_recved: unsafe extern "C" fn(*mut TcpPcb, u16),
    tcp_close: unsafe extern "C" fn(*mut TcpPcb) -> i8,
    tcp_abort: unsafe extern "C" fn(*mut TcpPcb),
    tcp_slowtmr: unsafe extern "C" fn(),
    inet_chksum: unsafe extern "C" fn(*const c_void, u16) -> u16,
}

impl Api {
    /// Loads a copy of the system's library that shares nothing with other copies.
    pub(crate) fn load() -> Result<Self, Error> {
        // Found once, before the first copy is loaded: later the dynamic linker would take the library's own name for that
        // copy, whose DT_SONAME is the same.
        static INSTALLED: OnceLock<Result<PathBuf, Error>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(installed_path).as_ref().map_err(Clone::clone)?;
        let copy = PrivateCopy::of(installed).map_err(|error| Error::Copy(error.to_string()))?;
        let path =
            CString::new(copy.0.as_os_str().as_bytes()).map_err(|error| Error::Copy(error.to_string()))?;
        Self::resolve(Library::open(&path)?)
    }
}

impl Library {
    fn open(name: &CStr) -> Result<Self, Error> {
        // SAFETY: `name` is a C string. Loading runs the constructors of lwIP and of the C library only.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(|| Error::NotFound(last_error()))
    }

    /// The address of the symbol `name`, which ends in a NUL.
    fn symbol(&self, name: &str) -> Option<NonNull<c_void>> {
        let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
        // SAFETY: the handle is open and `name` is a C string.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle came from `dlopen`, and nothing that points into the library outlives this value.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

/// A copy of the library under a name of its own, removed from the file system when dropped: the mapping stays.
struct PrivateCopy(PathBuf);

impl PrivateCopy {
    fn of(original: &Path) -> io::Result<Self> {
        // The dynamic linker knows libraries by name as well as by inode, so no name may come twice in a process.
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let copy = Self(env::temp_dir().join(format!("coracle-liblwip-{}-{serial}.so", process::id())));
        let mut target = fs::OpenOptions::new().write(true).create_new(true).open(&copy.0)?;
        io::copy(&mut fs::File::open(original)?, &mut target)?;
        Ok(copy)
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // Nothing is lost if the file stays behind in the temporary directory.
        let _ = fs::remove_file(&self.0);
    }
}

/// Where the dynamic linker finds the installed library.
fn installed_path() -> Result<PathBuf, Error> {
    let library = Library::open(SONAME)?;
    let symbol = library.symbol("lwip_init\0").ok_or(Error::MissingSymbol("lwip_init"))?;
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: `symbol` is an address inside a loaded library and `info` is writable.
    let found = unsafe { libc::dladdr(symbol.as_ptr(), &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Err(Error::NotFound("the dynamic linker does not tell its path".into()));
    }
    // SAFETY: `dladdr` succeeded, so the name is a C string that lives as long as `library`.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

fn last_error() -> String {
    // SAFETY: `dlerror` returns null or a C string that is valid until the next call on this thread.
    let text: *const c_char = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown reason".into();
    }
    // SAFETY: not null, so a C string as said above; it is copied before anything else is called.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
