//! How text of others is written so that it stays text. Names come from whoever records predictions, reasons from
//! policies: neither may begin a line, format, link or mention anybody in a message to people.

/// Written for what was cut off.
const ELLIPSIS: char = '…';

/// On one line, at most so many bytes, and without what turns or hides the text beside it: control characters and those
/// that set the direction of writing (Unicode's Bidi_Control, with which a name can show another text than it holds) become
/// spaces.
pub(crate) fn flat(text: &str, bytes: usize) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    cut(text.chars().map(|c| if steers(c) { ' ' } else { c }), bytes, |c| (c.len_utf8(), None))
}

/// How long messaging services count a text: in UTF-16 code units.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// At most so many bytes.
pub fn clip(text: &str, bytes: usize) -> String {
    cut(text.chars(), bytes, |c| (c.len_utf8(), None))
}

/// With each character as `escape` writes it (`None`: as it is), at most `most` units long. Nothing is cut within what
/// a character became.
pub fn written(text: &str, most: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    cut(text.chars(), most, |c| {
        let instead = escape(c);
        (instead.map_or(c.len_utf16(), units), instead)
    })
}

/// `piece` says how long a character is and what is written instead. What is cut off is not looked at.
fn cut(
    text: impl Iterator<Item = char>,
    most: usize,
    piece: impl Fn(char) -> (usize, Option<&'static str>),
) -> String {
    // An ellipsis has up to three bytes.
    let room = most.saturating_sub(ELLIPSIS.len_utf8());
    let (mut written, mut used, mut within_room) = (String::new(), 0, 0);
    for c in text {
        let (length, instead) = piece(c);
        used += length;
        if used > most {
            written.truncate(within_room);
            written.push(ELLIPSIS);
            break;
        }
        match instead {
            Some(instead) => written.push_str(instead),
            None => written.push(c),
        }
        if used <= room {
            within_room = written.len();
        }
    }
    written
}

/// For text and quoted attributes of HTML: WHATWG HTML, "Escaping a string", with the apostrophe, too.
pub fn html(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// Chat programs and Slack's mrkdwn have no escape for `*bold*`, `_italic_`, `~struck~` and code: they format what stands
/// between two of these at the edges of words. There, and only there, each is replaced by a character that looks alike, so
/// that `btc_trend_v2` can still be copied.
pub fn neutral(text: &str) -> String {
    let mut neutral = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let in_word = within(before) && within(rest.peek().copied());
        let alike = match c {
            '*' => '\u{2217}',
            '_' => '\u{ff3f}',
            '~' => '\u{223c}',
            '`' => '\u{2cb}',
            other => other,
        };
        neutral.push(if in_word { c } else { alike });
        before = Some(c);
    }
    neutral
}
