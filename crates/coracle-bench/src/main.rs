//! Benchmarks of the Coracle TCP/IP stack beside smoltcp and lwIP, in one program.
//!
//! ```text
//! cargo run --release -p coracle-bench -- list                      what there is to measure
//! cargo run --release -p coracle-bench -- run udp-echo-64/lwip 1000 does it, for a profiler around it
//! cargo run --release -p coracle-bench -- report                    measures everything, prints Markdown tables
//! ```
//!
//! # What is counted
//!
//! **Instructions** are the measure that decides, because they repeat. `report` runs this program's `run` command under
//! `valgrind --tool=callgrind` for two counts of rounds and divides the difference of the totals by the difference of
//! the counts: loading, set-up and warm-up are in both totals and cancel out. That needs no macros around the measured
//! code, no runner of a matching version, and it counts a library from `dlopen` like everything else; two runs differ by
//! less than one instruction per round. An instruction count knows no cache miss and no branch mispredicted, so
//! **wall time** is given beside it, as a ratio: the two programs take turns in one process (A B A B …), and the median
//! of the ratios of the pairs is printed.
//!
//! Instruction counts depend on the compiler, on the C library (its `memcpy` picks a version by processor) and on
//! the target's baseline; compare numbers of one report with each other, not with another machine's.
//!
//! # What is compared
//!
//! `udp-echo-64`: a client stack sends 64 bytes of UDP to a server stack over Ethernet in memory, the server's callback
//! (or loop) echoes them, and the client's compares every byte and the sender's address and port. MTU 1500, all
//! checksums computed and verified in software (a test of each stack flips bits to see that they are), ARP resolved
//! beforehand, no fragments, one thread. Everything is counted: both stacks, both applications, the wire, and the
//! harness, whose own share the row `harness` shows. `…-1000` has 1,000 sockets open on the server and always talks to
//! the one in the middle; `…-1000-spread` talks to all of them in turn, so that caching the last one hides no search.
//!
//! Every round is checked, and so are the number of datagrams that the server saw and of frames that crossed the wire
//! (exactly two per round). Anything else stops the program: a broken exchange has no speed.
//!
//! `tcp-bulk`: a stream from client to server over one connection; a round is 1,460 bytes. The server compares every byte
//! of the warm-up, and the first of each piece later; the stacks check all sums. `…-beside-N` has N more connections that
//! are idle. `tcp-ping-pong-64`: 64 bytes there and back, every byte compared. `tcp-open-close`: connect, accept, close,
//! close, and the end of TIME-WAIT. Buffers of 65,535 bytes for all, which is lwIP's window; else each stack's defaults,
//! which are timestamps and SACK for Coracle and neither for the others. Coracle sends static bytes from where they
//! lie; lwIP is asked to, but Debian's build copies them; smoltcp's sockets copy. smoltcp and lwIP acknowledge as they are
//! driven: `Interface::poll` takes all frames that wait before it answers. 100,000 connections are too many for both,
//! as they look through all for each new one.
//!
//! Choices, each in favour of the other side where there was one to make:
//!
//! * **Coracle**: default limits and configuration. The wire copies a frame once, into a pool buffer of the receiver's, as
//!   a driver would fill one; the client allocates a pool buffer for each request and copies the payload in; the
//!   server's callback hands the received buffer to `send_to`, so the echo leaves from where it arrived. `poll` is not
//!   called in the round, as nothing is due.
//! * **smoltcp**: newest release, features `std`, `medium-ethernet`, `proto-ipv4`, `socket-udp`, `socket-tcp` and nothing
//!   else: with its default features (IPv6, fragments, DNS, …) a round takes two thirds more, and with 1,000 sockets
//!   two and a half times as much. Its frames live in a fixed ring of slots: sender and receiver work in the same bytes,
//!   so the wire costs it neither a copy nor an allocation (its own `Loopback` device allocates a `Vec` per frame). The
//!   application goes straight to the socket that has data, as a waker would tell it, and does not ask `poll_at` in
//!   between. Row `smoltcp` calls `Interface::poll`, as its documentation and its examples do; row `smoltcp-steps` calls only
//!   `poll_ingress_single` and `poll_egress`, each exactly when there is something to do, which is the least work that
//!   its interface permits. A socket of smoltcp copies in and out: the server uses `recv_slice` and `send_slice`, the
//!   client `recv` in place.
//! * **lwIP**: `liblwip.so.0` as Debian builds it (2.1); two copies loaded, so two stacks. Raw API; the server's callback
//!   hands the received pbuf to `udp_sendto`, so lwIP echoes without a copy. The wire copies a frame once, into a fresh
//!   `PBUF_RAM` of the receiver (its `PBUF_POOL` cannot hold a full frame in that build). `sys_check_timeouts` is not
//!   called in the round. That build has assertions, IPv6 and threads compiled in, which cannot be turned off; a mutex
//!   around every allocation and every reference count alone takes a tenth of a round. An lwIP configured for one
//!   task without an operating system takes less.
//! * **checksums**: the function that the stack itself uses, over 1,460, 72 and 20 bytes at an aligned address, compared
//!   with the right sum each time; `memcpy` copies as many bytes.
#![forbid(unsafe_code)]
#![allow(clippy::cast_precision_loss, reason = "counts and times are far below 2^53")]

mod budget;
mod checksum;
mod count;
mod failure;
mod json;
mod report;
mod scenario;
mod stacks;
mod tcp;
mod timing;
mod udp_echo;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::report::Options;

const USAGE: &str = "\
usage: coracle-bench list
       coracle-bench run SCENARIO/STACK COUNT
       coracle-bench report [--check] [--json FILE] [--no-time] [PREFIX]

  list      names of all measurements
  run       does COUNT rounds of one of them, checked, and prints nothing else
  report    counts instructions and compares times, and prints Markdown tables
    --check     fails if Coracle exceeds a budget
    --json      also writes every number to FILE
    --no-time   leaves the wall times out
    PREFIX      only measurements whose name starts with it";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["list"] => {
            for measurement in scenario::MEASUREMENTS {
                println!("{}", measurement.name());
            }
            Ok(())
        }
        ["run", name, count] => run(name, count),
        ["report", ref options @ ..] => Options::parse(options).and_then(|options| report::report(&options)),
        _ => Err(Failure::Usage(USAGE.into())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn run(name: &str, count: &str) -> Result<(), Failure> {
    let count = count.parse().map_err(|_| Failure::Usage(format!("not a count: {count}")))?;
    let measurement =
        scenario::find(name).ok_or_else(|| Failure::Usage(format!("no measurement {name}; see `list`")))?;
    (measurement.build)()?.rounds(count)
}
