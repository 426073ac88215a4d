//! The applications at both ends, and what has to be true of each call.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use coracle::{
    Admission, Error, Handler, Kind, Layer, Pbuf, Refused, Shutdown, Stack, Tcp, TcpHandle, TcpState, Trouble,
};

use crate::plan::{BYTES, Dice, PERIOD, SidePlan, Sudden, Then};

/// How a connection ended for one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In good order, by the callback.
    Closed,
    Error(Error),
    /// The application itself ended it, and hears nothing more.
    Own,
}

/// What is known of one end of a connection.
#[derive(Debug)]
pub struct Side {
    pub name: String,
    pub host: usize,
    pub handle: TcpHandle,
    pub plan: SidePlan,
    pub peer: Option<usize>,
    /// One end was made of a cookie once more, after the connection that it was for: what the other end hears is of
    /// both.
    pub ghost: bool,
    /// Where in the bytes our stream begins, and the peer's.
    ours: usize,
    theirs: usize,
    pub written: u64,
    pub acked: u64,
    pub received: u64,
    /// Received, and the window not opened again.
    held: usize,
    refused: u32,
    /// What was refused last is offered again, and maybe more.
    on_offer: usize,
    calls: u32,
    pub opened: bool,
    pub shut: bool,
    pub closed: bool,
    pub deaf: bool,
    pub finished: bool,
    pub end: Option<End>,
}

/// Everything that the applications of a run share.
pub struct World {
    pub dice: Dice,
    pub sides: Vec<Side>,
    /// By client and server: the client's side.
    pub clients: HashMap<(SocketAddr, SocketAddr), usize>,
    /// What the servers do, by the client's side.
    pub server_plans: HashMap<usize, SidePlan>,
    /// SYNs that wait for a decision: the stack and the connection.
    pub waiting: Vec<(usize, TcpHandle)>,
    /// Everybody is to come to an end.
    pub winding_up: bool,
}

pub type Shared = Rc<RefCell<World>>;

/// A listener's application, or a connection's.
pub enum App {
    Door { host: usize, refuse_one_in: u64, delay: bool, cookies: bool, world: Shared },
    Side(usize, Shared),
}

/// Where a stream begins.
fn place_of(client: SocketAddr, server: SocketAddr, from_client: bool) -> usize {
    let mut place =
        usize::from(client.port()) * 977 + usize::from(server.port()) + usize::from(from_client) * 31_337;
    for address in [client, server] {
        if let SocketAddr::V4(address) = address {
            place = place * 131 + usize::from(address.ip().octets()[3]);
        }
    }
    place % PERIOD
}

impl Side {
    pub fn new(
        name: String,
        host: usize,
        handle: TcpHandle,
        plan: SidePlan,
        ends: (SocketAddr, SocketAddr),
        is_client: bool,
    ) -> Self {
        let (client, server) = ends;
        Self {
            name,
            host,
            handle,
            plan,
            peer: None,
            ghost: false,
            ours: place_of(client, server, is_client),
            theirs: place_of(client, server, !is_client),
            written: 0,
            acked: 0,
            received: 0,
            held: 0,
            refused: 0,
            on_offer: 0,
            calls: 0,
            opened: false,
            shut: false,
            closed: false,
            deaf: false,
            finished: false,
            end: None,
        }
    }

    fn next_bytes(&self, len: usize) -> &'static [u8] {
        let at = (self.ours + (self.written % PERIOD as u64) as usize) % PERIOD;
        &BYTES[at..at + len]
    }

    fn check(&self, data: &Pbuf) {
        let mut at = (self.theirs + (self.received % PERIOD as u64) as usize) % PERIOD;
        for piece in data.segments() {
            for piece in piece.chunks(PERIOD) {
                assert!(*piece == BYTES[at..at + piece.len()], "{}: other bytes than were sent", self.name);
                at = (at + piece.len()) % PERIOD;
            }
        }
    }

    /// Whether it may still write.
    fn may_write(&self) -> bool {
        !self.shut && !self.closed && self.end.is_none()
    }
}

