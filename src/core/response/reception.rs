//! The response at hand, for the steps that handle it. Holds it; does nothing.

use crate::core::forwarding::branch::Branch;
use crate::core::routing::route_token::Origin;
use crate::sip::{Message, Response};

/// A response at hand, and the attempt that it belongs to.
pub(crate) struct Reception<'c, 'a> {
    pub(crate) branch: Branch,
    pub(crate) message: &'c Message<'a>,
    pub(crate) response: &'c Response<'a>,
    /// Where it came from.
    pub(crate) from: Origin,
}
