/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the relay knows of every task, for people who ask. */
#ifndef BATON_RELAY_TASKS_H
#define BATON_RELAY_TASKS_H

#include "place.h"
#include "publish.h"

static __always_inline void fill_state(struct baton_task *record, struct task_struct *p,
				       struct task_ctx *tctx, u64 now)
{
	u64 since = tctx->enqueued_ns;

	if (tctx->running_ns) {
		record->state = BATON_TASK_RUNNING;
		since = tctx->running_ns;
	} else if (since) {
		record->state = BATON_TASK_WAITING;
		record->dsq = dsq_of(p);
	} else {
		record->state = BATON_TASK_SLEEPING;
		since = tctx->stopped_ns;
	}
	if (since && now > since)
		record->for_ns = now - since;
}

/* Writes a struct baton_task for each task that the relay schedules. */
SEC("iter/task")
int relay_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;
	struct baton_task record;
	struct task_ctx *tctx;
	u32 by;

	if (!p)
		return 0;
	tctx = get_task(p);
	if (!tctx || !tctx->waits)
		return 0;
	__builtin_memset(&record, 0, sizeof(record));
	record.pid = p->pid;
	record.tgid = p->tgid;
	record.cpu = scx_bpf_task_cpu(p);
	record.weight = p->scx.weight;
	__builtin_memcpy(record.name, p->comm, BATON_NAME_LEN);
	record.runtime_ns = p->se.sum_exec_runtime;
	record.burst_ns = tctx->burst_ns;
	record.key_offset = tctx->key_offset;
	record.cgroup = cgroup_of(p);
	record.waits = tctx->waits;
	record.wait_sum_ns = tctx->wait_sum_ns;
	record.wait_max_ns = tctx->wait_max_ns;
	for (by = 0; by < BATON_BY_NR; by++)
		record.by[by] = tctx->by[by];
	fill_state(&record, p, tctx, scx_bpf_now());
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#endif /* BATON_RELAY_TASKS_H */
