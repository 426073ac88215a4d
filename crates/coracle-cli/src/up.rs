//! `coracle up`: the stack on an interface, until Ctrl-C.

use crate::Failure;
use crate::arguments::{Interface, Up};
use crate::dhcp;
use crate::serve::{self, Served};
use crate::stop::Stop;
use coracle::{Boxed, Instant, Ipv4Settings, Ipv6Settings, NetifConfig, NetifHandle};
use coracle_host::{Device, Host, Layer, Tap, Tun};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::time::Duration;

pub(crate) fn run(options: &Up) -> Result<(), Failure> {
    let (mut host, netif) = start(options)?;
    let served = serve::all(host.stack())?;
    serve::snmp::start(host.stack(), &options.agent)?;
    let stop = Stop::on_signal(host.waker())?;
    let address = host.stack().netif(netif)?.ipv4()?.address;
    println!("answering ping, echo (UDP and TCP port 7) and http://{address}/; Ctrl-C ends");
    let mut line = Line::new();
    let mut next = Instant::ZERO;
    while !stop.is_asked() {
        if host.now() >= next {
            line.show(&counters(&mut host, netif, &served));
            next = host.now() + Duration::from_secs(1);
        }
        host.turn(Some(next))?;
    }
    line.show(&counters(&mut host, netif, &served));
    line.end();
    if let Some(pcap) = &options.pcap {
        println!("{} frames in {}", host.end_capture(netif)?, pcap.display());
    }
    Ok(())
}

/// A stack on the interface, up.
pub(crate) fn start(options: &Up) -> Result<(Host<Boxed>, NetifHandle), Failure> {
    let mut host = Host::new()?;
    let ipv4 = options.ipv4.unwrap_or(Ipv4Settings::NONE);
    let netif = match &options.interface {
        Interface::Tap(name) => {
            let tap = Tap::open(name)?;
            prepare(&tap, options)?;
            host.attach(tap, NetifConfig::ethernet(options.station).ipv4(ipv4).ipv6(Ipv6Settings::AUTO))?
        }
        Interface::Tun(name) => {
            let tun = Tun::open(name)?;
            prepare(&tun, options)?;
            host.attach(tun, NetifConfig::ip().ipv4(ipv4))?
        }
    };
    if let Some(pcap) = &options.pcap {
        host.capture(netif, File::create(pcap)?)?;
    }
    host.stack().netif_set_default(Some(netif))?;
    host.stack().netif(netif)?.set_up(true)?;
    if options.ipv4.is_none() {
        dhcp::get_address(&mut host, netif)?;
    }
    Ok((host, netif))
}

/// Linux's side is Linux's to set up, so this tells how; and waits until Linux has seen that it is not alone any more, as
/// it does not answer before.
fn prepare<L: Layer>(device: &Device<L>, options: &Up) -> Result<(), Failure> {
    if device.is_up()? {
        let start = std::time::Instant::now();
        while !device.is_running()? && start.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(5));
        }
        return Ok(());
    }
    let ipv4 = options.ipv4.unwrap_or(Ipv4Settings::NONE);
    let gateway = ipv4.gateway;
    let address = if gateway.is_unspecified() { "ADDRESS".to_owned() } else { gateway.to_string() };
    let name = device.name();
    println!("{name} is down on Linux's side. To bring it up:");
    println!(
        "    ip address add {address}/{} dev {name}",
        if ipv4 == Ipv4Settings::NONE { 24 } else { ipv4.prefix_len() }
    );
    println!("    ip link set {name} up");
    Ok(())
}

fn counters(host: &mut Host<Boxed>, netif: NetifHandle, served: &Served) -> String {
    let device = host.counters(netif).unwrap_or_default();
    let seconds = host.now().as_micros() / 1_000_000;
    let counters = *host.stack().counters();
    let memory = host.stack().memory().stats();
    let neighbours = host.stack().neighbours().count();
    let mut parts = vec![
        format!("{seconds} s: {} frames in", device.received),
        format!("{} out", device.sent),
        format!("{} pings answered", counters.icmp.echo_replies),
        format!("{} datagrams answered", served.datagrams.get()),
        format!("{} pages served", served.requests.get()),
        format!("{} bytes echoed over TCP", served.bytes.get()),
        format!("{neighbours} neighbours"),
        format!("{} of {} buffers in use", memory.pool.used, memory.pool.capacity),
    ];
    let ip = counters.ip;
    let dropped = ip.bad_checksum.wrapping_add(ip.bad_length).wrapping_add(ip.fragments);
    for (count, what) in [
        (u64::from(dropped), "bad or fragmented packets dropped"),
        (device.refused, "frames refused by the device"),
        (device.shortages, "times out of buffers"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

/// A line that is written over again on a terminal; elsewhere it is written when it has changed.
pub(crate) struct Line {
    terminal: bool,
    last: String,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last: String::new() }
    }

    pub(crate) fn show(&mut self, text: &str) {
        // Without the time in front, which always changes.
        let news = text.split_once(": ").map_or(text, |(_, news)| news);
        if self.terminal {
            // Back to the start, and clear what is left of a longer line.
            print!("\r{text}\x1b[K");
        } else if news != self.last {
            println!("{text}");
        }
        news.clone_into(&mut self.last);
        // A terminal that is gone does not end the service.
        let _ = std::io::stdout().flush();
    }

    pub(crate) fn end(&self) {
        if self.terminal {
            println!();
        }
    }
}
