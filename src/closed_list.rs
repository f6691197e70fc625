//! Closed lists: enums whose variants have one word each, which stands in metric labels, in the log and in `/status`.

/// Writes an enum with its words, each once, and so makes `ALL` and `label` agree with it.
macro_rules! closed_list {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All variants, in the order of the discriminants.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// The word for metric labels, the log and `/status`.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

pub(crate) use closed_list;
