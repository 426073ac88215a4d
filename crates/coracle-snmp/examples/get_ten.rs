//! Answers a GET of ten variables so many times: for counting instructions, as in
//! `valgrind --tool=callgrind target/release/examples/get_ten 1000`.

use coracle_snmp::agent::{Agent, Community, READ};
use coracle_snmp::mib::Tree;
use coracle_snmp::{Binding, CommunityMessage, PduKind, Setup, Value, Version, standard};

fn main() {
    let times: u64 = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(1000);
    let communities = [Community::new("public", READ)];
    let tree = Tree::new(standard::ALL).expect("the standard parts are in order");
    let mut agent = Agent::new(Setup::new(tree).communities(&communities));
    let names: Vec<[u32; 9]> =
        [1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map(|arc| [1, 3, 6, 1, 2, 1, 11, arc, 0]).to_vec();
    let bindings: Vec<_> = names.iter().map(|name| Binding::new(name, Value::Null)).collect();
    let mut out = [0; 484];
    let request =
        CommunityMessage::write(&mut out, Version::V2c, b"public", PduKind::Get, (1, 0, 0), &bindings)
            .expect("it fits")
            .to_vec();
    let (mut message, mut reply) = (request.clone(), [0; 1472]);
    let mut bytes = 0;
    for round in 0..times {
        message.copy_from_slice(&request);
        let from = ([192, 0, 2, 1], 1000).into();
        let answer = agent.handle(&mut message, from, coracle::Instant::from_millis(round), &mut reply);
        bytes += answer.map_or(0, <[u8]>::len);
    }
    println!("{times} answers, {bytes} bytes");
}