/// Makes the options of a connection those of the plan.
pub fn set_up(tcp: &mut Tcp<'_, App>, plan: &SidePlan) {
    tcp.set_nagle(!plan.no_nagle).unwrap();
    tcp.set_keep_alive(plan.keep_alive).unwrap();
    tcp.set_user_timeout(plan.user_timeout).unwrap();
    tcp.set_priority(plan.priority).unwrap();
    tcp.set_poll_interval(Some(plan.poll)).unwrap();
    if let Some(bytes) = plan.receive_buffer {
        tcp.set_receive_buffer(bytes).unwrap();
    }
    if let Some(bytes) = plan.send_buffer {
        tcp.set_send_buffer(bytes).unwrap();
    }
}

/// One side at work: what it knows, and its connection.
pub struct Work<'a, 'b> {
    pub world: &'a mut World,
    pub id: usize,
    pub tcp: &'a mut Tcp<'b, App>,
}

impl Work<'_, '_> {
    fn side(&mut self) -> &mut Side {
        &mut self.world.sides[self.id]
    }

    /// Notes that the connection is gone, if it is.
    fn note_own_end(&mut self) {
        let handle = self.side().handle;
        if self.tcp.stack().tcp(handle).is_err() {
            self.side().end = Some(End::Own);
        }
    }

    pub fn close(&mut self) {
        if self.side().end.is_none() {
            self.side().closed = true;
            self.side().shut = true;
            self.tcp.close().unwrap();
            self.note_own_end();
        }
    }

    pub fn abort(&mut self) {
        if self.side().end.is_none() {
            drop(self.tcp.abort().unwrap());
            self.side().end = Some(End::Own);
        }
    }

    fn shut_down(&mut self, which: Shutdown) {
        if self.side().end.is_some() {
            return;
        }
        match self.tcp.shutdown(which) {
            Ok(()) if which == Shutdown::Receive => {
                self.side().deaf = true;
                self.side().held = 0;
                self.side().on_offer = 0;
                let unread = self.tcp.receive_queued().unwrap();
                self.tcp.recved(unread).unwrap();
            }
            Ok(()) => {
                self.side().shut = true;
                self.side().closed |= which == Shutdown::Both;
                self.note_own_end();
            }
            Err(error) => assert_eq!(error, Error::NotConnected),
        }
    }

    /// Opens the window for what was held back.
    pub fn reopen(&mut self) {
        let held = core::mem::take(&mut self.side().held);
        if held > 0 && self.side().end.is_none() {
            self.tcp.recved(held).unwrap();
        }
    }

    /// One chunk in one of the forms of writing; how much of it was taken.
    fn write(&mut self, len: usize) -> Result<usize, Error> {
        let urgent = self.side().plan.urgent && self.world.dice.one_in(20);
        let bytes = self.side().next_bytes(len);
        if urgent {
            return self.tcp.write_urgent(bytes).map(|()| len);
        }
        let form = self.world.dice.below(9);
        let memory = self.tcp.stack().memory().clone();
        match form {
            0 => self.tcp.write_bytes(bytes)?,
            1 => self.tcp.write_bytes_more(bytes)?,
            2 | 3 => return self.tcp.write_some(bytes),
            4 => self.tcp.write_static(bytes)?,
            5 => self.tcp.write_static_more(bytes)?,
            6 => {
                let mut data = memory.alloc(Layer::Transport, len, Kind::Ram)?;
                data.take(bytes)?;
                self.tcp.write(data)?;
            }
            7 => {
                let mut data = memory.alloc(Layer::Raw, len, Kind::Pool)?;
                data.take(bytes)?;
                self.tcp.write_more(data)?;
            }
            _ => {
                // A piece of something that the application keeps, too.
                let mut data = memory.from_vec(bytes.to_vec()).map_err(|(error, _)| error)?;
                let piece = data.clone();
                self.tcp.write(piece).map_err(|rejected| {
                    assert!(rejected.data.len() == len, "what is refused comes back whole");
                    rejected.error
                })?;
                drop(data.split_off(len / 2));
            }
        }
        Ok(len)
    }

