//! ICMP of both versions: echo, errors out (within a rate) and errors in (to whom they concern).

mod errors;
mod input;
#[cfg(feature = "ipv6")]
mod input_v6;
mod rate;
mod sender;

pub(crate) use errors::Complaint;
pub(crate) use rate::RateLimit;
pub(crate) use sender::Sender;
