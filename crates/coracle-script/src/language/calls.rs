//! System calls and their expressions.

use super::ParseError;
use super::ast::{Call, Expression};
use super::cursor::Cursor;

/// How deep lists, structures and calls may nest.
const DEPTH: usize = 16;

/// `name(arguments) = result [ERRNO] [(note)]`.
pub(super) fn call(cursor: &mut Cursor<'_>, end: Option<u64>) -> Result<Call, ParseError> {
    let name = cursor.word("a system call, `<`, `>`, a command or a block")?.to_owned();
    cursor.expect("(")?;
    let arguments = list(cursor, ")", 0)?;
    cursor.expect("=")?;
    let result = expression(cursor, 0)?;
    cursor.skip_space()?;
    let word = cursor.peek_word();
    let errno = if word.starts_with('E') { Some(cursor.take(word.len()).to_owned()) } else { None };
    if cursor.accept("(")? {
        note(cursor)?;
    }
    Ok(Call { end, name, arguments, result, errno })
}

/// The rest of a remark in parentheses.
fn note(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    let mut depth = 1;
    while depth > 0 {
        match cursor.peek() {
            None => return Err(cursor.error("`)` is missing")),
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some(_) => {}
        }
        cursor.take(cursor.peek().map_or(0, char::len_utf8));
    }
    Ok(())
}

/// Expressions between commas, and the end.
fn list(cursor: &mut Cursor<'_>, end: &str, depth: usize) -> Result<Vec<Expression>, ParseError> {
    let mut items = Vec::new();
    if cursor.accept(end)? {
        return Ok(items);
    }
    loop {
        items.push(expression(cursor, depth)?);
        if !cursor.accept(",")? {
            cursor.expect(end)?;
            return Ok(items);
        }
        // A comma behind the last item is no item.
        if cursor.accept(end)? {
            return Ok(items);
        }
    }
}

fn expression(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, ParseError> {
    if depth > DEPTH {
        return Err(cursor.error("nested too deep"));
    }
    let mut left = operand(cursor, depth)?;
    while cursor.accept("|")? {
        left = Expression::Or(Box::new(left), Box::new(operand(cursor, depth)?));
    }
    Ok(left)
}

fn operand(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, ParseError> {
    if cursor.accept("...")? {
        return Ok(Expression::Ellipsis);
    }
    if cursor.accept("\"")? {
        return Ok(Expression::Text(cursor.until("\"")?.to_owned()));
    }
    if cursor.accept("[")? {
        return Ok(Expression::List(list(cursor, "]", depth + 1)?));
    }
    if cursor.accept("{")? {
        return structure(cursor, depth + 1);
    }
    let negative = cursor.accept("-")?;
    cursor.skip_space()?;
    if negative || cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
        let number = cursor.number("a number")?;
        let number =
            i64::try_from(number).or_else(|_| if negative { Err(()) } else { Ok(number.cast_signed()) });
        let number = number.map_err(|()| cursor.error("a number too large"))?;
        return Ok(Expression::Number(if negative { -number } else { number }));
    }
    let word = cursor.word("an expression")?.to_owned();
    if cursor.accept("(")? {
        return Ok(Expression::Apply(word, list(cursor, ")", depth + 1)?));
    }
    Ok(Expression::Word(word))
}

/// The rest of `{name=value, …}`, `{msg_iov(2)=[…], …}` or `{…, 40}`.
fn structure(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, ParseError> {
    let mut fields = Vec::new();
    if cursor.accept("}")? {
        return Ok(Expression::Struct(fields));
    }
    loop {
        let value = expression(cursor, depth)?;
        let field = if cursor.accept("=")? {
            // The count in parentheses is the length of the value, which has one itself.
            let (Expression::Word(name) | Expression::Apply(name, _)) = value else {
                return Err(cursor.error("expected the name of a field before `=`"));
            };
            (Some(name), expression(cursor, depth)?)
        } else {
            (None, value)
        };
        fields.push(field);
        if !cursor.accept(",")? {
            cursor.expect("}")?;
            return Ok(Expression::Struct(fields));
        }
        if cursor.accept("}")? {
            return Ok(Expression::Struct(fields));
        }
    }
}
