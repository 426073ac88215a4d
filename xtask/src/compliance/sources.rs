//! Tags in the sources, such as `[RFC 9293 MUST-12]`, `[RFC 1122 §3.3.6]` or `[ARP-1]`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Failure;

/// How the name of a script of the packetdrill language ends.
const SCRIPT: &str = "pkt";

/// A tag, and where it stands.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
pub(super) struct Citation {
    pub(super) tag: String,
    /// Below the folder of the crates.
    pub(super) file: String,
    /// The test that cites it; none in code.
    pub(super) test: Option<String>,
}

/// All tags of all Rust files and scripts below a folder, sorted, each once per code file or test.
///
/// # Errors
///
/// A file could not be read.
pub(super) fn citations(folder: &Path) -> Result<Vec<Citation>, Failure> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    let mut citations = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| explain(&path, &error))?;
        let file = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
        citations.extend(of_file(&file, &text));
    }
    citations.sort();
    citations.dedup();
    Ok(citations)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(|error| explain(folder, &error))? {
        let path = entry.map_err(|error| explain(folder, &error))?.path();
        if path.is_dir() {
            // What tests share shows nothing by itself.
            if path.ends_with("tests/common") {
                continue;
            }
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == SCRIPT) {
            files.push(path);
        }
    }
    Ok(())
}

fn explain(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

fn of_file(file: &str, text: &str) -> Vec<Citation> {
    let name = file.rsplit('/').next().unwrap_or(file);
    if let Some((name, SCRIPT)) = name.split_once('.') {
        return of_script(file, name, text);
    }
    let lines: Vec<&str> = text.lines().collect();
    let first_test = if is_test_file(file) { 0 } else { start_of_tests(&lines) };
    let mut citations = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        for tag in tags(line) {
            let test = (number >= first_test).then(|| function(&lines, number));
            citations.push(Citation { tag, file: file.into(), test });
        }
    }
    citations
}

/// A script is one test; brackets outside of its comments are values.
fn of_script(file: &str, name: &str, text: &str) -> Vec<Citation> {
    let comments = text.lines().filter(|line| line.starts_with("//"));
    let citation = |tag| Citation { tag, file: file.into(), test: Some(name.into()) };
    comments.flat_map(tags).map(citation).collect()
}

/// Whether a whole file consists of tests.
fn is_test_file(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name == "tests.rs" || name.ends_with("_tests.rs") || file.contains("/tests/")
}

/// The line at which the module of tests at the end of a file starts.
fn start_of_tests(lines: &[&str]) -> usize {
    let is_start =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(is_start).unwrap_or(lines.len())
}

/// The function that a comment is about: the one below it, or else the one around it.
fn function(lines: &[&str], number: usize) -> String {
    let is_about_the_next = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let next = number + lines[number..].iter().take_while(is_about_the_next).count();
    let below = lines.get(next).filter(|_| next > number).and_then(|line| function_name(line));
    let around = || lines[..=number].iter().rev().find_map(|line| function_name(line));
    below.or_else(around).unwrap_or_default().into()
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_declaration =
        before.split_whitespace().all(|word| matches!(word, "pub" | "const" | "unsafe" | "async"));
    is_declaration.then(|| after.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next())?
}

/// The tags in the brackets of a line's comment or text. Several may share brackets: `[RFC 768; RFC 826 note]`.
fn tags(line: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for piece in line.split('[').skip(1) {
        // What is left open goes on in the next line.
        let inside = piece.split(']').next().unwrap_or(piece);
        for part in inside.split([',', ';']) {
            tags.extend(tag(part.split(':').next().unwrap_or(part).trim()));
        }
    }
    tags
}

/// The tag that a text is: an id as it stands, or an RFC with at most a clause.
fn tag(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix("RFC ") {
        let mut words = rest.split(' ');
        let number = words.next().filter(|number| number.parse::<u32>().is_ok())?;
        return Some(match words.next() {
            Some(clause) if clause.starts_with('§') || is_id(clause) => format!("RFC {number} {clause}"),
            _ => format!("RFC {number}"),
        });
    }
    is_id(text).then(|| text.into())
}

/// Whether a text looks like the id of a requirement: `1122-IP-4`, `5722/3128`, `ARP-1`, `own-RL`.
fn is_id(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '/');
    let (first, rest) = text.split_once(['-', '/']).unwrap_or((text, ""));
    let known_start = first == "own"
        || first.len() > 1 && first.chars().all(|letter| letter.is_ascii_uppercase())
        || first.len() > 2 && first.chars().all(|letter| letter.is_ascii_digit());
    let rest_begins = rest.starts_with(|letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit());
    text.chars().all(allowed) && known_start && rest_begins
}

#[cfg(test)]
mod tests {
    use super::{Citation, of_file, tags};

    #[test]
    fn tags_stand_in_brackets() {
        let of = |line: &str| tags(line).join(" + ");
        assert_eq!(of("// why [RFC 1122 §3.3.6], and [ARP-1]."), "RFC 1122 §3.3.6 + ARP-1");
        assert_eq!(of("/// [RFC 9293 MUST-12; own-RL, 5722/3128]"), "RFC 9293 MUST-12 + own-RL + 5722/3128");
        assert_eq!(of("// [RFC 1624 §3, eqn. 3] [RFC 1700: 64]"), "RFC 1624 §3 + RFC 1700");
        assert_eq!(of("// [RFC 768 and more"), "RFC 768");
        assert_eq!(of("let x = bytes[0..len - 1]; [a-z] [0-9] [`Error`](x) #[cfg(test)] [A] [12-3]"), "");
    }

    #[test]
    fn code_and_tests_are_told_apart() {
        let text = "\
// [ARP-1]
fn code() {}

#[cfg(test)]
mod tests {
    /// [ARP-2]
    #[test]
    fn above() {}

    #[test]
    fn around() {
        check(); // [ARP-3]
    }
}
";
        let citation = |tag: &str, file: &str, test: Option<&str>| Citation {
            tag: tag.into(),
            file: file.into(),
            test: test.map(Into::into),
        };
        let expected = [("ARP-1", None), ("ARP-2", Some("above")), ("ARP-3", Some("around"))];
        let expected = expected.map(|(tag, test)| citation(tag, "a/src/arp.rs", test));
        assert_eq!(of_file("a/src/arp.rs", text), expected);
        for file in ["a/tests/arp.rs", "a/src/arp/tests.rs", "a/src/arp_tests.rs"] {
            assert_eq!(of_file(file, "// [ARP-1]\nfn name() {}"), [citation("ARP-1", file, Some("name"))]);
        }
        let script = "// It resolves [ARP-1].\n +0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ARP-2], [4]) = 0\n";
        let file = "a/scripts/arp/resolves.pkt";
        assert_eq!(of_file(file, script), [citation("ARP-1", file, Some("resolves"))]);
    }
}
