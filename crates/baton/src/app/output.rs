//! What commands print.

use std::{
    fmt,
    io::{self, ErrorKind},
    sync::{Mutex, PoisonError},
};

use super::{Code, Failure};

/// Why nothing more can be printed.
static BROKEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints on standard output, with colours where a terminal shows them. Once that fails, as behind
/// `| head`, the rest is dropped and the command goes on to its end: it may have a machine to give back.
/// [`printed`] then tells why.
pub fn print(text: fmt::Arguments<'_>) {
    to(&mut anstream::stdout(), &BROKEN, text);
}

/// Whether all was printed that anybody wanted to read.
///
/// # Errors
/// Standard output could not be written. That its reader has gone is no error.
pub fn printed() -> Result<(), Failure> {
    ended(&mut io::stdout(), &BROKEN)
}

fn to(out: &mut impl io::Write, broken: &Mutex<Option<io::Error>>, text: fmt::Arguments<'_>) {
    let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
    if broken.is_none() {
        *broken = out.write_fmt(text).err();
    }
}

fn ended(out: &mut impl io::Write, broken: &Mutex<Option<io::Error>>) -> Result<(), Failure> {
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let result = broken.map_or_else(|| out.flush(), Err);
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("cannot write to standard output: {error}");
            Err(Failure::new(Code::Io, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails.
    struct Narrow(usize, ErrorKind, Vec<u8>);

    impl io::Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.2.len() >= self.0 {
                return Err(self.1.into());
            }
            self.2.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_printed_after_a_failure_and_a_gone_reader_is_none() {
        for (kind, fails) in [
            (ErrorKind::BrokenPipe, false),
            (ErrorKind::StorageFull, true),
        ] {
            let mut out = Narrow(3, kind, Vec::new());
            let broken = Mutex::new(None);
            for _ in 0..2 {
                to(&mut out, &broken, format_args!("one\n"));
            }
            out.0 = 99;
            to(&mut out, &broken, format_args!("two\n"));
            assert_eq!(out.2, b"one\n");
            assert_eq!(ended(&mut out, &broken).is_err(), fails, "{kind}");
        }
        let mut out = Narrow(3, ErrorKind::Other, Vec::new());
        assert!(ended(&mut out, &Mutex::new(None)).is_ok());
    }
}
