//! RFC 3339 datetimes as instants.

/// Nanoseconds since the Unix epoch, of a text that is an RFC 3339 datetime (`2024-05-01T12:00:00Z`, any
/// offset, up to nanoseconds). The form is checked here, so that nothing more than RFC 3339 ever counts.
pub fn instant(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes.len() > 35 || !bytes.is_ascii() {
        return None;
    }
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = |form: &[u8], bytes: &[u8]| {
        form.len() == bytes.len()
            && form.iter().zip(bytes).all(|(f, b)| match f {
                b'd' => b.is_ascii_digit(),
                b'T' => matches!(b, b'T' | b't'),
                f => f == b,
            })
    };
    if !fits(form, &bytes[..form.len()]) {
        return None;
    }
    let mut zone = &bytes[form.len()..];
    if let Some(fraction) = zone.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        zone = &fraction[digits..];
    }
    let zoned = matches!(zone, b"Z" | b"z") || fits(b"+dd:dd", zone) || fits(b"-dd:dd", zone);
    if !zoned {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_ignore_the_zone_they_are_written_in() {
        assert_eq!(instant("1970-01-01T00:00:00.000000001Z"), Some(1));
        assert_eq!(instant("2024-05-01T12:00:00+02:00"), instant("2024-05-01T10:00:00z"));
        assert!(instant("2024-05-01T12:00:00.5Z") > instant("2024-05-01t12:00:00Z"));
        for no in [
            "2024-05-01",
            "2024-05-01T12:00Z",
            "2024-05-01 12:00:00Z",
            "2024-13-01T12:00:00Z",
            "2024-05-01T12:00:00",
            "2024-05-01T12:00:00[Europe/Berlin]",
            "2024-05-01T12:00:00.Z",
            "yesterday, at five in the morning",
            "",
        ] {
            assert_eq!(instant(no), None, "{no}");
        }
    }
}
