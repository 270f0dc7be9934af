// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The recorder of the relay: listens at the functions of relay/watch.h. Each program is
 * loaded for one of the relay's programs, which the process names; the memory is that of
 * record.bpf.c.
 */
#include "record/shared.h"

char _license[] SEC("license") = "GPL";

static __always_inline int record_relay(u32 kind, u64 pid, u64 cpu, u64 slice_ns, u64 waited_ns)
{
	struct baton_rec_task *task = reserve_task();

	if (!task)
		return 0;
	__builtin_memset(task, 0, sizeof(*task));
	task->stamp = stamp(kind);
	task->cpu = bpf_get_smp_processor_id();
	task->pid = pid;
	task->parent = cpu;
	task->slice_ns = slice_ns;
	task->waited_ns = waited_ns;
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("fentry")
int record_enqueue(u64 *ctx)
{
	return record_relay(BATON_REC_ENQUEUE, ctx[0], 0, 0, 0);
}

SEC("fentry")
int record_decided(u64 *ctx)
{
	return record_relay(BATON_REC_DECIDED, ctx[0], ctx[1], ctx[2], ctx[3]);
}

SEC("fentry")
int record_rescued(u64 *ctx)
{
	return record_relay(BATON_REC_RESCUED, ctx[0], 0, 0, 0);
}
