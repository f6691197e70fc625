//! Reads one whole file of a bounded length. Says what went wrong; does not know what the text means.

use std::io::Read as _;
use std::path::Path;

/// A file's text, which must be UTF-8. `Err`: the error, without the path.
pub(super) fn text(path: &Path, longest: u64) -> Result<String, String> {
    let bytes = octets(path, longest)?;
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8 at octet {}", error.utf8_error().valid_up_to()))
}

/// A file's octets. `Err`: the error, without the path.
pub(super) fn octets(path: &Path, longest: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Anything but a file (a pipe, a device) could block or never end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(longest + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > longest { Err(format!("is longer than {longest} octets")) } else { Ok(bytes) }
}
