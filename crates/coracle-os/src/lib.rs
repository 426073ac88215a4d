//! The OS abstraction layer of the Coracle TCP/IP stack.
//!
//! A [`Stack`](coracle::Stack) belongs to one context, the *core*, and knows no clock, no device and no thread. This crate
//! is what stands between it and the machine:
//!
//! * [`Port`]: what a machine provides — a clock, entropy, and sleep that a deadline or a call ends. [`Threads`] is the one
//!   for threads of an operating system (feature `std`); [`BareMetal`] makes one of a [`Board`] without any.
//! * [`Driver`]: what a network device does. It gives and takes buffers, so that nothing is copied on the way.
//! * [`Core`]: a stack, a port and drivers, and the loop that moves packets between them and sleeps in between.
//! * [`Remote`]: a handle for other threads and for interrupts, to have things done on the core and to hand frames in.
//!
//! lwIP's counterparts are `sys_arch.h`, `netif->linkoutput`, and `tcpip.h`.
//!
//! # The core is a borrow
//!
//! The raw API takes `&mut Stack`, and the stack is inside the core; so the compiler refuses what lwIP asks its users not
//! to do. A remote has no way to the stack:
//!
//! ```compile_fail,E0599
//! fn elsewhere<H: coracle::Handler + 'static, W: coracle_os::Wake>(remote: &coracle_os::Remote<coracle::Stack<H>, W>) {
//!     remote.stack().udp_new(todo!());
//! }
//! ```
//!
//! A thread cannot use the stack while the core does:
//!
//! ```compile_fail,E0499
//! fn two(stack: &mut coracle::Stack<()>) {
//!     std::thread::scope(|scope| {
//!         scope.spawn(|| stack.poll(coracle::Instant::ZERO));
//!         scope.spawn(|| stack.poll(coracle::Instant::ZERO));
//!     });
//! }
//! ```
//!
//! A callback cannot keep the connection that it was called for, to use it later from another context:
//!
//! ```compile_fail
//! use std::sync::mpsc::Sender;
//! struct App(Sender<coracle::Tcp<'static, App>>);
//! impl coracle::Handler for App {
//!     fn finished(&mut self, tcp: &mut coracle::Tcp<'_, Self>) {
//!         self.0.send(tcp).unwrap();
//!     }
//! }
//! ```
//!
//! What is posted may carry along only what may go to another thread, and is owned:
//!
//! ```compile_fail,E0277
//! fn post<W: coracle_os::Wake>(remote: &coracle_os::Remote<coracle::Stack<()>, W>) {
//!     let mine = std::rc::Rc::new(1);
//!     remote.try_post(move |_| drop(mine)).ok();
//! }
//! ```
//!
//! ```compile_fail,E0597
//! fn post<W: coracle_os::Wake>(remote: &coracle_os::Remote<coracle::Stack<()>, W>) {
//!     let mine = 1;
//!     let borrowed = &mine;
//!     remote.try_post(move |_| assert_eq!(*borrowed, 1)).ok();
//! }
//! ```
//!
//! # Features
//!
//! * `std` (default): [`Threads`], [`Remote::post`] and [`Remote::call`], which wait.
//! * `alloc`: boxed drivers; posted closures may carry along more than [`WORK_BYTES`](coracle::buf::WORK_BYTES).

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bare;
mod core;
mod driver;
mod link;
mod port;
mod remote;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "std")]
mod waiting;

pub use crate::core::{Core, CoreLimits};
pub use bare::{BareMetal, Board};
pub use coracle::buf::{Event, Wake, waker};
pub use driver::{ByStack, Driver, Properties, checksums, copy_frame};
pub use link::{Link, LinkCounters};
pub use port::{Port, seed};
pub use remote::{Inbox, NotPosted, Owner, Remote};
#[cfg(feature = "std")]
pub use threads::{ThreadWaker, Threads};

/// The examples of the guide to porting compile.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../../../docs/porting.md")]
struct Porting;
