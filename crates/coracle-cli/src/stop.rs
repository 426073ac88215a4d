//! Ctrl-C.

use crate::Failure;
use coracle_host::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has asked to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Takes over Ctrl-C and a request to terminate; either also ends the sleep that the waker is for.
    pub(crate) fn on_signal(waker: Waker) -> Result<Self, Failure> {
        let stop = Self::default();
        let asked = stop.clone();
        ctrlc::set_handler(move || {
            asked.0.store(true, Ordering::Relaxed);
            waker.wake();
        })?;
        Ok(stop)
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
