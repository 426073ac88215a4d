//! The frame of a script: its head, and events with their times.

use super::ParseError;
use super::ast::{Action, Event, Script, Setting, When};
use super::cursor::Cursor;
use super::{calls, packets};

pub(super) fn parse(text: &str) -> Result<Script, ParseError> {
    let mut script = Script { directives: directives(text)?, ..Script::default() };
    let mut cursor = Cursor::new(text);
    loop {
        cursor.skip_space()?;
        let line = cursor.line();
        match cursor.peek() {
            None => return Ok(script),
            Some('-') if script.events.is_empty() => script.options.push(option(&mut cursor)?),
            Some('`') if script.events.is_empty() => script.commands.push((line, command(&mut cursor)?)),
            Some('`') => {
                let action = Action::Command(command(&mut cursor)?);
                script.events.push(Event { line, when: When::Relative(0), action });
            }
            Some(_) => script.events.push(event(&mut cursor)?),
        }
    }
}

/// The settings in comments such as `// coracle: sack=off window=8192`.
fn directives(text: &str) -> Result<Vec<Setting>, ParseError> {
    let mut settings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(rest) = line.trim().strip_prefix("// coracle:") else { continue };
        let line = number as u32 + 1;
        for word in rest.split_whitespace() {
            settings.push(super::setting(line, word)?);
        }
    }
    Ok(settings)
}

/// `--name=value`, or `--name` alone.
fn option(cursor: &mut Cursor<'_>) -> Result<Setting, ParseError> {
    let line = cursor.line();
    cursor.expect("--")?;
    let name = cursor.word("the name of an option")?.to_owned();
    let mut value = String::new();
    if cursor.rest().starts_with('=') {
        cursor.take(1);
        let rest = cursor.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        cursor.take(end).trim_matches('"').clone_into(&mut value);
    }
    Ok(Setting { line, name, value })
}

fn command(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    cursor.expect("`")?;
    Ok(cursor.until("`")?.trim().to_owned())
}

fn event(cursor: &mut Cursor<'_>) -> Result<Event, ParseError> {
    let line = cursor.line();
    let when = when(cursor)?;
    cursor.skip_space()?;
    let end = if cursor.accept("...")? { Some(cursor.seconds()?) } else { None };
    cursor.skip_space()?;
    let rest = cursor.rest();
    let action = if end.is_none() && rest.starts_with('<') {
        cursor.take(1);
        Action::Inbound(packets::packet(cursor)?)
    } else if end.is_none() && rest.starts_with('>') {
        cursor.take(1);
        Action::Outbound(packets::packet(cursor)?)
    } else if end.is_none() && rest.starts_with('`') {
        Action::Command(command(cursor)?)
    } else if end.is_none() && rest.starts_with("%{") {
        cursor.take(2);
        Action::Code(cursor.until("}%")?.to_owned())
    } else {
        Action::Call(calls::call(cursor, end)?)
    };
    let ranged = !matches!(when, When::Absolute(_) | When::Relative(_));
    if ranged && !matches!(action, Action::Outbound(_)) {
        let why = "only packets that the stack sends may come at any time or within a range".into();
        return Err(ParseError { line, why });
    }
    Ok(Event { line, when, action })
}

fn when(cursor: &mut Cursor<'_>) -> Result<When, ParseError> {
    if cursor.accept("*")? {
        return Ok(When::Any);
    }
    let relative = cursor.accept("+")?;
    if !relative && !cursor.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(cursor.expected("the time of an event"));
    }
    let first = cursor.seconds()?;
    if !cursor.accept("~")? {
        return Ok(if relative { When::Relative(first) } else { When::Absolute(first) });
    }
    if cursor.accept("+")? != relative {
        return Err(cursor.error("both ends of a range are relative or none is"));
    }
    let last = cursor.seconds()?;
    if last < first {
        return Err(cursor.error("a range that ends before it starts"));
    }
    Ok(if relative { When::RelativeRange(first, last) } else { When::AbsoluteRange(first, last) })
}
