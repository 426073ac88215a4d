//! The agent on a stack.

use core::net::SocketAddr;

use coracle::{Cast, Handler, Inspect, Instant, Kind, Layer, Pbuf, Udp, UdpSend};

use crate::agent::{Agent, Outlet};
use crate::pdu::{Binding, GenericTrap};

/// The port that agents listen on.
pub const AGENT_PORT: u16 = 161;
/// The port that those listen on who want to hear of events.
pub const TRAP_PORT: u16 = 162;

/// An agent that answers on a UDP control block of a stack, and reads objects from the stack. lwIP: `snmp_init`.
///
/// It is the handler of that control block, or part of it. What it sends without being asked, and what it has to do
/// again, is done in [`SnmpAgent::poll`], which a timer of the application calls about once a second.
///
/// ```
/// use coracle::*;
/// use coracle_snmp::agent::{Agent, Community, READ};
/// use coracle_snmp::mib::Tree;
/// use coracle_snmp::{AGENT_PORT, Setup, SnmpAgent, standard};
///
/// let communities = [Community::new("public", READ)];
/// let (mut request, mut reply) = ([0; 1472], [0; 1472]);
/// let agent = Agent::new(Setup::new(Tree::new(standard::ALL).unwrap()).communities(&communities));
///
/// let mut arena = Arena::heap();
/// let memory = Memory::new(&mut arena, MemoryLimits::default())?;
/// let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new([7; 16]))?;
/// let udp = stack.udp_new(SnmpAgent::new(agent, &mut request, &mut reply))?;
/// stack.udp(udp)?.bind(([0; 4], AGENT_PORT).into())?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SnmpAgent<'a> {
    /// The agent.
    pub agent: Agent<'a>,
    request: &'a mut [u8],
    reply: &'a mut [u8],
}

impl<'a> SnmpAgent<'a> {
    /// An agent with buffers for a message in and one out: 484 bytes each at least; 1472 is what Ethernet takes.
    pub fn new(agent: Agent<'a>, request: &'a mut [u8], reply: &'a mut [u8]) -> Self {
        Self { agent, request, reply }
    }

    /// Takes a datagram, and answers it from the address that it was sent to.
    pub fn serve<H: Handler>(&mut self, udp: &mut Udp<'_, H>, from: SocketAddr, data: &Pbuf) {
        let Some(request) = self.request.get_mut(..data.len()) else { return };
        data.copy_to(0, request);
        let info = udp.packet();
        let stack = udp.stack();
        let Some(answer) = self.agent.handle(request, from, stack.inspect(), self.reply) else { return };
        let source = info.filter(|info| info.cast == Cast::Unicast).map(|info| info.destination);
        // What cannot be sent is lost, as any datagram may be: managers ask again.
        let send = UdpSend { remote: Some(from), source, ..UdpSend::default() };
        if let Ok(answer) = stack.memory().alloc_copy(Layer::Transport, answer, Kind::Pool) {
            drop(udp.send_with(answer, &send));
        }
        self.set_links(udp);
    }

    /// Sets interfaces up and down, as managers asked.
    fn set_links<H: Handler>(&mut self, udp: &mut Udp<'_, H>) {
        let (up, down) = self.agent.state().wanted_links.take();
        let stack = udp.stack();
        for place in (0..64).filter(|place| (up | down) >> place & 1 != 0) {
            let handle = stack.inspect().netif_at(place).map(|view| view.handle);
            if let Some(Ok(mut netif)) = handle.map(|handle| stack.netif(handle)) {
                netif.set_up(up >> place & 1 != 0).unwrap_or_default();
            }
        }
    }

    /// Does what is due: informs that were not answered, links that went up or down, wrong passwords. Returns when
    /// the next inform is due; links want a look about once a second.
    pub fn poll<H: Handler>(&mut self, udp: &mut Udp<'_, H>) -> Option<Instant> {
        self.with_outlet(udp, |agent, at, outlet| agent.poll(at, outlet))
    }

    /// Tells all targets of a standard event, such as [`GenericTrap::ColdStart`]. lwIP: `snmp_send_trap_generic`.
    pub fn notify_generic<H: Handler>(&mut self, udp: &mut Udp<'_, H>, event: GenericTrap) -> Option<i32> {
        self.with_outlet(udp, |agent, at, outlet| agent.notify_generic(event, &[], at, outlet))
    }

    /// Tells all targets of an event of the application's. lwIP: `snmp_send_trap`.
    pub fn notify<H: Handler>(
        &mut self,
        udp: &mut Udp<'_, H>,
        event: &[u32],
        variables: &[Binding<'_>],
    ) -> Option<i32> {
        self.with_outlet(udp, |agent, at, outlet| agent.notify(event, variables, at, outlet))
    }

    /// Lets the agent make messages while it looks at the stack, and sends them afterwards.
    fn with_outlet<H: Handler, R>(
        &mut self,
        udp: &mut Udp<'_, H>,
        call: impl FnOnce(&mut Agent<'a>, Inspect<'_>, &mut Outlet<'_>) -> R,
    ) -> R {
        let mut made = [const { None }; BURST];
        let mut places = made.iter_mut();
        let inspect = udp.stack().inspect();
        let mut keep = |to: SocketAddr, message: &[u8]| {
            let copy = inspect.memory().alloc_copy(Layer::Transport, message, Kind::Pool);
            if let (Ok(message), Some(place)) = (copy, places.next()) {
                *place = Some((to, message));
            }
        };
        let result = call(&mut self.agent, inspect, &mut Outlet { buffer: self.reply, send: &mut keep });
        for (to, message) in made.into_iter().flatten() {
            // Nobody waits for a trap; an inform is sent again.
            drop(udp.send_to(message, to));
        }
        result
    }
}

/// How many messages one event or turn sends: targets beyond are not told.
const BURST: usize = 16;

/// Of a stack that has no other handlers; an application's own type calls [`SnmpAgent::serve`].
impl Handler for SnmpAgent<'_> {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        self.serve(udp, from, &data);
    }
}
