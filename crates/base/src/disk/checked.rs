//! Small files that are replaced as a whole and never believed unchecked.
//!
//! Layout: one header line `<kind> <format> <crc32 of the rest, 8 hex digits>`, then the body.

use super::{Disk, DiskError, replace_file};

/// Why a checked file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckedFileError {
    /// The bytes are not what was written.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    /// Written by a newer binary.
    #[error("has format {found}, this binary knows {known}; start a newer binary")]
    Format {
        /// In the file.
        found: u32,
        /// Known here.
        known: u32,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Replaces the file at `path`, whose directory must exist; durable on return.
pub fn save_checked(
    disk: &dyn Disk,
    path: &str,
    kind: &str,
    format: u32,
    body: &[u8],
) -> Result<(), DiskError> {
    let mut bytes = format!("{kind} {format} {:08x}\n", crc32fast::hash(body)).into_bytes();
    bytes.extend_from_slice(body);
    replace_file(disk, path, &bytes)
}

/// The body of the file at `path`, if it is of this kind and format and whole.
pub fn load_checked(
    disk: &dyn Disk,
    path: &str,
    kind: &str,
    format: u32,
) -> Result<Vec<u8>, CheckedFileError> {
    const HEADER: CheckedFileError = CheckedFileError::Damaged("bad header");
    let mut bytes = disk.read(path)?;
    let end = bytes.iter().position(|b| *b == b'\n').ok_or(HEADER)?;
    let body = bytes.split_off(end + 1);
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| HEADER)?;
    let words: Vec<&str> = header.split(' ').collect();
    let [found_kind, found, crc] = words[..] else { return Err(HEADER) };
    if found_kind != kind {
        return Err(HEADER);
    }
    if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(&body)) {
        return Err(CheckedFileError::Damaged("checksum does not match"));
    }
    match found.parse() {
        Ok(found) if found == format => Ok(body),
        Ok(found) => Err(CheckedFileError::Format { found, known: format }),
        Err(_) => Err(HEADER),
    }
}
