//! Where a request may go: the route set, the region, the targets in order. Reads and returns a value; writes nothing and sends nothing.

pub(crate) mod behind;
pub(crate) mod call_time;
pub(crate) mod egress;
pub(crate) mod place;
pub(crate) mod region_failover;
pub(crate) mod route_set;
pub(crate) mod route_token;
pub(crate) mod serving;
pub(crate) mod srv_order;
pub(crate) mod target;
