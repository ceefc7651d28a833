//! Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): bytes without a zero, at the cost of one byte in 254.
//!
//! A zero then ends a frame wherever it stands: who comes amid a stream, or behind a sender that was cut off, is in step
//! again at the next one.

/// Most bytes that `len` bytes become.
pub(crate) const fn encoded_len(len: usize) -> usize {
    len + len / 254 + 1
}

/// Appends `bytes` without their zeros.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(bytes.len()));
    let mut rest = bytes;
    loop {
        let run = rest.iter().take(254).take_while(|byte| **byte != 0).count();
        // 1 to 254: so many bytes less one, and a zero; 255: 254 bytes, and none.
        out.push(run as u8 + 1);
        out.extend_from_slice(&rest[..run]);
        match rest.get(run) {
            None => return,
            Some(0) if run < 254 => rest = &rest[run + 1..],
            Some(_) => rest = &rest[run..],
        }
    }
}

/// Takes the bytes out of `encoded`, which has no zero; nothing if it was cut off.
pub(crate) fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = encoded;
    while let Some((&code, after)) = rest.split_first() {
        let run = usize::from(code).checked_sub(1)?;
        out.extend_from_slice(after.get(..run)?);
        rest = &after[run..];
        if code < 255 && !rest.is_empty() {
            out.push(0);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_the_paper() {
        for (bytes, encoded) in [
            (&[][..], &[1][..]),
            (&[0], &[1, 1]),
            (&[0, 0], &[1, 1, 1]),
            (&[0x11, 0x22, 0, 0x33], &[3, 0x11, 0x22, 2, 0x33]),
            (&[0x11, 0, 0, 0], &[2, 0x11, 1, 1, 1]),
        ] {
            let mut out = Vec::new();
            encode(bytes, &mut out);
            assert_eq!(out, encoded);
        }
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!(decode(&[3, 0x11], &mut Vec::new()), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..1200)) {
            let (mut encoded, mut decoded) = (Vec::new(), Vec::new());
            encode(&bytes, &mut encoded);
            prop_assert!(!encoded.contains(&0) && encoded.len() <= encoded_len(bytes.len()));
            decode(&encoded, &mut decoded).unwrap();
            prop_assert_eq!(decoded, bytes);
        }

        #[test]
        fn runs_without_a_zero_are_decoded(len in 0_usize..1200) {
            let (bytes, mut encoded, mut decoded) = (vec![7; len], Vec::new(), Vec::new());
            encode(&bytes, &mut encoded);
            prop_assert!(encoded.len() <= encoded_len(len));
            decode(&encoded, &mut decoded).unwrap();
            prop_assert_eq!(decoded, bytes);
        }
    }
}
