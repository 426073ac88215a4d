//! Programs and libraries of the operating system.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::process::{Failure, find_program, program};

/// Something that a task uses, and the Debian package that has it.
pub(crate) struct Need {
    package: &'static str,
    what: What,
    purpose: &'static str,
}

enum What {
    Program(&'static str),
    /// A shared library that the dynamic linker finds.
    Library(&'static str),
}

const fn tool(name: &'static str, package: &'static str, purpose: &'static str) -> Need {
    Need { package, what: What::Program(name), purpose }
}

/// What `coracle demo` has Linux do.
pub(crate) const DEMO: &[Need] = &[
    tool("ip", "iproute2", "network namespaces and interfaces"),
    tool("ping", "iputils-ping", "Linux pings the stack"),
    tool("arping", "iputils-arping", "Linux asks for the stack's address"),
    tool("curl", "curl", "Linux gets pages and downloads from the stack"),
    tool("socat", "socat", "Linux talks to the stack over TCP"),
];

/// What all tests and measurements use.
pub(crate) const ALL: &[Need] = &[
    tool("ip", "iproute2", "network namespaces and interfaces"),
    tool("ping", "iputils-ping", "Linux pings the stack"),
    tool("arping", "iputils-arping", "Linux asks for the stack's address"),
    tool("curl", "curl", "Linux gets pages and downloads from the stack"),
    tool("socat", "socat", "Linux talks to the stack over TCP"),
    tool("tcpdump", "tcpdump", "captures what is on an interface"),
    tool("tshark", "tshark", "judges every frame that the stack sent"),
    tool("dnsmasq", "dnsmasq-base", "gives addresses to the stack"),
    tool("radvd", "radvd", "advertises routers to the stack"),
    tool("udhcpc", "udhcpc", "gets an address from the stack"),
    tool("dhclient", "isc-dhcp-client", "gets an address from the stack"),
    tool("qemu-system-arm", "qemu-system-arm", "boards with an Arm processor"),
    tool("qemu-system-riscv32", "qemu-system-misc", "a machine with a RISC-V processor"),
    tool("valgrind", "valgrind", "counts instructions"),
    tool("c++", "g++", "builds libFuzzer"),
    Need { package: "liblwip0", what: What::Library("liblwip.so.0"), purpose: "lwIP as a peer" },
];

/// Installs those that are missing.
///
/// # Errors
///
/// They could not be installed; with what to run by hand.
pub(crate) fn install(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.purpose);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if find_program("apt-get").is_none() {
        return Err(Failure::new(format!(
            "No apt-get here: please install what Debian installs with {by_hand}"
        )));
    }
    if !is_root() {
        return Err(Failure::new(format!("Only root can install these: sudo {by_hand}")));
    }
    let _quiet = NoServices::begin()?;
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &packages[..]].concat())
}

fn apt_get(arguments: &[&str]) -> Result<(), Failure> {
    program("apt-get")
        .args(["--quiet=2", "--option=DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

impl Need {
    fn is_met(&self) -> bool {
        match self.what {
            What::Program(name) => find_program(name).is_some(),
            What::Library(name) => program("/sbin/ldconfig")
                .args(["--print-cache"])
                .read()
                .is_ok_and(|libraries| libraries.lines().any(|line| line.trim_start().starts_with(name))),
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// While this lives, packages don't start services as they are installed.
struct NoServices {
    /// Debian's switch for that was not there before.
    ours: bool,
}

impl NoServices {
    const SWITCH: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self, Failure> {
        let made = fs::File::create_new(Self::SWITCH).and_then(|_| {
            fs::write(Self::SWITCH, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(Self::SWITCH, fs::Permissions::from_mode(0o755))
        });
        match made {
            Ok(()) => Ok(Self { ours: true }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(Failure::new(format!("{}: {error}", Self::SWITCH))),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(Path::new(Self::SWITCH))
        {
            eprintln!("{} stays: {error}", Self::SWITCH);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{What, tool};

    #[test]
    fn a_need_is_met_by_a_program_or_a_library() {
        assert!(tool("sh", "dash", "").is_met());
        assert!(!tool("no-such-program", "none", "").is_met());
        let library = |name| super::Need { package: "", what: What::Library(name), purpose: "" };
        assert!(library("libc.so.6").is_met());
        assert!(!library("libnone.so.0").is_met());
    }

    #[test]
    fn the_demonstration_needs_nothing_that_the_tests_don_t() {
        let packages: Vec<&str> = super::ALL.iter().map(|need| need.package).collect();
        assert!(super::DEMO.iter().all(|need| packages.contains(&need.package)));
    }
}
