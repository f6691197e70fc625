//! The core's memories from message to message, each within a bound. They only remember; other files decide.

pub(crate) mod dialog_pace;
pub(crate) mod known_servers;
pub(crate) mod name_cache;
pub(crate) mod names_in_use;
pub(crate) mod rate_limit;
pub(crate) mod recent;
pub(crate) mod refused_calls;