    /// Writes what there is room for, and does what comes after.
    pub fn pump(&mut self) {
        while self.side().may_write() && self.side().written < self.side().plan.total {
            let left = self.side().plan.total - self.side().written;
            let chunk = self.side().plan.chunk;
            let len = self.world.dice.within(1, chunk).min(left);
            match self.write(len as usize) {
                Ok(taken) => {
                    assert!(taken as u64 <= len);
                    self.side().written += taken as u64;
                }
                Err(Error::Memory | Error::WouldBlock) => break,
                Err(error) => panic!("{}: not written: {error}", self.side().name),
            }
        }
        if self.side().plan.output && self.side().end.is_none() {
            self.tcp.output().unwrap();
        }
        if !self.side().opened || !self.side().may_write() || self.side().written < self.side().plan.total {
            return;
        }
        match self.side().plan.then {
            Then::ShutDown => self.shut_down(Shutdown::Send),
            Then::Close => self.close(),
            Then::Abort => self.abort(),
            Then::Wait => {
                if self.side().finished {
                    self.close();
                }
            }
        }
    }

    /// What happens at each callback: the call counts, and something sudden may be due.
    fn enter(&mut self) {
        let side = &mut self.world.sides[self.id];
        assert_eq!(side.end, None, "{}: a callback after the end", side.name);
        side.calls += 1;
        let Some((at, sudden)) = side.plan.sudden else { return };
        if side.calls != at {
            return;
        }
        match sudden {
            Sudden::Close => self.close(),
            Sudden::Abort => self.abort(),
            Sudden::ShutDown(which) => self.shut_down(which),
            Sudden::AbortOther | Sudden::CloseOther => self.strike_other(sudden),
        }
    }

    fn strike_other(&mut self, sudden: Sudden) {
        let host = self.side().host;
        let others: Vec<usize> = (0..self.world.sides.len())
            .filter(|&id| {
                id != self.id && self.world.sides[id].host == host && self.world.sides[id].end.is_none()
            })
            .collect();
        if others.is_empty() {
            return;
        }
        let id = self.world.dice.pick(&others);
        let handle = self.world.sides[id].handle;
        // It may have ended, and be about to hear so.
        if let Ok(mut tcp) = self.tcp.stack().tcp(handle) {
            let mut other = Work { world: self.world, id, tcp: &mut tcp };
            if sudden == Sudden::AbortOther { other.abort() } else { other.close() }
        }
    }

    /// Comes to an end, as everybody is asked to.
    pub fn wind_up(&mut self) {
        self.reopen();
        let written = self.side().written;
        self.side().plan.total = written;
        if !self.side().closed {
            self.close();
        }
    }
}

impl App {
    fn work(&mut self, tcp: &mut Tcp<'_, Self>, work: impl FnOnce(&mut Work<'_, '_>)) {
        let Self::Side(id, world) = self else { panic!("a listener hears of connections only") };
        let mut world = world.borrow_mut();
        let work_with = &mut Work { world: &mut world, id: *id, tcp };
        work_with.enter();
        if work_with.side().end.is_none() {
            work(work_with);
        }
    }

    fn ended(&mut self, end: End) {
        let Self::Side(id, world) = self else { panic!("a listener hears of connections only") };
        let mut world = world.borrow_mut();
        let side = &mut world.sides[*id];
        assert_eq!(side.end, None, "{}: it ends twice", side.name);
        side.end = Some(end);
    }
}

impl Handler for App {
    fn incoming(&mut self, tcp: &mut Tcp<'_, Self>) -> Admission {
        let Self::Door { host, world, .. } = self else { panic!("only a listener is asked") };
        assert_eq!(tcp.state(), TcpState::SynReceived);
        let mut world = world.borrow_mut();
        match world.dice.below(8) {
            0 => Admission::Refuse,
            1 | 2 => {
                world.waiting.push((*host, tcp.handle()));
                Admission::Hold
            }
            _ => Admission::Admit,
        }
    }

    fn accept(&mut self, tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        let Self::Door { host, refuse_one_in, delay, cookies, world } = self else {
            panic!("only a listener accepts")
        };
        let shared = world.clone();
        let mut world = world.borrow_mut();
        let ends = (tcp.remote().unwrap(), tcp.local().unwrap());
        let client = *world.clients.get(&ends).expect("a connection that nobody asked for");
        if *refuse_one_in < u64::MAX && world.dice.one_in(*refuse_one_in) {
            return Err(Error::Aborted);
        }
        let id = world.sides.len();
        let plan = world.server_plans[&client].clone();
        let mut side = Side::new(
            format!("server of {}", world.sides[client].name),
            *host,
            tcp.handle(),
            plan,
            ends,
            false,
        );
        side.opened = true;
        if world.sides[client].peer.is_some() {
            // The reset of the first was lost, and the cookie holds for the client's next segment, too.
            assert!(*cookies, "{} is accepted twice", world.sides[client].name);
            side.ghost = true;
            world.sides[client].ghost = true;
        } else {
            world.sides[client].peer = Some(id);
        }
        side.peer = Some(client);
        set_up(tcp, &side.plan);
        world.sides.push(side);
        if *delay && world.dice.one_in(2) {
            tcp.backlog_delay().unwrap();
        }
        Work { world: &mut world, id, tcp }.pump();
        Ok(Self::Side(id, shared.clone()))
    }

