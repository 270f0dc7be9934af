//! Tasks' names, as far as a recording told them.

use std::collections::HashMap;

use crate::TaskInfo;

/// Names by pid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(HashMap<u32, String>);

impl Names {
    pub(crate) fn learn(&mut self, info: &TaskInfo) {
        self.0.insert(info.pid, text(&info.name));
    }

    /// Name and pid, as a person reads them.
    pub(crate) fn of(&self, pid: u32) -> String {
        match self.0.get(&pid) {
            Some(name) if !name.is_empty() => format!("{name} {pid}"),
            _ => pid.to_string(),
        }
    }
}

/// A name up to its first zero; bytes that are no UTF-8 are replaced.
pub(crate) fn text(name: &[u8; 16]) -> String {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&name[..length]).into_owned()
}
