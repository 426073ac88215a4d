//! The few pieces of JSON [RFC 8259] that the report writes.

use std::fmt::Write;

/// An object, built member by member.
#[derive(Default)]
pub(crate) struct Object(String);

impl Object {
    /// Adds a member whose value is JSON already.
    pub(crate) fn raw(mut self, name: &str, value: &str) -> Self {
        let separator = if self.0.is_empty() { "" } else { "," };
        self.0.push_str(separator);
        self.0.push_str(&string(name));
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    pub(crate) fn string(self, name: &str, value: &str) -> Self {
        self.raw(name, &string(value))
    }

    /// A number; `null` if it is none, for JSON has no infinities.
    pub(crate) fn number(self, name: &str, value: f64) -> Self {
        let text = if value.is_finite() { format!("{value}") } else { "null".into() };
        self.raw(name, &text)
    }

    pub(crate) fn boolean(self, name: &str, value: bool) -> Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// An array of values that are JSON already, one to a line.
pub(crate) fn array(values: &[String]) -> String {
    format!("[\n{}\n]", values.join(",\n"))
}

fn string(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::{Object, array};

    #[test]
    fn objects() {
        let object = Object::default().string("a\"b", "c\\\n").number("n", 1.5).number("x", f64::INFINITY);
        assert_eq!(object.boolean("k", true).finish(), r#"{"a\"b":"c\\\u000a","n":1.5,"x":null,"k":true}"#);
        assert_eq!(array(&["1".into(), "2".into()]), "[\n1,\n2\n]");
    }
}
