//! Text into tree (RFC 8259). Every text is read here, whoever wrote it.
//!
//! By hand, because the reader of `serde_json` is made for all types that there are: for one tree it is twice as much code,
//! with messages that nobody is shown (`docs/decisions/020-json.md`).

use serde_json::{Map, Number, Value};
use std::str;

/// How deep arrays and objects may be nested in a member, where it matters.
const DEPTH: usize = 16;
/// How deep they may be nested in any text: each level takes of the stack.
const DEEPEST: usize = 127;

/// What JSON allows and nobody means: a name twice in one object, or nested deeper than 16 levels.
pub struct Flaw {
    /// The outermost member that has it.
    pub member: String,
    /// What it is.
    pub why: &'static str,
}

/// Reads a text, and notes its first flaw. An error is the line and the column where it is no JSON any more.
pub fn parse(text: &[u8]) -> Result<(Value, Option<Flaw>), (usize, usize)> {
    let (valid, broken) = match str::from_utf8(text) {
        Ok(valid) => (valid, None),
        Err(error) => ("", Some(error.valid_up_to())),
    };
    let mut reader = Reader { text: valid, at: 0, depth: 0, flaw: None };
    let read = reader.value().filter(|_| reader.peek().is_none());
    match read {
        Some(read) => Ok((read, reader.flaw)),
        None => {
            let (before, _) = text.split_at(broken.unwrap_or(reader.at).min(text.len()));
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
            Err((before.iter().filter(|byte| **byte == b'\n').count() + 1, column + 1))
        }
    }
}

/// A text, and how much of it is read. What gives `None` leaves it where the text is wrong.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    flaw: Option<Flaw>,
}

