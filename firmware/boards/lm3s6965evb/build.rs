//! Hands the memory map and the linker script of `cortex-m-rt` to the linker.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for file in ["memory.x", "device.x"] {
        println!("cargo::rerun-if-changed={file}");
        fs::copy(file, Path::new(&out).join(file)).expect("there is room for it");
    }
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
