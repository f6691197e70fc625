//! What can be wrong with a message: a closed list with metric labels, codes and sentences.

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Not a SIP message: no start line that could be one.
    NotSip,
    /// The start line is broken.
    StartLine,
    /// SIP, but not 2.0 (505).
    Version,
    /// The Request-URI is broken.
    Uri,
    /// The Request-URI has a scheme that is not ours (416).
    Scheme,
    /// The Request-URI is too long (414).
    UriTooLong,
    /// A CR or LF on its own, or a NUL, in the header section.
    BareLineEnd,
    /// A header without a colon, or whose name is no token.
    HeaderName,
    /// More header rows than the limit.
    TooManyHeaders,
    /// A header row that is too long.
    RowTooLong,
    /// A header section that is too long.
    HeadTooLong,
    /// No empty line after the headers.
    NoHeadEnd,
    /// A Content-Length that is not one plain number.
    ContentLength,
    /// A stream needs Content-Length.
    NoContentLength,
    /// Fewer octets than Content-Length says.
    BodyShort,
    /// A header that may stand only once stands twice.
    Duplicate,
    /// Via is missing or broken.
    Via,
    /// From is missing or broken.
    From,
    /// To is missing or broken.
    To,
    /// Call-ID is missing or broken.
    CallId,
    /// `CSeq` is missing or broken, or its number too large.
    CSeq,
    /// The method in `CSeq` is not the request's.
    CSeqMethod,
    /// A known method in other letters.
    Method,
    /// Route or Record-Route is broken.
    Route,
    /// A Contact is broken, or there are two and only one can be meant.
    Contact,
    /// Refer-To or Referred-By is broken.
    Refer,
    /// Max-Forwards is not a number up to 255.
    MaxForwards,
    /// The message is too large (513).
    TooLarge,
}

impl Fault {
    /// Every fault, for metric tables.
    pub const ALL: [Self; 28] = [
        Self::NotSip,
        Self::StartLine,
        Self::Version,
        Self::Uri,
        Self::Scheme,
        Self::UriTooLong,
        Self::BareLineEnd,
        Self::HeaderName,
        Self::TooManyHeaders,
        Self::RowTooLong,
        Self::HeadTooLong,
        Self::NoHeadEnd,
        Self::ContentLength,
        Self::NoContentLength,
        Self::BodyShort,
        Self::Duplicate,
        Self::Via,
        Self::From,
        Self::To,
        Self::CallId,
        Self::CSeq,
        Self::CSeqMethod,
        Self::Method,
        Self::Route,
        Self::Contact,
        Self::Refer,
        Self::MaxForwards,
        Self::TooLarge,
    ];

    /// The metric label, for example `content-length`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSip => "not-sip",
            Self::StartLine => "start-line",
            Self::Version => "version",
            Self::Uri => "uri",
            Self::Scheme => "scheme",
            Self::UriTooLong => "uri-too-long",
            Self::BareLineEnd => "bare-line-end",
            Self::HeaderName => "header-name",
            Self::TooManyHeaders => "too-many-headers",
            Self::RowTooLong => "row-too-long",
            Self::HeadTooLong => "head-too-long",
            Self::NoHeadEnd => "no-head-end",
            Self::ContentLength => "content-length",
            Self::NoContentLength => "no-content-length",
            Self::BodyShort => "body-short",
            Self::Duplicate => "duplicate",
            Self::Via => "via",
            Self::From => "from",
            Self::To => "to",
            Self::CallId => "call-id",
            Self::CSeq => "cseq",
            Self::CSeqMethod => "cseq-method",
            Self::Method => "method",
            Self::Route => "route",
            Self::Contact => "contact",
            Self::Refer => "refer",
            Self::MaxForwards => "max-forwards",
            Self::TooLarge => "too-large",
        }
    }

    /// The status code that a request with this fault is answered with.
    pub const fn code(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::Scheme => 416,
            Self::UriTooLong => 414,
            Self::TooLarge => 513,
            _ => 400,
        }
    }

    /// The reason phrase: what was wrong, for a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotSip => "Not SIP",
            Self::StartLine => "Bad Request Line",
            Self::Version => "Version Not Supported",
            Self::Uri => "Bad Request-URI",
            Self::Scheme => "Unsupported URI Scheme",
            Self::UriTooLong => "Request-URI Too Long",
            Self::BareLineEnd => "Bare CR, LF Or NUL In Headers",
            Self::HeaderName => "Bad Header Name",
            Self::TooManyHeaders => "Too Many Headers",
            Self::RowTooLong => "Header Too Long",
            Self::HeadTooLong => "Headers Too Long",
            Self::NoHeadEnd => "No Empty Line After Headers",
            Self::ContentLength => "Bad Content-Length",
            Self::NoContentLength => "Content-Length Missing",
            Self::BodyShort => "Body Shorter Than Content-Length",
            Self::Duplicate => "Repeated Header",
            Self::Via => "Bad Via",
            Self::From => "Bad From",
            Self::To => "Bad To",
            Self::CallId => "Bad Call-ID",
            Self::CSeq => "Bad CSeq",
            Self::CSeqMethod => "CSeq Method Differs",
            Self::Method => "Method In Other Letters",
            Self::Route => "Bad Route Or Record-Route",
            Self::Contact => "Bad Contact",
            Self::Refer => "Bad Refer-To Or Referred-By",
            Self::MaxForwards => "Bad Max-Forwards",
            Self::TooLarge => "Message Too Large",
        }
    }

    /// Whether the end of the message is unknown, so that its stream cannot go on.
    pub const fn breaks_framing(self) -> bool {
        matches!(
            self,
            Self::NotSip
                | Self::BareLineEnd
                | Self::HeaderName
                | Self::TooManyHeaders
                | Self::HeadTooLong
                | Self::NoHeadEnd
                | Self::ContentLength
                | Self::NoContentLength
                | Self::BodyShort
                | Self::TooLarge
        )
    }
}
