//! Names of WIT, in the forms that generated code has.

/// `extend-by` → `ExtendBy`.
pub(crate) fn upper_camel(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(upper).collect()
}

/// `extend-by` → `extendBy`.
pub(crate) fn lower_camel(name: &str) -> String {
    let upper = upper_camel(name);
    let mut letters = upper.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}
