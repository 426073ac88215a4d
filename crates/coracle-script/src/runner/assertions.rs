//! Blocks of assertions: the little of Python that scripts write about a connection's numbers.

/// Why a block is not true, or not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// This assertion does not hold; the values of its names.
    False(String),
    Unknown(String),
}

/// Looks at each statement of a block: `assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd` and the like.
pub(super) fn check(block: &str, value: &dyn Fn(&str) -> Option<f64>) -> Result<(), Objection> {
    let joined = block.replace("\\\n", " ");
    for statement in joined.split(['\n', ';']) {
        let statement = statement.split('#').next().unwrap_or_default().trim();
        if statement.is_empty() {
            continue;
        }
        let Some(condition) = statement.strip_prefix("assert") else {
            return Err(Objection::Unknown(format!("`{statement}` is no assertion")));
        };
        let mut reader = Reader { rest: condition, value, seen: Vec::new() };
        let holds = reader.either()?;
        if !reader.rest.trim_start().is_empty() && !reader.accept(",") {
            return Err(reader.unknown());
        }
        if holds == 0.0 {
            let values: Vec<_> =
                reader.seen.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            return Err(Objection::False(format!("`{statement}` does not hold: {}", values.join(", "))));
        }
    }
    Ok(())
}

/// Names that do not change.
fn constant(name: &str) -> Option<f64> {
    Some(match name {
        "True" | "TCP_CA_Disorder" | "TCPI_OPT_TIMESTAMPS" | "TCP_ESTABLISHED" => 1.0,
        "False" | "TCP_CA_Open" => 0.0,
        "TCP_CA_CWR" | "TCPI_OPT_SACK" | "TCP_SYN_SENT" => 2.0,
        "TCP_CA_Recovery" | "TCP_SYN_RECV" => 3.0,
        "TCP_CA_Loss" | "TCPI_OPT_WSCALE" | "TCP_FIN_WAIT1" => 4.0,
        "TCP_FIN_WAIT2" => 5.0,
        "TCP_TIME_WAIT" => 6.0,
        "TCP_CLOSE" => 7.0,
        "TCPI_OPT_ECN" | "TCP_CLOSE_WAIT" => 8.0,
        "TCP_LAST_ACK" => 9.0,
        "TCP_LISTEN" => 10.0,
        "TCP_CLOSING" => 11.0,
        _ => return None,
    })
}

struct Reader<'a> {
    rest: &'a str,
    value: &'a dyn Fn(&str) -> Option<f64>,
    /// The names that were read, and their values.
    seen: Vec<(&'a str, f64)>,
}

/// What one level of an expression has.
type Value = Result<f64, Objection>;

impl<'a> Reader<'a> {
    fn unknown(&self) -> Objection {
        Objection::Unknown(format!("`{}` is not understood", self.rest.trim()))
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(text);
        if let Some(after) = found {
            self.rest = after;
        }
        found.is_some()
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        self.rest = &rest[end..];
        Some(&rest[..end])
    }

    fn accept_word(&mut self, wanted: &str) -> bool {
        let before = self.rest;
        let found = self.word() == Some(wanted);
        if !found {
            self.rest = before;
        }
        found
    }

    fn either(&mut self) -> Value {
        let mut left = self.both()?;
        while self.accept_word("or") {
            let right = self.both()?;
            left = if left == 0.0 { right } else { left };
        }
        Ok(left)
    }

    fn both(&mut self) -> Value {
        let mut left = self.negated()?;
        while self.accept_word("and") {
            let right = self.negated()?;
            left = if left == 0.0 { left } else { right };
        }
        Ok(left)
    }

    fn negated(&mut self) -> Value {
        if self.accept_word("not") {
            return Ok(f64::from(self.negated()? == 0.0));
        }
        self.compared()
    }

    /// A chain: `a <= b < c` is true when each pair is.
    fn compared(&mut self) -> Value {
        let mut left = self.sum()?;
        let mut holds = None;
        loop {
            let compare: fn(&f64, &f64) -> bool = if self.accept("==") {
                f64::eq
            } else if self.accept("!=") {
                f64::ne
            } else if self.accept("<=") {
                f64::le
            } else if self.accept(">=") {
                f64::ge
            } else if self.accept("<") {
                f64::lt
            } else if self.accept(">") {
                f64::gt
            } else {
                return Ok(holds.map_or(left, f64::from));
            };
            let right = self.sum()?;
            holds = Some(holds.unwrap_or(true) && compare(&left, &right));
            left = right;
        }
    }

