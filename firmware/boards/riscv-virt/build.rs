//! Hands the memory map and the linker script of `riscv-rt` to the linker.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=memory.x");
    fs::copy("memory.x", Path::new(&out).join("memory.x")).expect("there is room for it");
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rustc-link-arg-bins=-Tmemory.x");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
