//! Models of what threads and interrupts share: the mailbox, the event that ends a sleep, and the counts of buffers.
//!
//! The model checker `loom` runs each model under every order of its threads' accesses to memory, up to a number of
//! changes from one thread to another at unexpected moments, and with every value that a load may return. What is
//! modelled is the code itself: `coracle-buf`, built with loom's atomics. An interrupt is a thread to a model: it may
//! come between any two accesses.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --package coracle-model --target-dir target/loom
//! ```
//!
//! `cargo xtask test models` does the same. Without `--cfg loom` there is nothing in here.

#![forbid(unsafe_code)]
