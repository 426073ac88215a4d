//! TCP [RFC 9293].
#![cfg_attr(not(test), allow(dead_code, reason = "the parts come before the whole"))]

mod challenge;
mod congestion;
mod cookie;
mod ecn;
mod flow;
mod isn;
mod loss;

mod ports;
mod reassembly;
mod rtt;
mod sequence;
mod time_wait;

pub use congestion::{AckSample, CUBIC, CongestionControl, CongestionWindow, Cubic, NEW_RENO, NewReno};
