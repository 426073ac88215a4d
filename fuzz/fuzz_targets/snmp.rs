//! Messages to an SNMP agent that lets anybody do anything: whatever comes, it drops it and counts why, or answers with a
//! message that is one.
#![no_main]

use coracle::{Arena, Config, Instant, Limits, MacAddr, Memory, MemoryLimits, NetifConfig, Stack};
use coracle_snmp::agent::{
    Access, Agent, Community, Counter, Engine, Family, Grant, SecurityLevel, SecurityModel, Storage,
};
use coracle_snmp::mib::Tree;
use coracle_snmp::v3::{EngineId, FLAG_PRIV, Header, Security, User};
use coracle_snmp::{CommunityMessage, Message, PduKind, Setup, standard};
use libfuzzer_sys::fuzz_target;

struct Once;

impl Storage for Once {
    fn boots(&mut self) -> u32 {
        0
    }

    fn store_boots(&mut self, _boots: u32) {}
}

const GRANTS: &[Grant<'_>] = &[Grant::write("all", SecurityModel::Any, SecurityLevel::NoAuthNoPriv, "all")];
const FAMILIES: &[Family<'_>] =
    &[Family::included("all", &[1]), Family::excluded("all", &[1, 3, 6, 1, 2, 1, 7])];
const COMMUNITIES: &[Community<'_>] = &[Community::new("public", "all")];

fuzz_target!(|data: &[u8]| {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let mut stack = Stack::<()>::new(&mut arena, Limits::default(), memory, Config::new([7; 16])).unwrap();
    stack.netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2))).unwrap();

    let id = EngineId::new(b"fuzz!").unwrap();
    let users = [User::new("u", "all")];
    let mut setup = Setup::new(Tree::new(standard::ALL).unwrap()).communities(COMMUNITIES);
    setup.access = Access { grants: GRANTS, families: FAMILIES };
    let mut agent = Agent::new(setup).with_engine(Engine::start(id, &users, &mut Once, 0));
    let from = "192.0.2.1:1000".parse().unwrap();
    // Twice, as the first may change something.
    for size in [484, 1472] {
        stack.poll(Instant::from_millis(size));
        let (mut request, mut buffer) = (data.to_vec(), vec![0; size as usize]);
        let before = agent.state().counts.get(Counter::OutPackets);
        let answer = agent.handle(&mut request, from, stack.inspect(), &mut buffer);
        let Some(answer) = answer else {
            assert_eq!(agent.state().counts.get(Counter::OutPackets), before);
            continue;
        };
        let mut message = Message::open(answer).unwrap();
        if message.version == 3 {
            let header = Header::read(&mut message.body).unwrap();
            assert_eq!(header.flags & FLAG_PRIV, 0);
            let security = Security::read(answer, message.body, false).unwrap();
            let scoped = security.scoped(answer, false).unwrap();
            assert!(matches!(scoped.pdu.kind, PduKind::Response | PduKind::Report));
        } else {
            let message = CommunityMessage::read(message.body).unwrap();
            assert_eq!((message.community, message.pdu.kind), (&b"public"[..], PduKind::Response));
        }
    }
});
