//! An SNMP agent on port 161, and who is told of what happens.

use crate::arguments::SnmpAgent as Options;
use coracle::{Boxed, Error, Handler, Pbuf, Stack, Timeout, Udp, UdpHandle};
use coracle_snmp::agent::{Agent, Community, Credentials, READ, Target, WRITE};
use coracle_snmp::mib::Tree;
use coracle_snmp::{AGENT_PORT, GenericTrap, Setup, SnmpAgent, TRAP_PORT, standard};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often links are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest message that fits a frame.
const LONGEST: usize = 1472;

/// The agent, for both that comes and that is due. It stays as long as the program.
type Shared = Arc<Mutex<SnmpAgent<'static>>>;

/// Starts an agent, if there is anybody to answer or to tell.
pub(crate) fn start(stack: &mut Stack<Boxed>, options: &Options) -> Result<(), Error> {
    let mut communities = vec![];
    for (name, group) in [(&options.read, READ), (&options.write, WRITE)] {
        if let Some(name) = name {
            communities.push(Community::new(name.clone().leak(), group));
        }
    }
    if communities.is_empty() && options.trap.is_none() {
        return Ok(());
    }
    let tree = Tree::new(standard::ALL).map_err(|_| Error::Argument)?;
    let mut setup = Setup::new(tree).communities(communities.leak());
    setup.description = concat!("Coracle ", env!("CARGO_PKG_VERSION"), ", a TCP/IP stack");
    setup.name = "coracle";
    // Whoever hears of the start has a community in common with this agent.
    let community = options.read.clone().unwrap_or_else(|| "public".to_owned()).leak();
    let target = options.trap.map(|host| Target {
        address: SocketAddr::from((host, TRAP_PORT)),
        credentials: Credentials::V2c(community),
        inform: None,
    });
    let targets = target.into_iter().collect::<Vec<_>>().leak();
    let agent = Agent::new(setup).with_targets(targets, &mut []);
    agent.state().authentication_traps.set(true);
    let agent = SnmpAgent::new(agent, vec![0; LONGEST].leak(), vec![0; LONGEST].leak());
    let shared: Shared = Arc::new(Mutex::new(agent));

    let udp = stack.udp_new(Boxed::new(Server(Arc::clone(&shared))))?;
    stack.udp(udp)?.bind((Ipv4Addr::UNSPECIFIED, AGENT_PORT).into())?;
    lock(&shared).notify_generic(&mut stack.udp(udp)?, GenericTrap::ColdStart);
    stack.timeout(INTERVAL, Boxed::new(Tick { agent: shared, udp }))?;
    Ok(())
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, SnmpAgent<'static>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Server(Shared);

impl Handler<Boxed> for Server {
    fn datagram(&mut self, udp: &mut Udp<'_, Boxed>, from: SocketAddr, data: Pbuf) {
        lock(&self.0).serve(udp, from, &data);
    }
}

struct Tick {
    agent: Shared,
    udp: UdpHandle,
}

impl Handler<Boxed> for Tick {
    fn timeout(&mut self, timeout: &mut Timeout<'_, Boxed>) {
        if let Ok(mut udp) = timeout.stack().udp(self.udp) {
            lock(&self.agent).poll(&mut udp);
        }
        timeout.again(INTERVAL);
    }
}
