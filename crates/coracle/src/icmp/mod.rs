//! ICMP for IPv4: echo, errors out (within a rate) and errors in (to whom they concern).

mod errors;
mod input;
mod rate;

pub(crate) use input::is_one_host;
pub(crate) use rate::RateLimit;
