//! Opens files, and reads small ones whole. Says what went wrong; does not know what is in them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A file to be read. `Err`: the error, without the path.
pub(super) fn open(path: &Path) -> Result<File, String> {
    // Anything but a file (a pipe, a device) could block or never end.
    if !std::fs::metadata(path).map_err(|error| cannot(&error))?.is_file() {
        return Err("is not a file".to_owned());
    }
    File::open(path).map_err(|error| cannot(&error))
}

/// A file's octets, at most `longest`. `Err`: the error, without the path.
pub(super) fn octets(path: &Path, longest: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    open(path)?.take(longest + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > longest { Err(format!("is longer than {longest} octets")) } else { Ok(bytes) }
}

fn cannot(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}
