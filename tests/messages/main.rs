//! The message layer against what the standards say, what others read, and what strangers send.

mod fixtures;
