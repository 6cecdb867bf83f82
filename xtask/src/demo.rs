//! `cargo xtask demo`.

use crate::tools::Failed;

pub(crate) fn demo(_exit: bool) -> Result<(), Failed> {
    Err(Failed("not there yet".to_owned()))
}
