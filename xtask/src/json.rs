//! Just enough JSON to read what the host answers.

use std::fmt;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

const NULL: &Json = &Json::Null;

impl Json {
    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value()?;
        parser.space();
        if parser.at == text.len() { Ok(value) } else { Err(parser.wrong("the end")) }
    }

    /// A member, or null.
    pub(crate) fn get(&self, key: &str) -> &Self {
        match self {
            Self::Object(members) => {
                members.iter().find(|(name, _)| name == key).map_or(NULL, |(_, value)| value)
            }
            _ => NULL,
        }
    }

    /// A member that is a text, or nothing.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).as_text()
    }

    pub(crate) fn as_text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        if let Self::Number(number) = self.get(key) { Some(*number) } else { None }
    }

    pub(crate) fn is_true(&self, key: &str) -> bool {
        *self.get(key) == Self::Bool(true)
    }

    pub(crate) fn list(&self, key: &str) -> &[Self] {
        self.get(key).as_list()
    }

    pub(crate) fn as_list(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// How `"name"` and `{"name": value}` are written: a name that may have a parameter.
    pub(crate) fn variant(&self) -> (&str, &Self) {
        match self {
            Self::Text(name) => (name, NULL),
            Self::Object(members) if members.len() == 1 => (&members[0].0, &members[0].1),
            _ => ("", NULL),
        }
    }
}

impl fmt::Display for Json {
    /// For people: texts and numbers as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("-"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::List(_) | Self::Object(_) => write!(f, "{self:?}"),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn wrong(&self, expected: &str) -> String {
        format!("byte {} of the answer: expected {expected}", self.at)
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: &str) -> Result<(), String> {
        if !self.text[self.at..].starts_with(expected) {
            return Err(self.wrong(expected));
        }
        self.at += expected.len();
        Ok(())
    }

    fn value(&mut self) -> Result<Json, String> {
        self.space();
        match self.peek() {
            b'{' => self
                .items("{", "}", |parser| {
                    parser.space();
                    let key = parser.string()?;
                    parser.space();
                    parser.take(":")?;
                    Ok((key, parser.value()?))
                })
                .map(Json::Object),
            b'[' => self.items("[", "]", Self::value).map(Json::List),
            b'"' => self.string().map(Json::Text),
            b't' => self.take("true").map(|()| Json::Bool(true)),
            b'f' => self.take("false").map(|()| Json::Bool(false)),
            b'n' => self.take("null").map(|()| Json::Null),
            _ => self.number(),
        }
    }

    fn items<T>(
        &mut self,
        open: &str,
        close: &str,
        item: impl Fn(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.take(open)?;
        let mut items = Vec::new();
        self.space();
        if self.take(close).is_ok() {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            self.space();
            if self.take(close).is_ok() {
                return Ok(items);
            }
            self.take(",")?;
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.wrong("a value"))?;
        self.at += end;
        Ok(Json::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let mut chars = rest.chars();
            let Some(char) = chars.next() else { return Err(self.wrong("the end of a text")) };
            self.at += char.len_utf8();
            match char {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                char => text.push(char),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    self.take("\\u")?;
                    0x1_0000 + ((first - 0xd800) << 10) + self.unit()?.wrapping_sub(0xdc00)
                } else {
                    first
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.wrong("an escape")),
        })
    }

    fn unit(&mut self) -> Result<u32, String> {
        let digits =
            self.text.get(self.at..self.at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        digits.ok_or_else(|| self.wrong("four hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_hosts_answer() {
        let text = r#" {"a": [1, -2.5e3, true, null, "x\n\"ä\u00e4\ud83d\ude00"], "b": {"done": {"what": ""}}, "c": []} "#;
        let json = Json::parse(text).expect("valid");
        assert_eq!(json.list("a")[1], Json::Number(-2_500.0));
        assert_eq!(json.list("a")[4].as_text(), "x\n\"ää😀");
        assert_eq!(json.get("b").variant().0, "done");
        assert_eq!(json.get("nothing").get("at all"), &Json::Null);
        for bad in ["", "{", "[1,]", "{\"a\"}", "\"a", "\"\\u12", "1 2", "nul", "--"] {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
    }
}
