//! Message boundaries in a byte stream (RFC 3261 18.3, RFC 5626 3.5.1).
//!
//! The header section is scanned by the parser that decides and forwards; there is no second opinion about where a message ends.

use bytes::BytesMut;

use super::scan::Fault;

/// Cuts a stream into messages. Bounded: more than `limit` octets without a whole message is a fault.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    limit: usize,
}

/// What stands at the front of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, cut off the stream.
    Message(BytesMut),
    /// A double CRLF between messages: answer with one CRLF (RFC 5626 3.5.1).
    Ping,
    /// The stream cannot be cut any further. What was received of the message so far is handed out so that it can be
    /// answered; then the connection must be closed.
    Broken(Fault, BytesMut),
}

impl Framer {
    /// A framer for messages up to `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Where received bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing of a message has arrived: the connection is idle, not slow.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame, or `None` until more bytes arrive. Linear over the life of the stream: octets are not searched twice.
    pub fn next(&mut self) -> Option<Frame> {
        let _ = self.limit;
        todo!()
    }
}
