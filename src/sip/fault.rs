//! What can be wrong with a message: a closed list with metric labels, codes and sentences.

use crate::closed_list::closed_list;

closed_list! {
    /// What is wrong with a message.
    pub enum Fault {
        /// Not a SIP message: no start line that could be one.
        NotSip = "not-sip",
        /// The start line is broken.
        StartLine = "start-line",
        /// SIP, but not 2.0 (505).
        Version = "version",
        /// The Request-URI is broken.
        Uri = "uri",
        /// The Request-URI has a scheme that is not ours (416).
        Scheme = "scheme",
        /// The Request-URI is too long (414).
        UriTooLong = "uri-too-long",
        /// A CR or LF on its own, or a NUL, in the header section.
        BareLineEnd = "bare-line-end",
        /// A header without a colon, or whose name is no token.
        HeaderName = "header-name",
        /// More header rows than the limit.
        TooManyHeaders = "too-many-headers",
        /// A header row that is too long.
        RowTooLong = "row-too-long",
        /// A header section that is too long.
        HeadTooLong = "head-too-long",
        /// No empty line after the headers.
        NoHeadEnd = "no-head-end",
        /// A Content-Length that is not one plain number.
        ContentLength = "content-length",
        /// A stream needs Content-Length.
        NoContentLength = "no-content-length",
        /// Fewer octets than Content-Length says.
        BodyShort = "body-short",
        /// A header that may stand only once stands twice.
        Duplicate = "duplicate",
        /// Via is missing or broken.
        Via = "via",
        /// From is missing or broken.
        From = "from",
        /// To is missing or broken.
        To = "to",
        /// Call-ID is missing or broken.
        CallId = "call-id",
        /// `CSeq` is missing or broken, or its number too large.
        CSeq = "cseq",
        /// The method in `CSeq` is not the request's.
        CSeqMethod = "cseq-method",
        /// A known method in other letters.
        Method = "method",
        /// Route or Record-Route is broken.
        Route = "route",
        /// A Contact is broken, or there are two and only one can be meant.
        Contact = "contact",
        /// Refer-To or Referred-By is broken.
        Refer = "refer",
        /// Max-Forwards is not a number up to 255.
        MaxForwards = "max-forwards",
        /// The message is too large (513).
        TooLarge = "too-large",
    }
}

impl Fault {
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
