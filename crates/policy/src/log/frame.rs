//! Frames: a body with its kind, its length and a check of both.

use alloc::vec::Vec;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::{BODY_MAX, LogError, kind};

/// Bytes before the body.
const PREFIX: usize = 8;

/// Appends one frame; a record that is too long becomes a gap.
pub(super) fn append<T: Serialize + ?Sized>(kind: u8, payload: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    out.push(kind);
    let written = postcard::serialize_with_flavor(payload, Append(out)).is_ok();
    if !written || out.len() - start - PREFIX > BODY_MAX {
        out.truncate(start);
        return append(kind::GAP, &1_u64, out);
    }
    let (prefix, body) = out[start..].split_at_mut(PREFIX);
    let [a, b, c, _] = (body.len() as u32).to_le_bytes();
    prefix[..4].copy_from_slice(&[a, b, c, guard(a, b, c)]);
    prefix[4..].copy_from_slice(&crc32(body).to_le_bytes());
}

/// What stands at a place of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A whole frame.
    Whole {
        kind: u8,
        payload: &'a [u8],
        next: usize,
    },
    /// The log ends within the frame, or just before it.
    Cut,
}

/// The frame that begins at `offset`.
pub(super) fn read(bytes: &[u8], offset: usize) -> Result<Frame<'_>, LogError> {
    let damaged = |what| LogError::Damaged { offset, what };
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some((&[a, b, c, given, w, x, y, z], rest)) = rest.split_first_chunk::<PREFIX>() else {
        return Ok(Frame::Cut);
    };
    if given != guard(a, b, c) {
        return Err(damaged("the length of a record"));
    }
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    let Some(body) = rest.get(..length) else {
        return Ok(Frame::Cut);
    };
    if crc32(body) != u32::from_le_bytes([w, x, y, z]) {
        return Err(damaged("the checksum of a record"));
    }
    let (&kind, payload) = body.split_first().ok_or(damaged("an empty record"))?;
    Ok(Frame::Whole {
        kind,
        payload,
        next: offset + PREFIX + length,
    })
}

const fn guard(a: u8, b: u8, c: u8) -> u8 {
    a ^ b ^ c ^ 0x5a
}

/// Lets postcard write at the end of a caller's buffer.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// CRC-32 of IEEE 802.3, one byte at a time by table.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_TABLE[((crc as u8) ^ byte) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

static CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_check_value() {
        // The check value of CRC-32/ISO-HDLC in catalogues of CRCs.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_record_that_is_too_long_becomes_a_gap() {
        let mut out = Vec::new();
        append(
            kind::EVENT,
            alloc::vec![0_u8; BODY_MAX].as_slice(),
            &mut out,
        );
        let frame = read(&out, 0).unwrap();
        assert_eq!(
            frame,
            Frame::Whole {
                kind: kind::GAP,
                payload: &[1],
                next: out.len()
            }
        );
    }
}
