//! The keys by which numbers are hashed, one for each month. Who deletes one has deleted the numbers of that month.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use ring::hmac;

use super::calendar::DayNumber;
use super::day_file::write_whole;
use super::line::hex;
use super::trouble::AuditTrouble;

/// The keys, with the one that was used last.
#[derive(Debug)]
pub(crate) struct MonthKeys {
    folder: PathBuf,
    last: Option<(DayNumber, hmac::Key)>,
}

impl MonthKeys {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, last: None }
    }

    /// The key for a day. It is made if there is none.
    pub(crate) fn of(&mut self, day: DayNumber) -> Result<&hmac::Key, AuditTrouble> {
        if self.last.as_ref().is_none_or(|(of, _)| *of != day) {
            let month = day.month();
            let key = self.read(&month)?;
            self.last = None;
            return Ok(&self.last.insert((day, hmac::Key::new(hmac::HMAC_SHA256, &key))).1);
        }
        let none = || AuditTrouble::of(&self.folder)(io::ErrorKind::NotFound.into());
        self.last.as_ref().map(|(_, key)| key).ok_or_else(none)
    }

    /// The octets of a month's key: they stand in its file as hexadecimal digits.
    fn read(&self, month: &str) -> Result<[u8; 32], AuditTrouble> {
        let (name, path) = (format!("{month}.key"), self.folder.join(format!("{month}.key")));
        match std::fs::read_to_string(&path) {
            Ok(text) => from_hex(text.trim_end().as_bytes())
                .ok_or_else(|| AuditTrouble::Foreign { path, wrong: "these are not 64 hexadecimal digits".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key)).map_err(AuditTrouble::of(&path))?;
                write_whole(&self.folder, &name, format!("{}\n", hex(&key)).as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(AuditTrouble::of(&path)(error)),
        }
    }
}

/// 32 octets out of 64 hexadecimal digits.
pub(crate) fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *octet = u8::try_from(value(0)? << 4 | value(1)?).ok()?;
    }
    Some(octets)
}
