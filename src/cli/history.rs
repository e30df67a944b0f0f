//! Files of lines, such as recorded histories and logs, from a path or standard input, compressed or not.
//!
//! The files are untrusted. A compressed file is unpacked as it is read, up to a limit. A file that is no UTF-8 text is
//! refused by its first bytes, and the message names its real format.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use clap::Args;
use flate2::bufread::MultiGzDecoder;

use super::failure::Failure;

/// The file name that means standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// The first bytes of a gzip file (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The UTF-8 byte order mark. It is skipped.
const UTF_8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// The number of first bytes that identify the format of a file.
const HEAD_BYTES: usize = 4;
/// A compressed file may unpack to this many times its size, and to [`UNPACKED_BYTES_FREE`] more.
const UNPACKED_TIMES_MAX: u64 = 100;
/// The bytes that any compressed file may unpack to.
const UNPACKED_BYTES_FREE: u64 = 16 * 1_024 * 1_024;

/// First bytes that no UTF-8 text of JSON has, and the sentence about each.
const FOREIGN: [(&[u8], &str); 10] = [
    (&[0xff, 0xfe], UTF_16),
    (&[0xfe, 0xff], UTF_16),
    (&[0x00, 0x00, 0xfe, 0xff], UTF_32),
    (b"{\0", UTF_16),
    (b"\0{", UTF_16),
    (b"\0\0\0{", UTF_32),
    (&[0x28, 0xb5, 0x2f, 0xfd], "it is compressed with zstd: unpack it first, or compress it with gzip"),
    (b"PK\x03\x04", "it is a zip archive: unpack it first"),
    (&[0xfd, b'7', b'z', b'X'], "it is compressed with xz: unpack it first, or compress it with gzip"),
    (b"BZh", "it is compressed with bzip2: unpack it first, or compress it with gzip"),
];
const UTF_16: &str = "it is UTF-16 text: save it as UTF-8";
const UTF_32: &str = "it is UTF-32 text: save it as UTF-8";

/// The limit on what a compressed file unpacks to.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct UnpackArgs {
    /// The maximum unpacked size of a compressed file, in MiB; 16 MiB and 100 times its size if left out
    #[arg(long, value_name = "MIB")]
    unpacked_mib: Option<u64>,
}

impl UnpackArgs {
    /// Returns the maximum unpacked size, in bytes, after `packed` compressed bytes were read.
    fn bytes_max(self, packed: u64) -> u64 {
        match self.unpacked_mib {
            Some(mib) => mib.saturating_mul(1_024 * 1_024),
            None => packed.saturating_mul(UNPACKED_TIMES_MAX).saturating_add(UNPACKED_BYTES_FREE),
        }
    }
}

/// Returns the name of a file in messages.
pub(super) fn name_of(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Returns whether a path means standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// Opens a file as lines, and unpacks it if it is compressed, regardless of its name. `-` is standard input.
///
/// `watch` is updated as bytes are read. A byte order mark of UTF-8 is skipped.
///
/// # Errors
/// The file cannot be opened or read, or its first bytes are not those of UTF-8 text.
pub(super) fn open(
    path: &Path,
    limit: UnpackArgs,
    watch: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>,
) -> Result<Lines, Failure> {
    open_lines(path, limit, watch).map_err(|error| Failure::File { what: "read", path: name_of(path), error })
}

/// The lines of a file.
pub(super) struct Lines {
    text: Box<dyn BufRead>,
    is_packed: bool,
}

impl Lines {
    /// Reads a compressed file to its end, and returns the error if it is damaged. Damage shows at the end, and may
    /// explain an invalid line.
    pub(super) fn damage(mut self) -> Option<io::Error> {
        let read = if self.is_packed { io::copy(&mut self.text, &mut io::sink()) } else { Ok(0) };
        read.err().filter(|error| error.kind() == io::ErrorKind::InvalidData)
    }
}

impl Read for Lines {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.text.read(bytes)
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.text.consume(amount);
    }
}

fn open_lines(path: &Path, limit: UnpackArgs, watch: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>) -> io::Result<Lines> {
    let file: Box<dyn Read> =
        if is_standard_input(path) { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    let (head, file) = peeked(watch(file))?;
    if !head.starts_with(GZIP_MAGIC) {
        return Ok(Lines { text: text(&head, file)?, is_packed: false });
    }
    let (head, unpacked) = peeked(Box::new(Unpacked::of(file, limit)))?;
    Ok(Lines { text: text(&head, unpacked)?, is_packed: true })
}

/// Reads the first bytes, and returns them with a reader that begins with them again.
fn peeked(mut file: Box<dyn Read>) -> io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::new();
    file.by_ref().take(u64::try_from(HEAD_BYTES).unwrap_or(0)).read_to_end(&mut head)?;
    let again = Cursor::new(head.clone()).chain(file);
    Ok((head, Box::new(again)))
}

/// Returns the lines of a text that begins with `head`.
fn text(head: &[u8], mut file: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    if let Some((_, what)) = FOREIGN.iter().find(|(first, _)| head.starts_with(first)) {
        return Err(io::Error::other(*what));
    }
    if head.starts_with(UTF_8_MARK) {
        file.read_exact(&mut [0; UTF_8_MARK.len()])?;
    }
    Ok(Box::new(BufReader::new(file)))
}

/// A reader that unpacks gzip.
struct Unpacked {
    from: MultiGzDecoder<BufReader<Counted>>,
    packed: Rc<Cell<u64>>,
    given: u64,
    limit: UnpackArgs,
}

impl Unpacked {
    fn of(file: Box<dyn Read>, limit: UnpackArgs) -> Self {
        let packed = Rc::new(Cell::new(0));
        let counted = Counted { file, bytes: Rc::clone(&packed) };
        Self { from: MultiGzDecoder::new(BufReader::new(counted)), packed, given: 0, limit }
    }

    fn too_much(&self) -> io::Error {
        let (packed, max) = (self.packed.get(), self.limit.bytes_max(self.packed.get()));
        io::Error::other(format!(
            "its first {packed} bytes unpack to more than {max}: if you know that it is no trap, raise the limit with \
             `--unpacked-mib`"
        ))
    }
}

impl Read for Unpacked {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(bytes).map_err(not_unpacked)?;
        self.given = self.given.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if self.given > self.limit.bytes_max(self.packed.get()) { Err(self.too_much()) } else { Ok(len) }
    }
}

/// Describes the error of a compressed file.
fn not_unpacked(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the compressed file is cut short: copy it again, whole".to_owned()),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            damaged(format!("the compressed file is damaged ({error}): copy it again"))
        }
        _ => error,
    }
}

fn damaged(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A reader that counts bytes.
struct Counted {
    file: Box<dyn Read>,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(bytes)?;
        self.bytes.set(self.bytes.get().saturating_add(u64::try_from(len).unwrap_or(u64::MAX)));
        Ok(len)
    }
}
