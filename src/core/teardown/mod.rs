//! Ending a call ourselves: the leg as a message shows it, and our ACK and BYE. Ends only calls that a rule has refused.

pub(crate) mod bye;
pub(crate) mod leg;
