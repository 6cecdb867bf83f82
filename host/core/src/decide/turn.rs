//! One record's turn: the state that it changes, what comes of it, and who is asked. What decides, asks and alerts are
//! steps of a turn.

use trimtab_types::Ask;

use super::output::Output;
use crate::fold::State;

/// A record that is being taken through.
pub(crate) struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) ask: &'a mut dyn Ask,
    pub(super) output: Output,
}

impl<'a> Turn<'a> {
    /// Nothing has come of it yet.
    pub(crate) fn new(state: &'a mut State, ask: &'a mut dyn Ask) -> Self {
        Self { state, ask, output: Output::default() }
    }
}
