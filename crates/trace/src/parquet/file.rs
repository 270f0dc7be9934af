//! What both tables' files have in common.

use std::{collections::HashMap, io::Write, sync::Arc};

use ::parquet::{
    basic::{Compression, Encoding},
    data_type::ByteArray,
    errors::Result,
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::{SCHEMA_VERSION, column};
use crate::{Header, TaskInfo, label};

/// Rows that are kept until they are written together.
pub(super) const GROUP_ROWS: usize = 1 << 18;

/// A file under way.
pub(super) struct File<W: Write + Send>(SerializedFileWriter<W>);

impl<W: Write + Send> File<W> {
    /// Begins a table. `rising` are columns whose values mostly rise.
    pub(super) fn new(
        out: W,
        table: &str,
        schema: &str,
        rising: &[&str],
        header: &Header,
    ) -> Result<Self> {
        let schema = Arc::new(parse_message_type(schema)?);
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("baton {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(metadata(table, header)));
        for name in rising {
            let path = ColumnPath::from(*name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let properties = Arc::new(properties.build());
        Ok(Self(SerializedFileWriter::new(out, schema, properties)?))
    }

    /// Writes a group of rows.
    pub(super) fn group(
        &mut self,
        columns: impl FnOnce(&mut SerializedRowGroupWriter<'_, W>) -> Result<()>,
    ) -> Result<()> {
        let mut group = self.0.next_row_group()?;
        columns(&mut group)?;
        group.close()?;
        Ok(())
    }

    /// Ends the file, with what is known only now.
    pub(super) fn finish(mut self, last: &[(&str, u64)]) -> Result<W> {
        for (key, value) in last {
            let pair = KeyValue::new(format!("baton.{key}"), value.to_string());
            self.0.append_key_value_metadata(pair);
        }
        self.0.into_inner()
    }
}

fn metadata(table: &str, header: &Header) -> Vec<KeyValue> {
    let json = |value: &dyn Fn() -> serde_json::Result<String>| value().unwrap_or_default();
    [
        ("table", table.to_owned()),
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("writer", header.writer.clone()),
        ("kernel", header.kernel.clone()),
        ("cpus", header.cpus().to_string()),
        ("machine", json(&|| serde_json::to_string(&header.machine))),
        ("began_unix_ns", header.began_unix_ns.to_string()),
        ("began_monotonic_ns", header.began_monotonic_ns.to_string()),
        ("names_hidden", header.names_hidden.to_string()),
        ("absent", json(&|| serde_json::to_string(&header.absent))),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(format!("baton.{key}"), value))
    .collect()
}

/// Tasks' names and processes, as far as a recording told them.
#[derive(Default)]
pub(super) struct Tasks(HashMap<u32, (ByteArray, u32)>);

impl Tasks {
    pub(super) fn learn(&mut self, info: &TaskInfo) {
        let name = column::text(&label::text(&info.name));
        self.0.insert(info.pid, (name, info.tgid));
    }

    pub(super) fn name(&self, pid: u32) -> Option<ByteArray> {
        self.0.get(&pid).map(|(name, _)| name.clone())
    }

    pub(super) fn tgid(&self, pid: u32) -> Option<i32> {
        self.0.get(&pid).map(|(_, tgid)| column::int(*tgid))
    }
}
