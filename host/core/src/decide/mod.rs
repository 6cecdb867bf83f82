//! Deciding: findings are put to policies, the safeguards judge what these propose, and what follows is changed in the
//! state or becomes an effect. Pure: who is asked is handed in, and what is to happen outside is returned.
//!
//! `step` takes a record through, and `relive` what was recorded of one, without the rows that led to it; `moments` says
//! what changed, with what deciding needs to know of the rows; `findings` puts findings to policies and carries
//! out what follows, `again` puts what is open to them again, `activation` asks about who serves anew, `ask` asks one question, `alerting` tells people; `life` and
//! `retrains` are about versions and what brings new ones. Which alerts go out, which proposals stand and what is allowed are functions of
//! their own: `alerts`, `compose`, `safeguards`.

mod activation;
mod again;
mod alerting;
mod alerts;
mod ask;
mod changes;
mod compose;
mod findings;
mod life;
mod moments;
mod output;
mod plain;
mod retrains;
pub mod safeguards;
mod step;
#[cfg(test)]
mod tests;
mod turn;

pub use crate::view::versions;
pub use life::experiment;
pub use output::{Heard, Note, Order, Output};
pub use step::{Lived, Prepared, relive, resume, step, try_out};
