//! `ringfence demo`.
