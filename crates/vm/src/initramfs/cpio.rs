//! The archive format that the kernel unpacks: cpio "newc", see the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst.

use std::io::{self, Read, Write};

const TYPE_DIR: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_CHAR: u32 = 0o020_000;

/// Writes entries; parents must come before their children, or the kernel drops these.
pub(crate) struct Writer<W> {
    inner: W,
    inode: u32,
    written: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            inode: 0,
            written: 0,
        }
    }

    pub(crate) fn dir(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.header(name, TYPE_DIR | mode, 0, (0, 0))
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        self.header(name, TYPE_LINK | 0o777, target.len() as u64, (0, 0))?;
        self.put(target.as_bytes())?;
        self.pad()
    }

    pub(crate) fn char_device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.header(name, TYPE_CHAR | 0o600, 0, (major, minor))
    }

    /// Writes a file of exactly `size` bytes; one that changed its size meanwhile is an error.
    pub(crate) fn file(
        &mut self,
        name: &str,
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.header(name, TYPE_FILE | mode, size, (0, 0))?;
        let copied = io::copy(&mut content.take(size), &mut self.inner)?;
        self.written += copied;
        if copied != size {
            return Err(io::Error::other("the file shrank while it was packed"));
        }
        self.pad()
    }

    /// Ends the archive and returns its size.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.header("TRAILER!!!", 0, 0, (0, 0))?;
        self.inner.flush()?;
        Ok(self.written)
    }

    fn header(&mut self, name: &str, mode: u32, size: u64, device: (u32, u32)) -> io::Result<()> {
        let size = u32::try_from(size)
            .map_err(|_| io::Error::other("a file in an initramfs must be below 4 GiB"))?;
        self.inode += 1;
        let (inode, (major, minor), length) = (self.inode, device, name.len() + 1);
        let header = format!(
            "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{mtime:08x}{size:08x}\
             {dev_major:08x}{dev_minor:08x}{major:08x}{minor:08x}{length:08x}{check:08x}{name}\0",
            uid = 0,
            gid = 0,
            links = 1,
            mtime = 0,
            dev_major = 0,
            dev_minor = 0,
            check = 0,
        );
        self.put(header.as_bytes())?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(4) - self.written;
        self.put(&[0; 3][..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_complete() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.dir("etc", 0o755).unwrap();
        writer
            .file("etc/x", 0o644, 5, &mut b"hello".as_slice())
            .unwrap();
        writer.link("l", "etc/x").unwrap();
        writer.char_device("c", 5, 1).unwrap();
        let size = writer.finish().unwrap();
        assert_eq!(size as usize, bytes.len());
        assert_eq!(size % 4, 0);
        assert_eq!(
            bytes
                .windows(6)
                .filter(|window| window == b"070701")
                .count(),
            5
        );
        assert_eq!(&bytes[..6], b"070701");
        // 110 bytes of header and "etc\0" make 114, so the second header starts at 116.
        assert_eq!(&bytes[116..122], b"070701");
    }

    #[test]
    fn a_shrinking_file_is_an_error() {
        let mut writer = Writer::new(Vec::new());
        assert!(
            writer
                .file("x", 0o644, 6, &mut b"hello".as_slice())
                .is_err()
        );
        assert!(
            writer
                .file("x", 0o644, 1 << 32, &mut b"".as_slice())
                .is_err()
        );
    }
}
