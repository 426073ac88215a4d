//! The coracle program: the stack on a TAP interface
fn main() {}
