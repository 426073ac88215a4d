//! The images of `firmware/boards`, each on its emulated board, talk to Linux. `cargo xtask firmware` builds them and runs
//! this; `CORACLE_FIRMWARE` is the folder that they were built into.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coracle_host::Namespace;
use coracle_host::testing::or_skip;

const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What the DHCP server gives.
const BOARD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const LINUX_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const BOARD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const PATIENCE: Duration = Duration::from_mins(1);
const STREAM: usize = 10_000_000;
const DATAGRAMS: usize = 300;
/// How long the board is left alone.
const IDLE: Duration = Duration::from_secs(5);

struct Board {
    name: &'static str,
    target: &'static str,
    emulator: &'static str,
    words: &'static [&'static str],
    /// How often it may wake while it is left alone, for all reasons together.
    idle_wake_ups: usize,
    /// The buffers in use while it makes the page: that of the request, and those that its driver gave the device.
    buffers_kept: usize,
}

const MPS2: Board = Board {
    name: "mps2-an385",
    target: "thumbv7m-none-eabi",
    emulator: "qemu-system-arm",
    words: &[
        "-M",
        "mps2-an385",
        "-nic",
        "tap,ifname=tap0,script=no,downscript=no,model=lan9118,mac=02:00:00:00:00:02",
    ],
    idle_wake_ups: 20,
    buffers_kept: 1,
};

const LM3S: Board = Board {
    name: "lm3s6965evb",
    target: "thumbv7m-none-eabi",
    emulator: "qemu-system-arm",
    words: &[
        "-M",
        "lm3s6965evb",
        "-nic",
        "tap,ifname=tap0,script=no,downscript=no,model=stellaris,mac=02:00:00:00:00:03",
    ],
    // Its one counter wakes it every 1.3 seconds.
    idle_wake_ups: 25,
    buffers_kept: 1,
};

const VIRT: Board = Board {
    name: "riscv-virt",
    target: "riscv32imac-unknown-none-elf",
    emulator: "qemu-system-riscv32",
    words: &[
        "-M",
        "virt",
        "-bios",
        "none",
        "-global",
        "virtio-mmio.force-legacy=false",
        "-netdev",
        "tap,id=n0,ifname=tap0,script=no,downscript=no",
        "-device",
        "virtio-net-device,netdev=n0,mac=02:00:00:00:00:04",
    ],
    idle_wake_ups: 25,
    buffers_kept: 16,
};

#[test]
#[ignore = "needs the image: cargo xtask firmware"]
fn mps2_an385() {
    MPS2.talk();
}

#[test]
#[ignore = "needs the image: cargo xtask firmware"]
fn lm3s6965evb() {
    LM3S.talk();
}

#[test]
#[ignore = "needs the image: cargo xtask firmware"]
fn riscv_virt() {
    VIRT.talk();
}

impl Board {
    fn talk(&self) {
        let images =
            std::env::var_os("CORACLE_FIRMWARE").expect("`cargo xtask firmware` says where the images are");
        let image = PathBuf::from(images).join(self.target).join("release").join(self.name);
        assert!(image.is_file(), "{} is missing", image.display());
        let Some(namespace) = or_skip(Namespace::new()) else { return };
        let Some(_) = or_skip(namespace.ip("tuntap add dev tap0 mode tap")) else { return };
        namespace.ip(&format!("address add {LINUX}/24 dev tap0")).unwrap();
        namespace.ip("link set tap0 up").unwrap();
        namespace.ip(&format!("address add {LINUX_V6}/64 dev tap0 nodad")).unwrap();
        let dhcp = namespace
            .command("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--log-facility=-",
                "--log-dhcp",
                "--conf-file=/dev/null",
                "--port=0",
            ])
            .args(["--user=root", "--pid-file=", "--leasefile-ro", "--no-ping", "--dhcp-authoritative"])
            .args(["--bind-dynamic", "--interface=tap0", "--dhcp-range=192.0.2.2,192.0.2.2"])
            .timeout(Duration::from_mins(10))
            .start();
        let Some(dhcp) = or_skip(dhcp) else { return };
        assert!(dhcp.wait_for_text("DHCP, IP range", PATIENCE));
        let emulator = namespace
            .command(self.emulator)
            .args(self.words)
            .args(["-nographic", "-monitor", "none", "-serial", "none", "-kernel"])
            .arg(&image)
            .timeout(Duration::from_mins(10))
            .start();
        let Some(emulator) = or_skip(emulator) else { return };

