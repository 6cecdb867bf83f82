//! How values are checked, and when they are left out of the canonical text. Not what is checked: each table checks itself.

/// Whether a table says nothing that was not so before there was one.
pub(super) fn is_default<T: Default + PartialEq>(table: &T) -> bool {
    *table == T::default()
}

/// Reports a problem with a key: whether it is fine, its name, and what it must be.
pub(super) type Need<'a> = dyn FnMut(bool, &str, &str) + 'a;

pub(super) fn is_level(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

/// Limits that rise, each above 0; `most` is the highest that makes sense.
pub(super) fn rise(limits: &[f64], most: f64) -> bool {
    limits.first().is_some_and(|first| *first > 0.0)
        && limits.windows(2).all(|pair| pair[0] <= pair[1])
        && limits.last().is_some_and(|last| *last <= most)
}
