//! Deciding: findings are put to policies, the safeguards judge what these propose, and what follows is changed in the
//! state or becomes an effect. Pure: who is asked is handed in, and what is to happen outside is returned.
//!
//! `step` takes a record through; `findings` puts findings to policies and carries out what follows, `ask` asks one
//! question, `alerting` tells people, `in_force` knows which version decides.

mod alerting;
mod ask;
mod findings;
mod in_force;
mod output;
mod step;
mod turn;

pub use in_force::{InForce, entry};
pub use output::{Note, Output};
pub use step::{Prepared, resume, step, try_out};
