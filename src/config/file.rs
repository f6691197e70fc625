//! The shape of the files, field by field, with spans; unknown fields are refused.
