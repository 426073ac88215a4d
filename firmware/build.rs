//! Hands the memory map and the linker script of `cortex-m-rt` to the linker.

fn main() {
    // Not here itself: the linker looks into the folder of the workspace before all others, for the boards too.
    println!("cargo::rerun-if-changed=linker/memory.x");
    println!(
        "cargo::rustc-link-search={}/linker",
        std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")
    );
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
