//! Columns under way.

use std::io::Write;

use ::parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::Result,
    file::writer::SerializedRowGroupWriter,
};

/// Values of one column, and for each row whether there is one.
pub(super) struct Column<T: DataType> {
    values: Vec<T::T>,
    /// None: every row has one.
    defined: Option<Vec<i16>>,
}

pub(super) type Ints = Column<Int32Type>;
pub(super) type Longs = Column<Int64Type>;
pub(super) type Bools = Column<BoolType>;
pub(super) type Texts = Column<ByteArrayType>;

impl<T: DataType> Column<T> {
    pub(super) const fn required() -> Self {
        Self {
            values: Vec::new(),
            defined: None,
        }
    }

    pub(super) const fn optional() -> Self {
        Self {
            values: Vec::new(),
            defined: Some(Vec::new()),
        }
    }

    /// A value; for a column that need not have one, with that said.
    pub(super) fn put(&mut self, value: T::T) {
        self.values.push(value);
        if let Some(defined) = &mut self.defined {
            defined.push(1);
        }
    }

    pub(super) fn put_option(&mut self, value: Option<T::T>) {
        match (value, &mut self.defined) {
            (Some(value), _) => self.put(value),
            (None, Some(defined)) => defined.push(0),
            // A required column has a value in each row.
            (None, None) => self.values.push(T::T::default()),
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        if let Some(defined) = &mut self.defined {
            defined.clear();
        }
    }
}

/// A column, whatever its type.
pub(super) trait AnyColumn {
    /// Writes it as the next one of a group of rows, and empties it.
    fn write_to<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()>
    where
        Self: Sized;
}

impl<T: DataType> AnyColumn for Column<T> {
    fn write_to<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        if let Some(mut writer) = group.next_column()? {
            let typed = writer.typed::<T>();
            typed.write_batch(&self.values, self.defined.as_deref(), None)?;
            writer.close()?;
        }
        self.clear();
        Ok(())
    }
}

pub(super) fn text(text: &str) -> ByteArray {
    ByteArray::from(text)
}

/// Times and counts: beyond 2^63 nothing is counted.
pub(super) fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Pids, CPUs and the like, which fit.
pub(super) fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
