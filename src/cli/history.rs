//! Files of lines, such as recorded histories and logs, compressed or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::failure::Failure;

/// How a gzip file begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// The lines of a file, unpacked if they are compressed, whatever the file is called; `watch` sees the bytes of the file go by.
///
/// # Errors
/// The file cannot be opened or read.
pub(super) fn open<R: Read + 'static>(path: &Path, watch: impl FnOnce(File) -> R) -> Result<Box<dyn BufRead>, Failure> {
    let failed = |error| Failure::file("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let mut file = BufReader::new(watch(file));
    let compressed = file.fill_buf().map_err(failed)?.starts_with(GZIP_MAGIC);
    Ok(if compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}
