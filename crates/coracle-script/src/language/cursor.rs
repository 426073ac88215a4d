//! The characters of a script, with the line that is being read.

use super::ParseError;

/// Reads a script from front to back. What a word is depends on where it stands, so there are no tokens.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn error(&self, why: impl Into<String>) -> ParseError {
        ParseError { line: self.line, why: why.into() }
    }

    /// "expected …, found …".
    pub(super) fn expected(&self, what: &str) -> ParseError {
        let line = self.rest().lines().next().unwrap_or_default();
        let near: String = line.chars().take(24).collect();
        let found = if self.rest().is_empty() { "the end of the script".into() } else { format!("`{near}`") };
        self.error(format!("expected {what}, found {found}"))
    }

    pub(super) fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.text[self.at..self.at + bytes];
        self.line += taken.matches('\n').count() as u32;
        self.at += bytes;
        taken
    }

    /// Passes over white space and comments.
    pub(super) fn skip_space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_start().len();
            if space > 0 {
                self.take(space);
            } else if rest.starts_with("//") {
                self.take(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let end = rest.find("*/").ok_or_else(|| self.error("a comment that does not end"))?;
                self.take(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// Takes a piece of text if it is next, behind any space.
    pub(super) fn accept(&mut self, text: &str) -> Result<bool, ParseError> {
        self.skip_space()?;
        let found = self.rest().starts_with(text);
        if found {
            self.take(text.len());
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), ParseError> {
        if self.accept(text)? { Ok(()) } else { Err(self.expected(&format!("`{text}`"))) }
    }

    /// Takes a word if exactly this one is next.
    pub(super) fn accept_word(&mut self, word: &str) -> Result<bool, ParseError> {
        self.skip_space()?;
        let found = self.peek_word() == word;
        if found {
            self.take(word.len());
        }
        Ok(found)
    }

    /// The letters, digits and underscores that come next.
    pub(super) fn peek_word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    }

    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, ParseError> {
        self.skip_space()?;
        let word = self.peek_word();
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected(what));
        }
        Ok(self.take(word.len()))
    }

    /// Everything up to `end`, which is taken too.
    pub(super) fn until(&mut self, end: &str) -> Result<&'a str, ParseError> {
        let found =
            self.rest().find(end).ok_or_else(|| self.error(format!("`{end}` is missing behind this")))?;
        let inside = self.take(found);
        self.take(end.len());
        Ok(inside)
    }

    /// A whole number: decimal, or hexadecimal behind `0x`.
    pub(super) fn number(&mut self, what: &str) -> Result<u64, ParseError> {
        self.skip_space()?;
        let word = self.peek_word();
        let parsed = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        let number = parsed.map_err(|_| self.expected(what))?;
        self.take(word.len());
        Ok(number)
    }

    /// A whole number that fits.
    pub(super) fn fitting<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, ParseError> {
        let number = self.number(what)?;
        T::try_from(number).map_err(|_| self.error(format!("{number} is too large for {what}")))
    }

    /// Seconds with up to six decimals, in microseconds.
    pub(super) fn seconds(&mut self) -> Result<u64, ParseError> {
        self.skip_space()?;
        let rest = self.rest();
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let whole = &rest[..digits(rest)];
        let behind = &rest[whole.len()..];
        let fraction = behind.strip_prefix('.').map_or("", |text| &text[..digits(text)]);
        if whole.is_empty() && fraction.is_empty() {
            return Err(self.expected("a time in seconds"));
        }
        let seconds: u64 = if whole.is_empty() { Ok(0) } else { whole.parse() }
            .ok()
            .filter(|&seconds| seconds <= 1_000_000_000)
            .ok_or_else(|| self.error("a time beyond thirty years"))?;
        let micros = fraction
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(6)
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.take(whole.len() + if fraction.is_empty() { 0 } else { 1 + fraction.len() });
        Ok(seconds * 1_000_000 + micros)
    }
}
