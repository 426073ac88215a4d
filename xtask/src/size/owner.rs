//! Which crate a symbol comes from.

/// Symbols that have no Rust name: the start of the program, memory functions, arithmetic.
const RUNTIME: &str = "(runtime)";

/// The crate of a demangled symbol: that of its function, or of the type whose trait it implements.
pub(super) fn of(symbol: &str) -> &str {
    let starts_name = |character: char| character.is_alphanumeric() || character == '_';
    let mut rest = symbol;
    loop {
        rest = rest.trim_start_matches(|character| !starts_name(character));
        let (name, after) =
            rest.split_at(rest.find(|character| !starts_name(character)).unwrap_or(rest.len()));
        match name {
            "" => return RUNTIME,
            "mut" | "const" | "dyn" | "impl" => rest = after,
            _ if after.starts_with("::") => return name,
            // A built-in type, such as `u8`: core's, unless the trait says otherwise.
            _ => match after.split_once(" as ") {
                Some((_, after)) => rest = after,
                None => return RUNTIME,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_crate_is_that_of_the_function_or_the_type() {
        for (symbol, owner) in [
            ("coracle::api::stack::Stack<H>::dispatch", "coracle"),
            ("coracle::ip::output::<impl coracle::engine::Engine>::ipv4_send", "coracle"),
            ("<siphasher::sip::Sip24Rounds as siphasher::sip::Sip>::c_rounds", "siphasher"),
            ("<&mut coracle_buf::pbuf::Pbuf as core::fmt::Debug>::fmt", "coracle_buf"),
            ("<u8 as core::fmt::Debug>::fmt", "core"),
            ("<[u8; 4] as zerocopy::FromBytes>::x", "zerocopy"),
            ("__aeabi_memcpy4", "(runtime)"),
            ("main", "(runtime)"),
            ("", "(runtime)"),
        ] {
            assert_eq!(of(symbol), owner, "{symbol}");
        }
    }
}
