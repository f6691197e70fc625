//! Numbers and their bounds: `CSeq`, Max-Forwards, Content-Length, ports.

/// A plain decimal number of ASCII digits, without sign; `None` if empty, not all digits, or above `max`. Never wraps.
pub fn decimal(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit).filter(|&sum| sum <= max)
    })
}
