//! What a bad wire does to frames: one direction of a link as a deterministic machine.
//!
//! An [`Impairer`] takes frames in with the time at which they came, and gives them out with the time at which they
//! are due. It knows no clock, no device and no thread, so the same code drives the wires of a simulation in virtual
//! time and a relay between two real interfaces.
//!
//! # Repeatable for ever
//!
//! The same seed, the same [`Impairment`] and the same calls give the same decisions, on every machine and with every
//! later version. Three choices make that so:
//!
//! * the generator is PCG XSL RR 128/64, a published algorithm with published test vectors, started from
//!   state and stream numbers that this module derives itself, so that no change of a random library's seeding or
//!   distributions can reach it. A cipher would serve as well, but its unpredictability is of no use here and it costs
//!   several times as much per frame;
//! * probabilities and times are integers: no floating point takes part in a decision;
//! * every frame pushed uses the same number of random words, whatever is switched on. So changing the loss rate of
//!   a scenario leaves its jitter and its reordering as they were, and two runs can be compared frame by frame.
//!
//! # Example
//!
//! ```
//! use coracle_sim::impair::{Impairer, Impairment, Probability};
//!
//! let wire = Impairment { delay: 20_000, loss: Probability::percent(1), ..Impairment::default() };
//! let mut impairer = Impairer::new(wire, 7);
//! impairer.push(0, vec![0u8; 64]);
//! assert_eq!(impairer.next_deadline(), Some(20_000));
//! assert_eq!(impairer.pop_due(19_999), None);
//! assert_eq!(impairer.pop_due(20_000), Some(vec![0u8; 64]));
//! ```

mod config;
mod counters;
mod frame;
mod impairer;
mod parse;
mod random;

pub use config::{Burst, Impairment, Probability, Rate};
pub use counters::Counters;
pub use frame::Frame;
pub use impairer::Impairer;
pub use parse::ParseError;

#[cfg(test)]
mod tests;
