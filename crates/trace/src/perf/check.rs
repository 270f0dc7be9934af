//! Whether a file of perf's holds together, so that the library that reads records meets no
//! length that cannot be. Tells where it does not.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::{ImportFault, damaged};

/// Where the header has the data section.
const DATA_AT: u64 = 40;
const HEADER_BYTES: usize = 104;
const FEATURES_AT: usize = 72;

/// Features, by their bits.
const TRACING_DATA: usize = 1;
const EVENT_DESC: usize = 12;

/// Types of records that perf itself adds.
const AUXTRACE: u32 = 71;
const COMPRESSED: [u32; 2] = [81, 83];

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> u32 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(half)
}

pub(super) fn check<R: Read + Seek>(input: &mut BufReader<R>) -> Result<(), ImportFault> {
    let length = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(0))?;
    let mut header = [0; HEADER_BYTES];
    let known = length.min(HEADER_BYTES as u64) as usize;
    input.read_exact(&mut header[..known])?;
    match &header[..8] {
        b"PERFILE2" => {}
        b"2ELIFREP" => return Err(ImportFault::BigEndian),
        _ => return Err(ImportFault::Foreign),
    }
    if known >= 16 && word(&header, 8) == 16 {
        return Err(ImportFault::Pipe);
    }
    if known < HEADER_BYTES {
        return Err(damaged(length, "the file ends within its header"));
    }
    if word(&header, 8) != HEADER_BYTES as u64 {
        return Err(damaged(8, "a header of a length that no perf writes"));
    }
    let (data, size) = (word(&header, DATA_AT as usize), word(&header, 48));
    if size == 0 {
        return Err(ImportFault::Unfinished);
    }
    let end = data.checked_add(size);
    let end = end.filter(|end| *end <= length);
    let end = end.ok_or_else(|| damaged(DATA_AT, "records beyond the file's end"))?;
    check_features(input, &header, end, length)?;
    check_records(input, data, end)
}

/// Looks at each feature's section: it lies in the file, and the ones that are needed are there.
fn check_features<R: Read + Seek>(
    input: &mut BufReader<R>,
    header: &[u8],
    table: u64,
    length: u64,
) -> Result<(), ImportFault> {
    let has = |bit: usize| header[FEATURES_AT + bit / 8] & 1 << (bit % 8) != 0;
    if !has(TRACING_DATA) {
        return Err(ImportFault::Missing("descriptions of tracepoints"));
    }
    if !has(EVENT_DESC) {
        return Err(ImportFault::Missing("list of events"));
    }
    let mut at = table;
    for bit in (0..256).filter(|bit| has(*bit)) {
        let mut entry = [0; 16];
        input.seek(SeekFrom::Start(at))?;
        let read = input.read_exact(&mut entry);
        read.map_err(|_| damaged(at, "the file ends within its table of features"))?;
        let (offset, size) = (word(&entry, 0), word(&entry, 8));
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(damaged(at, format!("feature {bit} beyond the file's end")));
        }
        if bit == EVENT_DESC {
            input.seek(SeekFrom::Start(offset))?;
            let mut section = vec![0; size as usize];
            input.read_exact(&mut section)?;
            check_events(&section).map_err(|()| damaged(offset, "the list of events"))?;
        }
        at += 16;
    }
    Ok(())
}

/// Whether the list of events has as many as it says.
fn check_events(section: &[u8]) -> Result<(), ()> {
    let number = |at: usize| {
        let fits = at.checked_add(4).is_some_and(|end| end <= section.len());
        if fits {
            Ok(half(section, at) as usize)
        } else {
            Err(())
        }
    };
    let (events, size) = (number(0)?, number(4)?);
    if events == 0 || events > section.len() {
        return Err(());
    }
    let mut at = 8usize;
    for _ in 0..events {
        at = at.checked_add(size).ok_or(())?;
        let ids = number(at)?;
        let text = number(at + 4)?;
        let after = at.checked_add(8 + text).ok_or(())?;
        let next = ids.checked_mul(8).and_then(|ids| after.checked_add(ids));
        at = next.filter(|next| *next <= section.len()).ok_or(())?;
    }
    Ok(())
}

/// Walks along the records.
fn check_records<R: Read + Seek>(
    input: &mut BufReader<R>,
    data: u64,
    end: u64,
) -> Result<(), ImportFault> {
    input.seek(SeekFrom::Start(data))?;
    let mut at = data;
    while at < end {
        let mut head = [0; 8];
        let fits = end - at >= 8 && input.read_exact(&mut head).is_ok();
        let size = u64::from(u16::from_le_bytes([head[6], head[7]]));
        if !fits || size < 8 || size > end - at {
            return Err(damaged(at, "a record of a length that cannot be"));
        }
        match half(&head, 0) {
            AUXTRACE => return Err(damaged(at, "a record of a processor's trace")),
            kind if COMPRESSED.contains(&kind) => return Err(ImportFault::Compressed),
            _ => {}
        }
        input.seek_relative(size as i64 - 8)?;
        at += size;
    }
    Ok(())
}
