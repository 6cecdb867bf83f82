//! Text from outside, as it is shown to people: names, reasons, what policies say, file names. Whoever wrote it must not
//! steer what shows it: no control or escape sequence reaches a terminal, a log, a page or a message, and no character
//! turns the direction of the text beside it. What a format needs besides, such as `&lt;` in HTML, is that format's.

use std::borrow::Cow;

/// Whether a character acts on what shows it instead of being shown: control characters (C0, DEL, C1), line and paragraph
/// separators, what sets the direction of writing (Unicode's Bidi_Control), and what has no width and joins nothing, with
/// which two names can look the same. Joiners stay: words of several languages need them.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // Bidi_Control
            | '\u{2028}' | '\u{2029}' // separators
            | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' // without width
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}') // annotations, tags
}

/// On one line, with what steers written out as in Rust source: `\n`, `\u{1b}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    write_out(text, steers)
}

/// The same with line breaks kept, for text that may have several lines.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    write_out(text, |character| character != '\n' && steers(character))
}

fn write_out(text: &str, out: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&out) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' if out(character) => shown.extend(character.escape_default()),
            _ if out(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out_and_all_else_stays() {
        for (text, one_line, lines) in [
            ("", "", ""),
            ("BTC/USDT", "BTC/USDT", "BTC/USDT"),
            ("größe 数 🚀 \u{644}\u{645}", "größe 数 🚀 \u{644}\u{645}", "größe 数 🚀 \u{644}\u{645}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("a\\n", "a\\n", "a\\n"),
            ("one\ntwo", r"one\ntwo", "one\ntwo"),
            ("one\r\ntwo\t", r"one\r\ntwo\t", "one\\r\ntwo\\t"),
            (
                "\x1b[31mred\x1b]0;title\x07",
                r"\u{1b}[31mred\u{1b}]0;title\u{7}",
                r"\u{1b}[31mred\u{1b}]0;title\u{7}",
            ),
            ("\u{9b}31m\0\x7f", r"\u{9b}31m\u{0}\u{7f}", r"\u{9b}31m\u{0}\u{7f}"),
            ("abc\u{202e}cba\u{2066}", r"abc\u{202e}cba\u{2066}", r"abc\u{202e}cba\u{2066}"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("m\u{200b}\u{feff}\u{e0041}", r"m\u{200b}\u{feff}\u{e0041}", r"m\u{200b}\u{feff}\u{e0041}"),
        ] {
            assert_eq!(shown(text), one_line, "{text:?}");
            assert_eq!(shown_lines(text), lines, "{text:?}");
        }
    }

    /// Unicode's list (PropList.txt, Bidi_Control), and the control characters of ISO 6429 beside it.
    #[test]
    fn every_control_and_every_bidi_control_steers() {
        let bidi = [0x61c, 0x200e, 0x200f].into_iter().chain(0x202a..=0x202e).chain(0x2066..=0x2069);
        for code in (0..0x20).chain(0x7f..0xa0).chain(bidi) {
            let character = char::from_u32(code).expect("a character");
            assert!(steers(character), "{code:x}");
            assert!(!shown(&character.to_string()).chars().any(steers), "{code:x}");
        }
        assert!(!(' '..='~').any(steers));
    }
}
