/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another policy takes over while tasks wait and run. */
#ifndef BATON_RELAY_SWITCH_H
#define BATON_RELAY_SWITCH_H

#include "perf.h"
#include "place.h"
#include "publish.h"
#include "rescue.h"

/* Tasks of one queue that a switch goes through; what is beyond, rescue takes. */
#define SWITCH_SCAN_MAX 16384

/*
 * Keys of two policies do not compare, so decided tasks go to rescue, which serves
 * them in the order in which they stood.
 */
static __noinline void release_decided(u64 dsq, u32 llc)
{
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (scx_bpf_dsq_nr_queued(dsq) <= 0)
		return;
	rescue_used = QUEUE_USED;
	if (!bpf_iter_scx_dsq_new(&it, dsq, 0)) {
		bpf_for(step, 0, SWITCH_SCAN_MAX)
		{
			struct task_ctx *tctx;

			p = bpf_iter_scx_dsq_next(&it);
			if (!p)
				break;
			tctx = get_task(p);
			if (tctx)
				tctx->keyed = 0;
			scx_bpf_dsq_move_set_slice(&it, options.rescue_slice_ns);
			scx_bpf_dsq_move(&it, p, DSQ_RESCUE + llc, 0);
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
}

/* Tells the new policy of tasks that wait for a decision. */
static __noinline void announce_held(u64 dsq, u64 now)
{
	struct baton_shared *shared = get_shared();
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (!shared || scx_bpf_dsq_nr_queued(dsq) <= 0)
		return;
	if (!bpf_iter_scx_dsq_new(&it, dsq, 0)) {
		bpf_for(step, 0, SWITCH_SCAN_MAX)
		{
			struct task_ctx *tctx;

			p = bpf_iter_scx_dsq_next(&it);
			if (!p)
				break;
			tctx = get_task(p);
			if (!tctx || !tctx->enqueued_ns)
				continue;
			if (!publish_enqueue(shared, p, tctx, BATON_REQUEUED, 0, 0, now, true))
				break;
			count(BATON_CNT_TAKEN_OVER);
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
}

static long switch_llc(u32 llc, void *data)
{
	u64 now = *(u64 *)data;

	release_decided(DSQ_READY + llc, llc);
	if (options.mode == BATON_MODE_HINT) {
		/* It decides nothing, so nothing waits for it. */
		release_decided(DSQ_HOLD + llc, llc);
		release_decided(DSQ_LEASED + llc, llc);
		return 0;
	}
	announce_held(DSQ_HOLD + llc, now);
	announce_held(DSQ_LEASED + llc, now);
	return 0;
}

static long switch_cpu(u32 cpu, void *data)
{
	struct cpu_ctx *cctx = get_cpu(cpu);

	if (cctx) {
		cctx->keyed = 0;
		set_perf(cpu, 0);
	}
	release_decided(DSQ_PINNED + cpu, llc_of(cpu));
	return 0;
}

/*
 * Takes the options of the policy that takes over, and tells it what waits. Every
 * task is introduced to it anew, and what the last one said of it is forgotten.
 */
SEC("syscall")
int relay_switch(struct baton_options *wanted)
{
	struct baton_shared *shared = get_shared();
	u64 now = scx_bpf_now();

	if (!shared)
		return -EINVAL;
	options = *wanted;
	/* What was found out is of another model, perhaps. */
	__builtin_memset(&drift, 0, sizeof(drift));
	__sync_fetch_and_add(&prediction_epoch, 1);
	shared->model = options.model;
	shared->model_off = 0;
	shared->alive_ns = bpf_ktime_get_ns();
	shared->silent = 0;
	__sync_fetch_and_add(&shared->generation, 1);
	bpf_rcu_read_lock();
	bpf_loop(config.cpus, switch_cpu, &now, 0);
	bpf_loop(config.llcs, switch_llc, &now, 0);
	bpf_rcu_read_unlock();
	return 0;
}

#endif /* BATON_RELAY_SWITCH_H */
