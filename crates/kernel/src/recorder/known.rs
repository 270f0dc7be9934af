//! What is known of tasks: so that a recording tells their names once.

use baton_trace::TaskInfo;

const PAGE: usize = 1024;

/// Tasks by their numbers, in pages that are made when needed.
#[derive(Debug, Default)]
pub(super) struct Known {
    pages: Vec<Option<Box<[Option<TaskInfo>; PAGE]>>>,
}

impl Known {
    pub(super) fn get(&self, pid: u32) -> Option<&TaskInfo> {
        let page = self.pages.get(pid as usize / PAGE)?.as_ref()?;
        page[pid as usize % PAGE].as_ref()
    }

    pub(super) fn set(&mut self, info: TaskInfo) {
        let pid = info.pid as usize;
        if self.pages.len() <= pid / PAGE {
            self.pages.resize_with(pid / PAGE + 1, || None);
        }
        let page = self.pages[pid / PAGE].get_or_insert_with(|| Box::new([None; PAGE]));
        page[pid % PAGE] = Some(info);
    }

    /// Whoever has the number next is another.
    pub(super) fn forget(&mut self, pid: u32) {
        if let Some(Some(page)) = self.pages.get_mut(pid as usize / PAGE) {
            page[pid as usize % PAGE] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_by_number() {
        let mut known = Known::default();
        let info = |pid| TaskInfo {
            pid,
            tgid: pid,
            name: [b'x'; 16],
            prio: 120,
            kernel: false,
        };
        assert_eq!(known.get(5), None);
        for pid in [5, 1023, 1024, 4_194_303] {
            known.set(info(pid));
        }
        assert_eq!(known.get(1024), Some(&info(1024)));
        assert_eq!(known.get(4_194_303), Some(&info(4_194_303)));
        assert_eq!(known.get(6), None);
        assert_eq!(known.get(u32::MAX), None);
        known.forget(1024);
        known.forget(u32::MAX);
        assert_eq!(
            (known.get(1024), known.get(1023)),
            (None, Some(&info(1023)))
        );
    }
}