impl<'a> Reader<'a> {
    /// The next byte.
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.next() {
            self.at += 1;
        }
        self.next()
    }

    /// Passes over a byte, if it is the next one.
    fn takes(&mut self, byte: u8) -> bool {
        let is = self.next() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => self.string().map(Value::String),
            b'[' => self.nested(Self::array),
            b'{' => self.nested(Self::object),
            _ => self.number().map(Value::Number),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len()).map(|()| value)
    }

    /// What stands between brackets, one level deeper. A flaw is noted, and the rest is read: a syntax error goes before.
    fn nested(&mut self, read: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        if self.depth > DEPTH {
            self.note("is nested too deep");
        }
        if self.depth == DEEPEST {
            return None;
        }
        self.at += 1;
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Within a member its name is not known yet.
    fn note(&mut self, why: &'static str) {
        self.flaw.get_or_insert(Flaw { member: String::new(), why });
    }

    /// Whether another element follows: `None` where neither a comma nor the end does.
    fn goes_on(&mut self, end: u8, is_first: bool) -> Option<bool> {
        let next = self.peek()?;
        if next == end {
            self.at += 1;
            return Some(false);
        }
        (is_first || self.takes(b',')).then_some(true)
    }

    fn array(&mut self) -> Option<Value> {
        let mut elements = Vec::new();
        while self.goes_on(b']', elements.is_empty())? {
            elements.push(self.value()?);
        }
        Some(Value::Array(elements))
    }

    fn object(&mut self) -> Option<Value> {
        let mut members = Map::new();
        while self.goes_on(b'}', members.is_empty())? {
            if self.peek()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            let was_sound = self.flaw.is_none();
            let value = self.value()?;
            if members.contains_key(&name) {
                self.note("is there twice");
            }
            if self.depth == 1
                && was_sound
                && let Some(flaw) = &mut self.flaw
            {
                flaw.member.clone_from(&name);
            }
            members.insert(name, value);
        }
        Some(Value::Object(members))
    }

    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let start = self.at;
            while !matches!(self.next()?, b'"' | b'\\' | 0..b' ') {
                self.at += 1;
            }
            string.push_str(self.since(start));
            if self.takes(b'"') {
                return Some(string);
            }
            if !self.takes(b'\\') {
                return None;
            }
            string.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.next()?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first);
                }
                // RFC 8259 §7: two of them stand for one character. One alone stands for none.
                if !(self.takes(b'\\') && self.takes(b'u')) {
                    return None;
                }
                let second = self.unit()?.checked_sub(0xDC00).filter(|second| *second < 0x400)?;
                char::from_u32(0x10000 + ((first - 0xD800) << 10) + second)?
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.next()?).to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    /// As exact as a whole number of 64 bits or a number of JavaScript is.
    fn number(&mut self) -> Option<Number> {
        let start = self.at;
        let negative = self.takes(b'-');
        let (mut digits, mut exponent) = (0_u64, 0_i32);
        // RFC 8259 §6: no zero stands in front.
        if !self.takes(b'0') {
            self.digits(|digit| exponent += i32::from(!append(&mut digits, digit)))?;
        }
        let mut whole = true;
        if self.takes(b'.') {
            whole = false;
            self.digits(|digit| exponent -= i32::from(append(&mut digits, digit)))?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            whole = false;
            let down = self.takes(b'-');
            if !down {
                self.takes(b'+');
            }
            let mut said = 0_i32;
            self.digits(|digit| said = said.saturating_mul(10).saturating_add(i32::from(digit)))?;
            exponent = exponent.saturating_add(if down { -said } else { said });
        }
        if whole {
            let text = self.since(start);
            if let Ok(number) = text.parse::<u64>() {
                return Some(number.into());
            }
            // There is no whole number that is zero and negative.
            if let Some(number) = text.parse::<i64>().ok().filter(|number| *number != 0) {
                return Some(number.into());
            }
        }
        #[allow(clippy::cast_precision_loss)] // As numbers of JavaScript are.
        let mut number = digits as f64;
        // In two steps: of a number with many digits the power of ten may be smaller than any number is.
        let most = exponent.clamp(-300, 300);
        for step in [most, exponent - most] {
            if digits == 0 {
                break;
            }
            number = if step < 0 { number / 10_f64.powi(-step) } else { number * 10_f64.powi(step) };
        }
        Number::from_f64(if negative { -number } else { number })
    }

    /// One digit or more.
    fn digits(&mut self, mut read: impl FnMut(u8)) -> Option<()> {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.next() {
            read(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Writes one more digit behind others, where 64 bits have room for it.
fn append(digits: &mut u64, digit: u8) -> bool {
    let fits = *digits <= (u64::MAX - 9) / 10;
    if fits {
        *digits = *digits * 10 + u64::from(digit);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `serde_json` reads.
    fn theirs(text: &str) -> Option<Value> {
        serde_json::from_str(text).ok()
    }

    fn ours(text: &str) -> Option<Value> {
        parse(text.as_bytes()).ok().map(|(read, _)| read)
    }

    #[test]
    fn numbers_are_read_as_serde_json_reads_them() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "0.1",
            "0.001",
            "1.5e3",
            "1E+2",
            "1e-7",
            "123456789012345678901234567890",
            "1e22",
            "0e999",
            "1e-999",
            "-1.25",
            "0.30000000000000004",
            "3.141592653589793",
            "00",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "-",
            "+1",
            "1e999",
            "0x1",
            "NaN",
            "1 2",
        ] {
            assert_eq!(ours(text), theirs(text), "{text}");
        }
    }

    #[test]
    fn strings_are_read_as_serde_json_reads_them() {
        for text in [
            r#""""#,
            r#""\u00e9\ud83d\ude00 \"\\\/\b\f\n\r\t""#,
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
            r#""\u00g0""#,
            r#""\x""#,
            "\"a\nb\"",
            "\"a",
            "\"\u{7f}\u{80}\"",
            "'a'",
        ] {
            assert_eq!(ours(text), theirs(text), "{text}");
        }
    }

    #[test]
    fn where_a_text_is_wrong_is_told_by_line_and_column() {
        let place = |text: &[u8]| parse(text).err();
        assert_eq!(place(b""), Some((1, 1)));
        assert_eq!(place(b"{\n  \"a\": nul\n}"), Some((2, 8)));
        assert_eq!(place(b"{\"a\":\"\xff\"}"), Some((1, 7)));
        assert_eq!(place(b"[1] x"), Some((1, 5)));
    }

    #[test]
    fn no_text_is_nested_deeper_than_the_stack_has_room_for() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(ours(&nested(DEEPEST)).is_some() && theirs(&nested(DEEPEST)).is_some());
        assert!(ours(&nested(DEEPEST + 1)).is_none() && theirs(&nested(DEEPEST + 1)).is_none());
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_as_it_was(tree in trees()) {
            assert_eq!(ours(&serde_json::to_string(&tree).unwrap()).as_ref(), Some(&tree));
            assert_eq!(ours(&serde_json::to_string_pretty(&tree).unwrap()).as_ref(), Some(&tree));
        }

        #[test]
        fn what_is_json_to_serde_json_is_json_here(text in "[\\[\\]{}\",:0-9eE+.\\-ntrufals\\\\ \t]{0,16}") {
            assert_eq!(ours(&text).is_some(), theirs(&text).is_some(), "{text}");
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = parse(&text);
        }
    }
}
