//! How much flash and memory the bare-metal images take, and what takes it.

mod image;
mod owner;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use image::{Image, Place};

use crate::process::{Failure, Program, cargo, target_directory};

const TARGET: &str = "thumbv7em-none-eabihf";

/// What every image needs.
const EMPTY: &str = "empty";

/// An image, and the bytes of flash that it may take beyond the empty one. All of TCP is in each, whether it is used or
/// not: what is decided at run time keeps nothing out.
const IMAGES: [(&str, u64); 3] = [("udp_echo", 112 * 1024), ("tcp_echo", 110 * 1024), ("snmp", 144 * 1024)];

/// A cargo command for the images.
pub(crate) fn firmware(command: &str) -> Program {
    cargo([command, "--quiet", "--release", "--target", TARGET, "--target-dir"])
        .args([directory()])
        .within("firmware")
}

/// Builds the images and prints their sizes, with this many of their largest functions.
///
/// # Errors
///
/// An image could not be built or read, or takes more flash than it may.
pub(crate) fn run(functions: usize) -> Result<(), Failure> {
    firmware("build").run()?;
    let empty = read(EMPTY)?;
    let mut exceeded = Vec::new();
    for (name, limit) in IMAGES {
        let image = read(name)?;
        let own = image.bytes(Place::is_flash).saturating_sub(empty.bytes(Place::is_flash));
        print!("{}", render(name, &image, own, functions));
        println!("  of {limit} bytes of flash that it may take beyond the empty image: {own}\n");
        if own > limit {
            exceeded.push(format!("{name} takes {own} bytes of flash of {limit}"));
        }
    }
    if exceeded.is_empty() { Ok(()) } else { Err(Failure::new(exceeded.join("; "))) }
}

fn directory() -> PathBuf {
    target_directory().join("firmware")
}

/// Prints what the image of a board takes.
///
/// # Errors
///
/// It could not be read.
pub(crate) fn print_board(name: &str, target: &str) -> Result<(), Failure> {
    let image = read_for(name, target)?;
    // The runtime of RISC-V has a section for what is left to the stack.
    let stack = image.sections.iter().find(|section| section.name == ".stack").map_or(0, |stack| stack.bytes);
    let (flash, memory) = (image.bytes(Place::is_flash), image.bytes(Place::is_memory).saturating_sub(stack));
    println!("{name} for {target}: {flash} bytes of flash, {memory} of static memory");
    Ok(())
}

fn read(name: &str) -> Result<Image, Failure> {
    read_for(name, TARGET)
}

fn read_for(name: &str, target: &str) -> Result<Image, Failure> {
    let file = directory().join(target).join("release").join(name);
    let explain = |error: String| Failure::new(format!("{}: {error}", file.display()));
    let bytes = fs::read(&file).map_err(|error| explain(error.to_string()))?;
    Image::parse(&bytes).map_err(|error| explain(error.to_string()))
}

fn render(name: &str, image: &Image, own: u64, functions: usize) -> String {
    let (flash, memory) = (image.bytes(Place::is_flash), image.bytes(Place::is_memory));
    let mut lines = vec![format!(
        "{name} for {TARGET}: {flash} bytes of flash ({own} more than the empty image), {memory} of static memory"
    )];
    let sections = image.sections.iter().filter(|section| section.bytes > 0);
    lines.extend(
        sections.map(|section| format!("{:>8}  {:<16} {}", section.bytes, section.name, section.place)),
    );
    lines.push("  flash by crate:".into());
    let mut crates = BTreeMap::<&str, u64>::new();
    for symbol in image.flash_symbols() {
        *crates.entry(owner::of(&symbol.name)).or_default() += symbol.bytes;
    }
    let named: u64 = crates.values().sum();
    crates.insert("(no symbol)", flash.saturating_sub(named));
    let mut crates: Vec<_> = crates.into_iter().collect();
    crates.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    lines.extend(crates.iter().map(|(owner, bytes)| format!("{bytes:>8}  {owner}")));
    if functions > 0 {
        lines.push("  largest in flash:".into());
    }
    lines.extend(image.flash_symbols().take(functions).map(|it| format!("{:>8}  {}", it.bytes, it.name)));
    if let Some(largest) = image.symbols.iter().find(|symbol| symbol.place.is_memory()) {
        lines.push(format!("  largest in memory: {} with {} bytes", largest.name, largest.bytes));
    }
    lines.join("\n") + "\n"
}
