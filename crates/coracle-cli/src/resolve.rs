//! `coracle resolve`: what a name stands for, found out by the stack.

use crate::Failure;
use crate::arguments::Resolve as Options;
use crate::stop::Stop;
use crate::up;
use coracle::wire::dns::{Record, kind};
use coracle::{Boxed, DnsError, Handler, Lookup, Resolved};
use coracle_host::Waker;
use std::sync::mpsc::{Sender, channel};

/// The lines to print, or why there are none.
type Answer = Result<Vec<String>, DnsError>;

/// Where the answer goes, and who is to look there.
struct Asker(Sender<Answer>, Waker);

impl Handler<Boxed> for Asker {
    fn resolved(&mut self, resolved: &mut Resolved<'_, Boxed>) {
        let lines = resolved.addresses().map(|addresses| {
            let mut lines: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            if let Ok(records) = resolved.records() {
                lines.extend(records.map(|record| described(&record)));
            }
            lines
        });
        // Nobody listens once Ctrl-C was pressed.
        let _ = self.0.send(lines);
        self.1.wake();
    }
}

pub(crate) fn run(options: &Options) -> Result<bool, Failure> {
    let (mut host, _) = up::start(&options.up)?;
    let stop = Stop::on_signal(host.waker())?;
    let gateway = options.up.ipv4.map(|ipv4| ipv4.gateway).filter(|gateway| !gateway.is_unspecified());
    if let Some(server) = options.server.or(gateway.map(Into::into)) {
        host.stack().dns_set_servers(&[(server, 53).into()])?;
    }
    let lookup = options.kind.as_deref().map_or(Ok(Lookup::Addresses), lookup)?;
    let (sender, answers) = channel();
    let asker = Asker(sender, host.waker());
    let start = host.now();
    host.stack().dns_query(&options.name, lookup, Boxed::new(asker))?;
    while !stop.is_asked() {
        let time = host.now().since(start).as_secs_f64() * 1_000.0;
        match answers.try_recv() {
            Ok(Ok(lines)) => {
                for line in &lines {
                    println!("{line}");
                }
                println!("found in {time:.1} ms");
                return Ok(true);
            }
            Ok(Err(error)) => {
                println!("{}: {error} ({time:.1} ms)", options.name);
                return Ok(false);
            }
            Err(_) => drop(host.turn(None)?),
        }
    }
    Ok(false)
}

/// The kind of records that a word names.
fn lookup(word: &str) -> Result<Lookup, Failure> {
    let number = match word.to_ascii_lowercase().as_str() {
        "a" => return Ok(Lookup::Ipv4),
        "aaaa" => return Ok(Lookup::Ipv6),
        "ns" => kind::NS,
        "cname" => kind::CNAME,
        "soa" => kind::SOA,
        "ptr" => kind::PTR,
        "mx" => kind::MX,
        "txt" => kind::TXT,
        "srv" => kind::SRV,
        number => number.parse().map_err(|_| format!("`{word}` is no kind of record, such as txt or 16"))?,
    };
    Ok(Lookup::Records(number))
}

fn described(record: &Record<'_>) -> String {
    if let Ok(target) = record.target() {
        target.to_string()
    } else if let Ok(srv) = record.srv() {
        format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target)
    } else if let Ok(texts) = record.txt() {
        texts.map(|text| format!("{:?}", String::from_utf8_lossy(text))).collect::<Vec<_>>().join(" ")
    } else {
        record.data().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}
