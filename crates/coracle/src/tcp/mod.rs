//! TCP [RFC 9293].
#![cfg_attr(not(test), allow(dead_code, reason = "the parts come before the whole"))]

mod congestion;
mod flow;
mod rtt;
mod sequence;

pub use congestion::{AckSample, CUBIC, CongestionControl, CongestionWindow, Cubic, NEW_RENO, NewReno};
