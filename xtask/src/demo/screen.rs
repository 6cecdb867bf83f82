//! What the demo shows: plain lines, with colour only on a terminal.

use std::io::{IsTerminal, Write};

/// Lines are broken here.
const WIDTH: usize = 110;
/// Where the text of an entry begins.
const COLUMN: usize = 26;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

pub(super) struct Screen {
    colour: bool,
    gap: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal(), gap: true }
    }

    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31;1",
            Tone::Faint => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line. That nobody reads any more does not end the story.
    pub(super) fn say(&mut self, line: &str) {
        self.gap = line.is_empty();
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush()).ok();
    }

    /// An empty line, if the last one was not empty.
    pub(super) fn gap(&mut self) {
        if !self.gap {
            self.say("");
        }
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.gap();
        let line = format!("── {title} {}", "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4)));
        self.say(&line);
    }

    /// A command, as one would type it.
    pub(super) fn command(&mut self, args: &[&str]) {
        let quoted: Vec<_> = args
            .iter()
            .map(|arg| if arg.contains(' ') { format!("\"{arg}\"") } else { (*arg).to_owned() })
            .collect();
        self.gap();
        self.say(&format!("$ trimtab {}", quoted.join(" ")));
    }

    pub(super) fn block(&mut self, text: &str, tone: Tone) {
        for line in text.lines() {
            let line = self.paint(line, tone);
            self.say(format!("  {line}").trim_end());
        }
    }

    /// Like a block, with long lines broken.
    pub(super) fn wrapped(&mut self, text: &str, tone: Tone) {
        for line in text.lines() {
            self.block(&wrap(line, WIDTH).join("\n  "), tone);
        }
    }

    /// A message to people, in a frame.
    pub(super) fn quote(&mut self, text: &str) {
        for line in text.lines() {
            for line in wrap(line, WIDTH - COLUMN) {
                let line = format!("{:COLUMN$}│ {line}", "");
                self.say(line.trim_end());
            }
        }
    }

    /// A name, and a text beside it.
    pub(super) fn entry(&mut self, name: &str, text: &str, tone: Tone) {
        let mut name = format!("  {name}");
        for line in wrap(text, WIDTH - COLUMN) {
            let line = format!("{name:COLUMN$}{}", self.paint(&line, tone));
            self.say(line.trim_end());
            name.clear();
        }
    }
}

/// Breaks a text into lines; there is always one.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() && line.chars().count() + word.chars().count() >= width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Three figures, in the form that reads best.
pub(super) fn figure(number: f64) -> String {
    match number.abs() {
        size if size != 0.0 && !(1e-3..1e5).contains(&size) => format!("{number:.2e}"),
        size if size >= 100.0 => format!("{number:.0}"),
        _ => format!("{number:.3}"),
    }
}

/// A count, with its thousands apart.
pub(super) fn thousands(count: f64) -> String {
    let digits = format!("{count:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_numbers_read_well() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("averylongword x", 8), ["averylongword", "x"]);
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(100.0), "100");
        assert_eq!(figure(0.000_012), "1.20e-5");
    }
}
