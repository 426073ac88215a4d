//! Linux's own programs as TCP peers of the stack: socat as a source, a sink, an echo and its client.

mod peer;

use coracle_host::testing::or_skip;
use peer::tcp::{Event, LONG, Plan, Then, stream_bytes};
use peer::{LINUX, Peer, tap};
use std::path::PathBuf;

const BYTES: usize = 1_000_000;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn stream(number: usize) -> Vec<u8> {
    (0..BYTES).step_by(1_000).flat_map(|at| stream_bytes(number, at as u64, 1_000).to_vec()).collect()
}

fn socat(peer: &Peer, words: &[&str]) -> coracle_host::namespace::Command {
    peer.namespace.command("socat").args(words).timeout(LONG)
}

#[test]
fn socat_sends_and_takes() {
    let Some(peer) = tap("tools_client") else { return };
    let (_, events) = peer.serve(80, Plan { expect: Some(2), keep: false, ..Plan::QUIET });
    let sent = socat(&peer, &["-u", "-", "TCP:192.0.2.2:80"]).input(stream(2)).run();
    or_skip(sent).expect("socat is part of the test machine");
    events.until(&Event::Finished(BYTES as u64));
    events.until(&Event::Closed);

    let (_, events) = peer.serve(81, Plan { send: (1, BYTES as u64), then: Then::Close, ..Plan::QUIET });
    let path = file("socat_took");
    socat(&peer, &["-u", "TCP:192.0.2.2:81", &format!("CREATE:{}", path.display())]).run().unwrap();
    assert!(std::fs::read(&path).unwrap() == stream(1), "every byte is as it was sent");
    std::fs::remove_file(path).unwrap();
    events.until(&Event::Closed);
    peer.all_over();
    peer.finish();
}

#[test]
fn socat_serves() {
    let Some(peer) = tap("tools_server") else { return };
    let echo = socat(&peer, &["-d", "-d", "TCP-LISTEN:7,reuseaddr", "EXEC:cat"]).start();
    let echo = or_skip(echo).expect("socat is part of the test machine");
    assert!(echo.wait_for_text("listening on", LONG));
    let (_, events) = peer.dial((LINUX, 7).into(), Plan::exchange(3, BYTES as u64, 3));
    events.until(&Event::Finished(BYTES as u64));
    events.until(&Event::Closed);
    assert!(echo.wait().unwrap().success);
    peer.all_over();
    peer.finish();
}
