//! Wall time, as ratios from interleaved pairs.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::scenario::Work;

/// Pairs of turns; odd, so that there is a middle one.
const PAIRS: usize = 31;
/// How long the reference's turn takes, about.
const TURN: Duration = Duration::from_millis(4);

/// What the clock said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Timing {
    /// Median time of one round.
    pub(crate) nanoseconds: f64,
    /// Median of the ratios to the reference, pair by pair.
    pub(crate) ratio: f64,
    /// Quartiles of the ratios.
    pub(crate) quartiles: [f64; 2],
}

/// Lets `reference` and `work` take turns of equally many rounds.
///
/// # Errors
/// [`Failure::Broken`] from either.
pub(crate) fn compare(reference: &mut dyn Work, work: &mut dyn Work) -> Result<Timing, Failure> {
    let rounds = rounds_per_turn(reference)?;
    work.rounds(rounds)?;
    let (mut times, mut ratios) = ([0.0; PAIRS], [0.0; PAIRS]);
    for (time, ratio) in times.iter_mut().zip(&mut ratios) {
        let base = turn(reference, rounds)?;
        *time = turn(work, rounds)?;
        *ratio = *time / base;
    }
    times.sort_unstable_by(f64::total_cmp);
    ratios.sort_unstable_by(f64::total_cmp);
    Ok(Timing {
        nanoseconds: times[PAIRS / 2] * 1e9,
        ratio: ratios[PAIRS / 2],
        quartiles: [ratios[PAIRS / 4], ratios[PAIRS - 1 - PAIRS / 4]],
    })
}

/// The median time of one round of `work` alone, in nanoseconds.
///
/// # Errors
/// [`Failure::Broken`] from it.
pub(crate) fn alone(work: &mut dyn Work) -> Result<f64, Failure> {
    let rounds = rounds_per_turn(work)?;
    let mut times = [0.0; PAIRS];
    for time in &mut times {
        *time = turn(work, rounds)?;
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[PAIRS / 2] * 1e9)
}

/// Doubles a number of rounds until they take long enough to be timed.
fn rounds_per_turn(work: &mut dyn Work) -> Result<u64, Failure> {
    let mut rounds = 64;
    while turn(work, rounds)? * (rounds as f64) < TURN.as_secs_f64() {
        rounds *= 2;
    }
    Ok(rounds)
}

/// Seconds per round over `rounds` rounds.
fn turn(work: &mut dyn Work, rounds: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    work.rounds(rounds)?;
    Ok(start.elapsed().as_secs_f64() / rounds as f64)
}
