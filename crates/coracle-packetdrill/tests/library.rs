//! The shared library as packetdrill loads it: by its file, one symbol looked up.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod tool;

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tool::{ACK, ADDRESS_LEN, Initialise, LOCAL, SYN, TcpFlags, Tool, address, call, segment};

/// What Cargo builds beside the tests.
fn file() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libcoracle_packetdrill.so")
}

fn load(file: &std::path::Path) -> Initialise {
    let name = CString::new(file.as_os_str().as_bytes()).unwrap();
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE | libc::RTLD_DEEPBIND;
    // SAFETY: the library's own initialisers ask for nothing, and it is never unloaded.
    let library = unsafe { libc::dlopen(name.as_ptr(), flags) };
    // SAFETY: after a failure it is a text of C, until the next call.
    assert!(!library.is_null(), "{}", unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy());
    // SAFETY: the handle is that of a library that stays, and the name a text of C.
    let symbol = unsafe { libc::dlsym(library, c"packetdrill_interface_init".as_ptr()) };
    assert!(!symbol.is_null());
    // SAFETY: the library exports a function of this type under the name.
    unsafe { std::mem::transmute::<*mut libc::c_void, Initialise>(symbol) }
}

#[test]
fn the_library_exports_its_one_symbol() {
    let tool = Tool::of(load(&file()), Some("local=192.168.0.1/16,initial_window=4"));
    let listener = tool.socket(libc::SOCK_STREAM);
    let local = address(LOCAL, tool::PORT);
    assert_eq!(call!(tool, bind, listener, (&raw const local).cast(), ADDRESS_LEN), 0);
    assert_eq!(call!(tool, listen, listener, 1), 0);
    tool.inject(&segment(SYN, (1, 0), &[]));
    assert_eq!(tool.receive().unwrap().flags(), SYN | ACK);
    assert_eq!(call!(tool, fcntl, listener, libc::F_GETFL), libc::O_RDWR);
    let mut number = 0;
    assert_eq!(call!(tool, ioctl, listener, libc::FIONBIO, &raw mut number), 0);
    tool.inject(&segment(TcpFlags::RST, (2, 0), &[]));

    // No other test of this process opens files, so a number that is free stays so. One that the tool closed itself is
    // given out again, and what had it before is gone.
    // SAFETY: the descriptor is ours.
    assert_eq!(unsafe { libc::close(listener) }, 0);
    let socket = tool.socket(libc::SOCK_STREAM);
    assert_eq!(socket, listener);
    assert_eq!(call!(tool, bind, socket, (&raw const local).cast(), ADDRESS_LEN), 0);
    assert_eq!(call!(tool, close, socket), 0);
    // SAFETY: it takes any number.
    assert_eq!(unsafe { libc::fcntl(socket, libc::F_GETFD) }, -1);
}
