//! TCP [RFC 9293].
#![cfg_attr(not(test), allow(dead_code, reason = "the parts come before the whole"))]

mod flow;
mod sequence;
