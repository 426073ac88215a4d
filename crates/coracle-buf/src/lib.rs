//! Memory of the Coracle TCP/IP stack: arenas, pools, a heap and packet buffers.
//!
//! All memory of a stack is given at its start, as an [`Arena`]: static bytes, or the global allocator.
//! [`Table`]s and [`Pool`]s (lwIP's memp) are cut from it, and [`Memory`], from which packet buffers,
//! [`Pbuf`]s, and heap bytes (lwIP's mem) come.
//!
//! | lwIP | here |
//! |---|---|
//! | `pbuf` | [`Pbuf`] |
//! | `pbuf_alloc`, `pbuf_alloced_custom` | [`Memory::alloc`], [`Memory::from_static_mut`] … |
//! | `memp_malloc`, `LWIP_MEMPOOL_DECLARE` | [`Pool`] |
//! | `mem_malloc`, `mem_trim` | [`Memory::heap_alloc`], [`HeapBuf::trim`] |
//! | `err_t` | [`Error`] |
//! | `lwip_stats.mem`, `lwip_stats.memp` | [`Memory::stats`], [`Pool::stats`] |
//!
//! This is the one crate below the drivers and the C API that contains `unsafe` code. Each block says why it
//! is sound, and the tests run under Miri.
//!
//! # Features
//!
//! * `std` (default): `alloc`, and the operating system's mutex as the critical section of the heap.
//! * `alloc`: arenas over the global allocator, buffers of vectors.
//! * `critical-section`: for processors without compare-and-swap, such as the Cortex-M0.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod arena;
mod bitmap;
mod error;
mod heap;
mod kind;
mod mailbox;
mod memory;
mod pbuf;
mod pool;
mod queue;
mod segment;
#[cfg(not(loom))]
mod static_arena;
mod sync;
mod table;
mod wake;
mod work;

pub use arena::Arena;
pub use error::Error;
pub use heap::HeapBuf;
pub use kind::{Kind, Layer, PbufFlags};
pub use mailbox::Mailbox;
pub use memory::{Memory, MemoryLimits, MemoryStats};
pub use pbuf::{Comparison, Pbuf, Pieces, Segments};
pub use pool::{Pool, PoolBox, PoolStats};
pub use queue::{Iter, PbufQueue};
pub use segment::Segment;
#[cfg(not(loom))]
pub use static_arena::StaticArena;
pub use table::Table;
pub use wake::{Event, Wake, waker};
pub use work::{WORK_BYTES, Work};
