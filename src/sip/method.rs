//! Request methods. A proxy forwards unknown ones too (RFC 3261 16.3 step 1).

/// The methods that rules tell apart. Methods are case-sensitive (RFC 3261 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the method of its name")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Options,
    Register,
    Publish,
    /// Any other token.
    Other,
}

impl Method {
    /// Every method, in the order of the discriminants; the index into metric tables.
    pub const ALL: [Self; 15] = [
        Self::Invite,
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Prack,
        Self::Update,
        Self::Info,
        Self::Refer,
        Self::Notify,
        Self::Subscribe,
        Self::Message,
        Self::Options,
        Self::Register,
        Self::Publish,
        Self::Other,
    ];

    /// The method that a token names.
    pub fn of(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"NOTIFY" => Self::Notify,
            b"SUBSCRIBE" => Self::Subscribe,
            b"MESSAGE" => Self::Message,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }

    /// Whether an unknown method is a known one in other letters. By RFC 3261 7.1 it is another method, but not all readers
    /// agree.
    pub(super) fn is_known_otherwise(token: &[u8]) -> bool {
        Self::ALL.iter().any(|known| *known != Self::Other && token.eq_ignore_ascii_case(known.token().as_bytes()))
    }

    /// Whether a request of this method may begin a dialog or change its target (RFC 3261 12.1, RFC 3311, RFC 6665). Then it has
    /// one Contact.
    pub(crate) const fn has_one_contact(self) -> bool {
        matches!(self, Self::Invite | Self::Subscribe | Self::Refer | Self::Notify | Self::Update)
    }

    /// Whether a request of this method has no meaning outside a dialog.
    pub(crate) const fn needs_dialog(self) -> bool {
        matches!(self, Self::Bye | Self::Prack | Self::Update | Self::Info)
    }

    /// The token, or `other` for a method without a variant, so that metric labels are a closed list.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Publish => "PUBLISH",
            Self::Other => "other",
        }
    }
}
