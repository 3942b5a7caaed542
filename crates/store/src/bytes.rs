//! Little-endian fields, appended and taken back with every length checked.

/// Bytes that do not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub &'static str);

pub(crate) type Decoded<T> = Result<T, DecodeError>;

/// Appends fields.
#[derive(Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }
    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }
    /// A length or count. What is longer than u32 never gets here: requests are bounded far below.
    pub fn len(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }
    pub fn bytes(&mut self, value: &[u8]) {
        self.len(value.len());
        self.0.extend_from_slice(value);
    }
    pub fn option(&mut self, value: Option<u64>) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            self.u64(value);
        }
    }
    pub fn floats(&mut self, values: &[f32]) {
        self.0.reserve(values.len() * 4);
        for value in values {
            self.0.extend(value.to_le_bytes());
        }
    }
}

/// Takes fields.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, n: usize) -> Decoded<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(DecodeError("ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError("ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }
    pub fn u8(&mut self) -> Decoded<u8> {
        self.array::<1>().map(|[b]| b)
    }
    pub fn u32(&mut self) -> Decoded<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub fn u64(&mut self) -> Decoded<u64> {
        self.array().map(u64::from_le_bytes)
    }
    pub fn flag(&mut self) -> Decoded<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError("a flag is neither 0 nor 1")),
        }
    }
    pub fn bytes(&mut self) -> Decoded<&'a [u8]> {
        let n = self.u32()?;
        self.take(n as usize)
    }
    pub fn text(&mut self) -> Decoded<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError("text is not UTF-8"))
    }
    pub fn option(&mut self) -> Decoded<Option<u64>> {
        if self.flag()? { self.u64().map(Some) } else { Ok(None) }
    }
    pub fn floats(&mut self, n: usize) -> Decoded<Vec<f32>> {
        let bytes = self.take(n.checked_mul(4).ok_or(DecodeError("ends too early"))?)?;
        Ok(floats(bytes).collect())
    }
    /// A count of items that take at least `least` bytes each, with room for them: a count that the rest of
    /// the bytes cannot hold is refused before anything is allocated.
    pub fn list<T>(&mut self, least: usize, read: impl Fn(&mut Self) -> Decoded<T>) -> Decoded<Vec<T>> {
        let n = self.u32()? as usize;
        if n > self.0.len() / least.max(1) {
            return Err(DecodeError("a count exceeds the bytes that follow"));
        }
        (0..n).map(|_| read(self)).collect()
    }
    pub fn end(&self) -> Decoded<()> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError("bytes after the end")) }
    }
}

/// Little-endian f32s.
pub(crate) fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
