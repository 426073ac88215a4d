//! Tasks of the Coracle workspace.
fn main() {}
