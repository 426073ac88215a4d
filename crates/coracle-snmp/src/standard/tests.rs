use super::*;
use crate::agent::{Community, READ};
use crate::mib::Tree;
use crate::{Agent, Binding, CommunityMessage, Message, PduKind, Setup, Value, Version};

const COMMUNITIES: &[Community<'_>] = &[Community::new("public", READ)];

#[test]
fn all_parts_are_in_order() {
    assert_eq!(Tree::new(ALL).map(|_| ()), Ok(()));
}

/// `ipForwarding` and the counters of fragments are the stack's own.
#[test]
fn a_router_says_that_it_forwards() {
    let value = |forwarding: bool| {
        let mut arena = coracle::Arena::heap();
        let memory = coracle::Memory::new(&mut arena, coracle::MemoryLimits::default()).unwrap();
        let config = coracle::Config::new([7; 16]);
        let mut stack =
            coracle::Stack::<()>::new(&mut arena, coracle::Limits::SMALL, memory, config).unwrap();
        let netif = stack.netif_add(&coracle::NetifConfig::ip()).unwrap();
        stack.netif(netif).unwrap().set_forwarding(forwarding).unwrap();
        let mut agent = Agent::new(Setup::new(Tree::new(ALL).unwrap()).communities(COMMUNITIES));
        let asked = [Binding::new(&[1, 3, 6, 1, 2, 1, 4, 1, 0], Value::Null)];
        let mut request = [0; 200];
        let numbers = (1, 0, 0);
        let request =
            CommunityMessage::write(&mut request, Version::V2c, b"public", PduKind::Get, numbers, &asked);
        let mut request = request.unwrap().to_vec();
        let mut answer = [0; 500];
        let at = stack.inspect();
        let answer = agent.handle(&mut request, "192.0.2.9:5000".parse().unwrap(), at, &mut answer).unwrap();
        let message = CommunityMessage::read(Message::open(answer).unwrap().body).unwrap();
        let first = message.pdu.bindings.into_iter().next().unwrap();
        std::format!("{:?}", first.value)
    };
    assert_eq!((value(true).as_str(), value(false).as_str()), ("Integer(1)", "Integer(2)"));
}
