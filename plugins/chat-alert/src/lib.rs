//! Alerts as chat text with emoji. What is said comes from `alert-text`; how it is laid out is `text`'s, which is pure.

mod text;

pub use text::write;

alert_text::policy!(write);
