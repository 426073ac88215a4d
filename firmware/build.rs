//! Hands the memory map and the linker script of `cortex-m-rt` to the linker.

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={}", std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