        wait_until_it_answers(&namespace);
        for address in [BOARD.to_string(), BOARD_V6.to_string()] {
            ping(&namespace, &address);
        }
        namespace.run(|| datagrams(LINUX.into(), BOARD.into())).unwrap();
        namespace.run(|| datagrams(LINUX_V6.into(), BOARD_V6.into())).unwrap();
        let took = namespace.run(|| stream(BOARD.into())).unwrap();
        let took_v6 = namespace.run(|| stream(BOARD_V6.into())).unwrap();
        let busy = page(&namespace);
        std::thread::sleep(IDLE);
        let idle = page(&namespace);
        assert!(emulator.is_running());
        emulator.stop().unwrap();
        dhcp.stop().unwrap();

        let wake_ups = idle["wake_ups"] - busy["wake_ups"];
        println!(
            "{}: 10 MB there and back in {:.1} s, over IPv6 in {:.1} s; stack {} of {} bytes; buffers at most {}; {wake_ups} wake-ups in {} s \
             without work",
            self.name,
            took.as_secs_f64(),
            took_v6.as_secs_f64(),
            idle["stack_deepest"],
            idle["stack_size"],
            idle["buffers_peak"],
            IDLE.as_secs()
        );
        assert!(idle["stack_deepest"] < idle["stack_size"], "the stack was used up");
        assert_eq!(idle["buffers_used"], self.buffers_kept, "all other buffers are back");
        assert!(wake_ups <= self.idle_wake_ups, "{wake_ups} wake-ups in {IDLE:?} without work");
    }
}

fn wait_until_it_answers(namespace: &Namespace) {
    let start = Instant::now();
    let words = ["-q", "-c", "1", "-W", "1", "192.0.2.2"];
    while !namespace.command("ping").args(words).timeout(PATIENCE).output().unwrap().success {
        assert!(start.elapsed() < PATIENCE, "it does not answer");
    }
}

fn ping(namespace: &Namespace, address: &str) {
    let words = ["-q", "-c", "100", "-i", "0.01", "-s", "1440", "-W", "5", address];
    let ping = namespace.command("ping").args(words).timeout(PATIENCE).run().unwrap();
    assert!(ping.stdout.contains(" 0% packet loss"), "{}", ping.stdout);
}

fn datagrams(from: IpAddr, to: IpAddr) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((to, 7)).unwrap();
    for i in 0..DATAGRAMS {
        let sent: Vec<u8> = (0..i * 37 % 1_453).map(|at| (at ^ i) as u8).collect();
        socket.send(&sent).unwrap();
        let mut got = [0; 2_000];
        let len = socket.recv(&mut got).unwrap();
        assert_eq!(got[..len], sent);
    }
}

/// Sends ten million bytes, and gets them back.
fn stream(to: IpAddr) -> Duration {
    let byte = |at: usize| ((at * 31) >> 3) as u8;
    let start = Instant::now();
    let mut out = TcpStream::connect((to, 7)).unwrap();
    out.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = out.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for start in (0..STREAM).step_by(10_000) {
            let piece: Vec<u8> = (start..start + 10_000).map(byte).collect();
            out.write_all(&piece).unwrap();
        }
        out.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    back.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert_eq!(got.len(), STREAM);
    assert!(got.iter().enumerate().all(|(at, got)| *got == byte(at)), "every byte is as it was sent");
    start.elapsed()
}

/// The numbers of the page.
fn page(namespace: &Namespace) -> HashMap<String, usize> {
    let curl = namespace.command("curl").args(["--silent", "--show-error", "http://192.0.2.2/"]);
    let page = curl.timeout(PATIENCE).run().unwrap().stdout;
    let number = |line: &str| {
        let (name, number) = line.split_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    page.lines().map(|line| number(line).unwrap_or_else(|| panic!("{line}"))).collect()
}
