//! An ordinary user in a user namespace. It runs without the usual test harness, because the kernel wants the process to
//! have a single thread.

use coracle_host::testing::or_skip;
use coracle_host::{Error, Namespace, namespace};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

const CHILD: &str = "CORACLE_TEST_ORDINARY_USER";
const NAME: &str = "an_ordinary_user_becomes_root_of_a_namespace";

fn main() -> ExitCode {
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    if asked("--list") {
        // There are no ignored tests.
        if !asked("--ignored") {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(CHILD).is_some() {
        as_ordinary_user();
        return ExitCode::SUCCESS;
    }
    println!("running 1 test");
    let mut child = Command::new("/proc/self/exe");
    child.env(CHILD, "1");
    if rustix::process::geteuid().is_root() {
        child.uid(65_534).gid(65_534);
    }
    let ok = child.status().is_ok_and(|status| status.success());
    println!("test {NAME} ... {}", if ok { "ok" } else { "FAILED" });
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn as_ordinary_user() {
    assert!(!rustix::process::geteuid().is_root());
    let refused = Namespace::new().expect_err("an ordinary user may not");
    assert!(matches!(refused, Error::NoPermission { .. }) && refused.is_unavailable(), "{refused}");

    if or_skip(namespace::enter_user_namespace()).is_none() {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "root of this namespace");
    let namespace = Namespace::new().expect("root may");
    assert_eq!(namespace.ip("-br link").expect("ip runs").stdout.lines().count(), 1);
    match namespace.open_tap("tap0") {
        Ok(tap) => tap.set_up(true).expect("its own interface"),
        // Some systems keep the device to the real root; the error must say so.
        Err(error @ (Error::NoPermission { .. } | Error::NoTunDevice(_))) => {
            let message = error.to_string();
            assert!(message.contains("/dev/net/tun"), "{message}");
            println!("no TAP for ordinary users here: {message}");
        }
        Err(error) => panic!("{error}"),
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let error = namespace::enter_user_namespace().expect_err("there are threads");
            assert!(matches!(error, Error::Io { .. }), "{error}");
        });
    });
}
