//! What a machine provides.

use coracle::{Error, Instant};

use crate::Wake;

/// What a machine provides: lwIP's `sys_arch.h`, without semaphores, mutexes and mailboxes, as nothing blocks.
///
/// The lock against interrupts is not in here: it is the implementation of the `critical-section` crate that the program
/// links, which the heap uses, and atomics on processors without compare-and-swap.
pub trait Port {
    /// Ends [`sleep`](Self::sleep) from other threads and from interrupts.
    type Waker: Wake + Clone + Send + Sync + 'static;

    /// The time since some start, which never runs backwards. lwIP: `sys_now`.
    fn now(&mut self) -> Instant;

    /// Fills `bytes` from a source that nobody can guess. lwIP: `LWIP_RAND`.
    ///
    /// # Errors
    ///
    /// Any, when the source fails.
    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error>;

    /// Sleeps until `until` has come (for ever without one) or a waker has called, also before this call. May return
    /// earlier. lwIP: `sys_arch_mbox_fetch` with a timeout.
    fn sleep(&mut self, until: Option<Instant>);

    /// A handle that ends the sleep.
    fn waker(&self) -> Self::Waker;
}

impl<P: Port + ?Sized> Port for &mut P {
    type Waker = P::Waker;

    fn now(&mut self) -> Instant {
        (**self).now()
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        (**self).entropy(bytes)
    }

    fn sleep(&mut self, until: Option<Instant>) {
        (**self).sleep(until);
    }

    fn waker(&self) -> Self::Waker {
        (**self).waker()
    }
}

/// The seed of a stack ([`coracle::Config::new`]) from a port's source of entropy.
///
/// A source that is broken (never started, stuck, all ones) gives bytes that an outsider can guess, and nothing would
/// show it; so two blocks are drawn and looked at, as start-up tests of generators do [NIST SP 800-90B §4.4]. This finds
/// a source that stands still, and not one that is merely weak.
///
/// # Errors
///
/// The source's own; [`Error::Value`] for two equal blocks, and for a block in which one byte comes more than four times.
///
/// ```
/// let seed = coracle_os::seed(&mut coracle_os::Threads::new())?;
/// let config = coracle::Config::new(seed);
/// # Ok::<(), coracle::Error>(())
/// ```
pub fn seed(port: &mut impl Port) -> Result<[u8; 16], Error> {
    let mut blocks = [[0; 16]; 2];
    for block in &mut blocks {
        port.entropy(block)?;
    }
    let [seed, other] = blocks;
    // In 16 random bytes, one comes five times in one of two million draws.
    let often = |block: &[u8; 16], byte: u8| block.iter().map(|it| u8::from(*it == byte)).sum::<u8>() > 4;
    let stuck = |block: &[u8; 16]| block.iter().any(|byte| often(block, *byte));
    if seed == other || stuck(&seed) || stuck(&other) { Err(Error::Value) } else { Ok(seed) }
}