    fn connected(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.work(tcp, |work| {
            assert!(!work.side().opened, "connected twice");
            work.side().opened = true;
            work.pump();
        });
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let mut result = Ok(());
        if let Self::Side(id, world) = self {
            let side = &world.borrow().sides[*id];
            assert!(!side.closed && !side.deaf, "{}: data after it wanted none", side.name);
        }
        self.work(tcp, |work| {
            let Work { world, id, .. } = work;
            let winding_up = world.winding_up;
            let refuse = world.sides[*id].plan.refuse_one_in;
            let refuses = !winding_up && refuse > 0 && !world.dice.one_in(refuse);
            let side = &mut world.sides[*id];
            assert!(!side.finished, "{}: data after the end", side.name);
            assert!(!data.is_empty() && data.len() >= side.on_offer, "{}: some was lost on offer", side.name);
            side.check(&data);
            if side.deaf {
                // Since this very call began.
                side.received += data.len() as u64;
                return;
            }
            if refuses && side.refused < 20 {
                side.refused += 1;
                side.on_offer = data.len();
                result = Err(Refused(data));
                return;
            }
            side.refused = 0;
            side.on_offer = 0;
            side.received += data.len() as u64;
            side.held += data.len();
            let (received, peer) = (side.received, side.peer.filter(|_| !side.ghost));
            if let Some(peer) = peer {
                assert!(received <= world.sides[peer].written, "more received than was written");
            }
            let side = &world.sides[*id];
            if winding_up || side.held > side.plan.hold {
                work.reopen();
            }
            work.pump();
        });
        result
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.work(tcp, |work| {
            let Work { world, id, .. } = work;
            let side = &mut world.sides[*id];
            assert!(!side.finished, "{}: finished twice", side.name);
            assert_eq!(side.on_offer, 0, "{}: finished before what was refused is taken", side.name);
            side.finished = true;
            let (name, received, whole) = (side.name.clone(), side.received, !side.closed && !side.deaf);
            if let Some(peer) = side.peer.filter(|_| !side.ghost) {
                let peer = &world.sides[peer];
                assert!(peer.shut, "{name}: finished, but the peer is not");
                assert!(
                    !whole || received == peer.written,
                    "{name}: {received} of {} bytes came",
                    peer.written
                );
            }
            work.pump();
        });
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, acked: usize) {
        self.work(tcp, |work| {
            let side = work.side();
            side.acked += acked as u64;
            assert!(acked > 0 && side.acked <= side.written, "{}: more acknowledged than written", side.name);
            work.pump();
        });
    }

    fn poll(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.work(tcp, |work| {
            if work.tcp.listener().is_some() && work.world.dice.one_in(3) {
                work.tcp.backlog_accepted().unwrap();
            }
            work.reopen();
            work.pump();
        });
    }

    fn urgent(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.work(tcp, |work| {
            let urgent = work.tcp.urgent_remaining().unwrap();
            assert!(urgent > 0 || work.side().deaf, "{}: nothing is urgent", work.side().name);
        });
    }

    fn trouble(&mut self, tcp: &mut Tcp<'_, Self>, _: Trouble) {
        self.work(tcp, |_| ());
    }

    fn error(&mut self, stack: &mut Stack<Self>, connection: TcpHandle, reason: Error) {
        assert!(stack.tcp(connection).is_err());
        self.ended(End::Error(reason));
    }

    fn closed(&mut self, stack: &mut Stack<Self>, connection: TcpHandle) {
        assert!(stack.tcp(connection).is_err());
        self.ended(End::Closed);
    }
}

/// How long until everything that waits for nothing but time is over: retransmissions that nobody answers, and
/// neighbours that a damaged packet made up.
pub const LONG_ENOUGH: Duration = Duration::from_hours(3);
