//! What a Linux host gives the Coracle TCP/IP stack: interfaces, a clock, randomness, and a place to test.
//!
//! * [`Host`]: a stack and its devices, with the loop that moves packets between them and sleeps in between;
//! * [`Tap`] and [`Tun`]: interfaces that carry Ethernet frames or IP packets between the kernel and this program;
//! * [`Waiter`]: sleeps until a packet, a deadline or another thread asks for attention;
//! * [`Clock`] and [`entropy`]: the time and the seed that the stack wants to be given;
//! * [`Namespace`]: a private network of the kernel's, to try things in, that vanishes without a trace;
//! * [`Ping`]: echo requests from the stack;
//! * [`Relay`]: a bad wire between two interfaces, repeatable from a seed;
//! * [`judge`]: an outside opinion on captures, from tshark;
//! * [`testing`]: how tests treat a machine that lacks what they need.
//!
//! Only the file `sys.rs` contains `unsafe` code.
#![deny(unsafe_code)]
#![cfg(target_os = "linux")]

mod clock;
mod device;
mod entropy;
mod error;
mod host;
pub mod judge;
pub mod namespace;
mod ping;
pub mod relay;
mod sys;
pub mod testing;
mod waiter;

pub use clock::Clock;
pub use device::{Device, Ethernet, Ip, Layer, Tap, Tun};
pub use entropy::entropy;
pub use error::Error;
pub use host::{Host, Nic, PortCounters, Running};
pub use namespace::Namespace;
pub use ping::{Ping, PingEvent};
pub use relay::Relay;
pub use waiter::{Source, Waiter, Waker, Woke};
