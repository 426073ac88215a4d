//! Randomness from the operating system.

use std::io;

/// 32 bytes that nobody can guess, to seed the stack's generators with.
///
/// # Errors
/// The system has no random source, as in a sandbox that forbids the call.
///
/// ```
/// assert_ne!(coracle_host::entropy()?, coracle_host::entropy()?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
