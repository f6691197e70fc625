//! Numbers and their bounds: `CSeq`, Max-Forwards, Content-Length, ports.

use std::net::{IpAddr, Ipv4Addr};

/// A plain decimal number of ASCII digits, without sign; `None` if empty, not all digits, or above `max`. Never wraps.
pub fn decimal(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    for &octet in text {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
        if sum > max {
            return None;
        }
    }
    Some(sum)
}

/// A dotted quad: four numbers up to 255 without leading zeros. Resolvers disagree about every other form.
pub(crate) fn quad(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|&octet| octet == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() > 1 && part.first() == Some(&b'0') {
            return None;
        }
        *octet = u8::try_from(decimal(part, 255)?).ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Appends a number in decimal.
pub(crate) fn write_decimal(value: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut rest = value;
    let mut blank = digits.len();
    for digit in digits.iter_mut().rev() {
        // One digit: below 10.
        *digit = b'0'.wrapping_add(rest.wrapping_rem(10).to_le_bytes()[0]);
        rest = rest.wrapping_div(10);
        blank = blank.wrapping_sub(1);
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(blank..).unwrap_or_default());
}

/// Every octet in decimal with a dot behind it, and the length of both.
#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
static DOTTED: [([u8; 4], u8); 256] = {
    let (mut table, mut octet) = ([([0; 4], 0); 256], 0_u8);
    loop {
        let [hundreds, tens, ones] = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        table[octet as usize] = match octet {
            100.. => ([hundreds, tens, ones, b'.'], 4),
            10.. => ([tens, ones, b'.', 0], 3),
            _ => ([ones, b'.', 0, 0], 2),
        };
        if octet == u8::MAX {
            break table;
        }
        octet += 1;
    }
};

/// Appends an IP address as in `received`: without brackets.
#[expect(clippy::indexing_slicing, reason = "an octet is always within 256 entries")]
pub(crate) fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let (mut text, mut length) = ([0; 16], 0_usize);
            for octet in ip.octets() {
                let (dotted, more) = &DOTTED[octet as usize];
                // Each writes over what is too much of the one before it.
                if let Some(place) = text.get_mut(length..).and_then(|rest| rest.first_chunk_mut()) {
                    *place = *dotted;
                }
                length = length.wrapping_add(usize::from(*more));
            }
            out.extend_from_slice(text.get(..length.saturating_sub(1)).unwrap_or_default());
        }
        IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for value in [0, 1, 9, 10, 99, 100, 255, 5060, 65_535, u32::MAX] {
            let mut out = Vec::new();
            write_decimal(value, &mut out);
            assert_eq!(out, value.to_string().as_bytes());
            assert_eq!(decimal(&out, u64::MAX), Some(u64::from(value)));
        }
        for ip in ["0.0.0.0", "192.0.2.255", "2001:db8::1"] {
            let mut out = Vec::new();
            write_ip(ip.parse().unwrap(), &mut out);
            assert_eq!(out, ip.as_bytes());
        }
        for text in [
            "0.0.0.0",
            "1.2.3.4",
            "255.255.255.255",
            "",
            ".",
            "1.2.3",
            "1.2.3.4.",
            ".1.2.3.4",
            "1..2.3",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.4.5",
            "1.2.3.-4",
            "+1.2.3.4",
            "1.2.3.00",
            "1.2.3.4 ",
        ] {
            assert_eq!(quad(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!(decimal(b"", 9), None);
        assert_eq!(decimal(b"99999999999999999999", u64::MAX), None);
    }
}