    fn sum(&mut self) -> Value {
        let mut left = self.product()?;
        loop {
            if self.accept("+") {
                left += self.product()?;
            } else if self.accept("-") {
                left -= self.product()?;
            } else if self.accept("&") {
                left = f64::from((left as i32) & (self.product()? as i32));
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Value {
        let mut left = self.single()?;
        loop {
            if self.accept("*") {
                left *= self.single()?;
            } else if self.accept("//") {
                left = (left / self.single()?).floor();
            } else if self.accept("/") {
                left /= self.single()?;
            } else if self.accept("%") {
                left %= self.single()?;
            } else {
                return Ok(left);
            }
        }
    }

    fn single(&mut self) -> Value {
        if self.accept("-") {
            return Ok(-self.single()?);
        }
        if self.accept("(") {
            let inner = self.either()?;
            return if self.accept(")") { Ok(inner) } else { Err(self.unknown()) };
        }
        let before = self.rest;
        let Some(word) = self.word() else { return Err(self.unknown()) };
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            // The decimals, if there are any, are a word behind the point.
            let decimals = if self.rest.starts_with('.') {
                self.rest = &self.rest[1..];
                self.word().unwrap_or_default()
            } else {
                ""
            };
            return format!("{word}.{decimals}0")
                .parse()
                .map_err(|_| Objection::Unknown(format!("`{}` is no number", before.trim())));
        }
        if let Some(value) = constant(word) {
            return Ok(value);
        }
        let value =
            (self.value)(word).ok_or_else(|| Objection::Unknown(format!("`{word}` is not known here")))?;
        if !self.seen.iter().any(|&(known, _)| known == word) {
            self.seen.push((word, value));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Objection, check};

    fn value(name: &str) -> Option<f64> {
        match name {
            "tcpi_snd_cwnd" => Some(10.0),
            "tcpi_rtt" => Some(10_500.0),
            _ => None,
        }
    }

    #[test]
    fn what_holds() {
        for block in [
            "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd",
            "\n assert tcpi_snd_cwnd == 10\n assert 9 < tcpi_snd_cwnd <= 10; assert tcpi_rtt / 1000 > 10.4 # about\n",
            "assert tcpi_snd_cwnd == 9 or not tcpi_snd_cwnd != 10",
            "assert (tcpi_snd_cwnd + 2) * 3 - 1 == 35 and -1 < 0",
            "assert tcpi_snd_cwnd // 3 == 3 and tcpi_snd_cwnd % 3 == 1 and tcpi_snd_cwnd & 2",
            "assert TCP_CA_Loss == 4, 'text; and more'.strip()".split(';').next().unwrap_or_default(),
            "assert tcpi_snd_cwnd \\\n == 10",
            "",
        ] {
            assert_eq!(check(block, &value), Ok(()), "{block}");
        }
    }

    #[test]
    fn what_does_not() {
        for block in [
            "assert tcpi_snd_cwnd == 11",
            "assert 10 < tcpi_snd_cwnd < 12",
            "assert tcpi_snd_cwnd == 10; assert tcpi_rtt < 0",
            "assert tcpi_snd_cwnd == 10 and tcpi_rtt == 1",
            "assert not tcpi_snd_cwnd",
        ] {
            assert!(matches!(check(block, &value), Err(Objection::False(_))), "{block}");
        }
        let Err(Objection::False(why)) = check("assert tcpi_snd_cwnd > 11", &value) else {
            panic!("it holds")
        };
        assert_eq!(why, "`assert tcpi_snd_cwnd > 11` does not hold: tcpi_snd_cwnd = 10");
    }

    #[test]
    fn what_is_not_understood() {
        for block in
            ["print(1)", "assert tcpi_no_such == 1", "assert 1 +", "assert (1", "assert 1 2", "assert 0x"]
        {
            assert!(matches!(check(block, &value), Err(Objection::Unknown(_))), "{block}");
        }
    }
}
