//! Decides what may pass: source, host, project, pin, media. Rules read and return a value; they write nothing and send nothing.

pub(crate) mod admit;
pub(crate) mod broken_rule;
pub(crate) mod caller;
pub(crate) mod case;
pub(crate) mod host;
pub(crate) mod media;
pub(crate) mod nat;
pub(crate) mod number;
pub(crate) mod redirect;
pub(crate) mod refusal;
pub(crate) mod ringfence_row;
pub(crate) mod side;
pub(crate) mod sides;
pub mod trace;
