//! `coracle ping`: the stack pings a host.

use crate::Failure;
use crate::arguments::Ping as Options;
use crate::stop::Stop;
use crate::up;
use coracle::{Boxed, Instant};
use coracle_host::{Host, Ping, PingEvent};
use std::time::Duration;

/// How long the last request has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> Result<bool, Failure> {
    let (mut host, netif) = up::start(&options.up)?;
    let stop = Stop::on_signal(host.waker())?;
    let ping = Ping::open(host.stack(), options.host, std::process::id() as u16)?;
    let own = host.stack().netif(netif)?.ipv4()?.address;
    println!("pinging {} from {own} with {} bytes", options.host, options.size);
    let mut sent = Vec::new();
    let mut answered = 0;
    let mut next = host.now();
    while !stop.is_asked() && answered < usize::from(options.count) {
        let now = host.now();
        if now >= next {
            if sent.len() == usize::from(options.count) {
                break;
            }
            if let Err(error) = ping.sender().send(host.stack(), sent.len() as u16, options.size) {
                return Err(format!("cannot send {} bytes to {}: {error}", options.size, options.host).into());
            }
            sent.push(now);
            let last = sent.len() == usize::from(options.count);
            next = now + if last { PATIENCE } else { options.interval };
        }
        host.turn(Some(next))?;
        answered += report(&host, &ping, &sent);
    }
    println!("{answered} of {} answered", sent.len());
    Ok(answered == sent.len())
}

/// Prints what came back, and counts the answers.
fn report(host: &Host<Boxed>, ping: &Ping, sent: &[Instant]) -> usize {
    let mut answered = 0;
    for event in ping.events().try_iter() {
        match event {
            PingEvent::Reply { sequence, size, intact, ttl, .. } => {
                let since = sent.get(usize::from(sequence)).copied().unwrap_or_else(|| host.now());
                let time = event.at().since(since).as_secs_f64() * 1_000.0;
                let damaged = if intact { "" } else { ", not as it was sent" };
                println!("{size} bytes, number {sequence}, ttl {ttl}, {time:.3} ms{damaged}");
                answered += usize::from(intact);
            }
            PingEvent::Failed { error, .. } => println!("{:?}", error.kind),
        }
    }
    answered
}
