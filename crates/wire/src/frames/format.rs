//! Frames on a connection: how many bytes follow, what they are, which call they belong to, and the bytes.

use prost::bytes::{Buf, Bytes, BytesMut};

/// What a connection for frames begins with. No HTTP connection begins with its first byte, so that one port can
/// serve both.
pub const PREFACE: [u8; 8] = *b"\xf6VTRNW\x00\x01";

/// Length of the body in four bytes, the kind in one, the call's number in eight; numbers little-endian.
pub(super) const HEADER_BYTES: usize = 13;

/// What a frame is. The numbers are the contract; a number that is not here breaks the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A `WriteRequest`.
    Write = 1,
    /// A `GetRequest`.
    Get = 2,
    /// A `SearchRequest`.
    Search = 3,
    /// A `ScrollRequest`.
    Scroll = 4,
    /// A `CountRequest`.
    Count = 5,
    /// The caller waits no more.
    Cancel = 32,
    /// The caller wants to hear something.
    Ping = 33,
    /// The caller's `FramesHello`, its first frame.
    Hello = 34,
    /// The method's response.
    Answer = 64,
    /// A `google.rpc.Status` with a fault in it.
    Refusal = 65,
    /// To a ping.
    Pong = 66,
    /// The server's `FramesWelcome`, its first frame.
    Welcome = 67,
    /// The server begins no calls after this number.
    Bye = 68,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::Write,
        Kind::Get,
        Kind::Search,
        Kind::Scroll,
        Kind::Count,
        Kind::Cancel,
        Kind::Ping,
        Kind::Hello,
        Kind::Answer,
        Kind::Refusal,
        Kind::Pong,
        Kind::Welcome,
        Kind::Bye,
    ];

    fn parse(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The header of a frame whose body has so many bytes.
pub(super) fn header(kind: Kind, call: u64, body_bytes: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&body_bytes.to_le_bytes());
    header[4] = kind as u8;
    header[5..].copy_from_slice(&call.to_le_bytes());
    header
}

/// A frame from its header to its end; none when its body is longer than a frame can say.
pub(super) fn whole(kind: Kind, call: u64, body: &[u8]) -> Option<Vec<u8>> {
    let mut frame = header(kind, call, u32::try_from(body.len()).ok()?).to_vec();
    frame.extend_from_slice(body);
    Some(frame)
}

/// A frame as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) call: u64,
    /// None when it was announced as longer than the limit, and not kept.
    pub(super) body: Option<Bytes>,
}

/// Bytes that are no frames.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Cuts what arrives into frames. Takes memory for what has arrived, never for what is only announced.
pub(super) struct Parser {
    /// Where arriving bytes go, at its end.
    pub(super) buffer: BytesMut,
    /// Bytes of a frame over the limit that are still to be dropped.
    skip: usize,
    limit: usize,
}

impl Parser {
    /// For bodies of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), skip: 0, limit }
    }

    /// From now on bodies have at most so many bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The next frame that has arrived as a whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let dropped = self.skip.min(self.buffer.len());
        self.buffer.advance(dropped);
        self.skip -= dropped;
        let Some((head, rest)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, kind, call @ ..] = *head;
        let bytes = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| Malformed)?;
        let kind = Kind::parse(kind).ok_or(Malformed)?;
        let call = u64::from_le_bytes(call);
        if bytes > self.limit {
            self.buffer.advance(HEADER_BYTES);
            self.skip = bytes;
            return Ok(Some(Frame { kind, call, body: None }));
        }
        if rest.len() < bytes {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some(Frame { kind, call, body: Some(self.buffer.split_to(bytes).freeze()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes_of(kind: Kind, call: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, call, body.len() as u32).to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Everything that a parser makes of bytes that arrive in these pieces.
    fn parsed<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, Malformed> {
        let mut parser = Parser::new(limit);
        let mut frames = Vec::new();
        for piece in pieces {
            parser.buffer.extend_from_slice(piece);
            while let Some(frame) = parser.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_arrive_whole_however_they_are_cut(
            given in vec((0..Kind::ALL.len(), any::<u64>(), vec(any::<u8>(), 0..40)), 0..10),
            piece in 1usize..50,
        ) {
            let bytes: Vec<u8> =
                given.iter().flat_map(|(kind, call, body)| bytes_of(Kind::ALL[*kind], *call, body)).collect();
            let frames = parsed(20, bytes.chunks(piece)).unwrap();
            prop_assert_eq!(frames.len(), given.len());
            for (frame, (kind, call, body)) in frames.into_iter().zip(given) {
                prop_assert_eq!((frame.kind, frame.call), (Kind::ALL[kind], call));
                prop_assert_eq!(frame.body, (body.len() <= 20).then(|| Bytes::from(body)));
            }
        }

        #[test]
        fn noise_takes_no_memory_that_did_not_arrive(noise in vec(any::<u8>(), 0..300), piece in 1usize..50) {
            let mut parser = Parser::new(usize::MAX);
            for some in noise.chunks(piece) {
                parser.buffer.extend_from_slice(some);
                while let Ok(Some(_)) = parser.next() {}
                prop_assert!(parser.buffer.capacity() < 4096);
            }
        }
    }

    #[test]
    fn a_kind_that_has_no_meaning_is_malformed() {
        let mut bytes = bytes_of(Kind::Ping, 1, b"");
        bytes[4] = 99;
        assert_eq!(parsed(10, [&bytes[..]]), Err(Malformed));
    }
}
