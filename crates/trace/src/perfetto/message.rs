//! Protocol buffers, as much of them as Perfetto's trace needs. The field numbers are those of
//! Perfetto's `protos/perfetto/trace`.

/// Field numbers, by message.
pub(super) mod field {
    pub(crate) const TRACE_PACKET: u32 = 1;
    pub(crate) const TIMESTAMP: u32 = 8;
    pub(crate) const SEQUENCE_ID: u32 = 10;
    pub(crate) const TRACK_EVENT: u32 = 11;
    pub(crate) const TRACK_DESCRIPTOR: u32 = 60;
    pub(crate) const TRACK_UUID: u32 = 1;
    pub(crate) const TRACK_NAME: u32 = 2;
    pub(crate) const TRACK_PARENT: u32 = 5;
    pub(crate) const TRACK_COUNTER: u32 = 8;
    pub(crate) const TRACK_CHILD_ORDERING: u32 = 11;
    pub(crate) const TRACK_RANK: u32 = 12;
    pub(crate) const EVENT_ANNOTATION: u32 = 4;
    pub(crate) const EVENT_TYPE: u32 = 9;
    pub(crate) const EVENT_TRACK: u32 = 11;
    pub(crate) const EVENT_NAME: u32 = 23;
    pub(crate) const EVENT_VALUE: u32 = 30;
    pub(crate) const EVENT_FLOW: u32 = 47;
    pub(crate) const EVENT_FLOW_END: u32 = 48;
    pub(crate) const ANNOTATION_NAME: u32 = 10;
    pub(crate) const ANNOTATION_TEXT: u32 = 6;
}

/// A message under way.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn content(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    pub(super) fn fixed(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }
}
