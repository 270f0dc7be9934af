/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both of the recorder's programs have: the one of any kernel, the one of the relay. */
#ifndef BATON_RECORD_SHARED_H
#define BATON_RECORD_SHARED_H

#include "kernel.bpf.h"
#include "recorder.h"

struct baton_rec_control control SEC(".data.control");
struct baton_rec_head heads[BATON_REC_MAX_CPUS] SEC(".data.heads");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} shared_ring SEC(".maps");

static __always_inline u32 bounded(u32 index, u32 mask)
{
	barrier_var(index);
	return index & mask;
}

static __always_inline struct baton_rec_head *own_head(u32 cpu)
{
	return &heads[bounded(cpu, BATON_REC_MAX_CPUS - 1)];
}

static __always_inline u64 stamp(u32 kind)
{
	return (bpf_ktime_get_ns() - control.began_ns) << 8 | kind;
}

/*
 * Interrupts may be on: one that tells meanwhile either counts this record, or finds the
 * mark set afterwards, the next time.
 */
static __always_inline void lose_shared(struct baton_rec_head *head)
{
	__sync_fetch_and_add(&head->lost_shared, 1);
	*(volatile u64 *)&head->untold = 1;
}

static __always_inline struct baton_rec_task *reserve_task(void)
{
	struct baton_rec_task *task;

	if (!control.began_ns)
		return NULL;
	task = bpf_ringbuf_reserve(&shared_ring, sizeof(*task), 0);
	if (!task)
		lose_shared(own_head(bpf_get_smp_processor_id()));
	return task;
}

#endif /* BATON_RECORD_SHARED_H */
