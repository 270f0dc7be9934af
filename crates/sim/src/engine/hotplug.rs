//! CPUs that come and go.

use super::{
    Engine,
    class::Class,
    task::{NONE, State},
};

impl<C: Class> Engine<C> {
    /// The last CPU stays, as in the kernel; a CPU that is there already does not come.
    pub(super) fn hotplug(&mut self, cpu: u32, online: bool) {
        let is_known = (cpu as usize) < self.core.cpus.len();
        if !is_known
            || self.core.is_online(cpu) == online
            || (!online && self.core.online_count == 1)
        {
            return;
        }
        if online {
            self.core.set_online(cpu, true);
            self.class.hotplug(&mut self.core, cpu, true);
            self.core.requests.push(cpu);
            return;
        }
        // Others look at who is online while the tasks of this one find new places.
        let curr = self.core.cpu(cpu).curr;
        if curr != NONE {
            self.core.stop(cpu, true);
        }
        self.core.set_online(cpu, false);
        for slot in 0..self.core.tasks.slots() as u32 {
            if self.core.tasks[slot].state != State::Dead && self.core.break_affinity(slot) {
                self.class.changed(&mut self.core, slot);
            }
        }
        if curr != NONE {
            self.core.tasks[curr].cpu = self.core.fallback_cpu(curr);
            self.class.evicted(&mut self.core, cpu, curr);
        }
        self.class.hotplug(&mut self.core, cpu, false);
    }
}
