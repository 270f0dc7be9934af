//! Numbers from bytes: mostly small ones and round ones, which mean something together, and now and
//! then any.

/// What is left of the bytes. After their end everything is 0.
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn one_of<'b, T>(&mut self, choices: &'b [T]) -> &'b T {
        &choices[usize::from(self.byte()) % choices.len()]
    }

    /// A number below a small bound; one time in sixteen any.
    pub fn index(&mut self, below: u8) -> u32 {
        match self.byte() {
            byte @ 0..240 => u32::from(byte % below.max(1)),
            _ => self.word() as u32,
        }
    }

    /// A length of time or a count: small, some milliseconds, near either end, or any.
    pub fn number(&mut self) -> u64 {
        let byte = self.byte();
        let value = u64::from(byte >> 2);
        match byte & 3 {
            0 => value,
            1 => value * 500_000,
            2 if value < 48 => value * 100_000_000,
            2 => u64::MAX - (value - 48),
            _ if value < 48 => value * 1000,
            _ => self.word(),
        }
    }

    fn word(&mut self) -> u64 {
        let bytes = [(); 8].map(|()| self.byte());
        u64::from_le_bytes(bytes)
    }

    /// The rest.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }
}
