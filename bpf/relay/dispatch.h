/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a CPU that runs dry takes next. */
#ifndef BATON_RELAY_DISPATCH_H
#define BATON_RELAY_DISPATCH_H

#include "state.h"

/* The key at the head of a queue ordered by key. */
static __noinline bool head_key(u64 dsq, u64 *key)
{
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	bool found = false;

	if (!key)
		return false;
	if (!bpf_iter_scx_dsq_new(&it, dsq, 0)) {
		p = bpf_iter_scx_dsq_next(&it);
		if (p) {
			*key = p->scx.dsq_vtime;
			found = true;
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
	return found;
}

/* The earliest of this CPU's pinned tasks and all ready queues. */
__noinline u64 best_ready(u32 cpu, bool pinned)
{
	u64 best_dsq = 0, best_key = 0, key = 0;
	u32 own = llc_of(cpu), step;

	if (pinned && head_key(DSQ_PINNED + cpu, &best_key))
		best_dsq = DSQ_PINNED + cpu;
	bpf_for(step, 0, config.llcs)
	{
		u32 llc = own + step;
		u64 dsq;

		if (llc >= config.llcs)
			llc -= config.llcs;
		dsq = DSQ_READY + llc;
		if (scx_bpf_dsq_nr_queued(dsq) <= 0 || !head_key(dsq, &key))
			continue;
		if (!best_dsq || key_before(key, best_key)) {
			best_dsq = dsq;
			best_key = key;
		}
	}
	return best_dsq;
}

__noinline bool take_rescued(u32 cpu)
{
	u32 own = llc_of(cpu), step;

	if (config.llcs == 1)
		return scx_bpf_dsq_move_to_local(DSQ_RESCUE);
	bpf_for(step, 0, config.llcs)
	{
		u32 llc = own + step;

		if (llc >= config.llcs)
			llc -= config.llcs;
		if (scx_bpf_dsq_nr_queued(DSQ_RESCUE + llc) > 0 &&
		    scx_bpf_dsq_move_to_local(DSQ_RESCUE + llc))
			return true;
	}
	return false;
}

/* Where there is a choice, the earliest key decides. */
__noinline bool take_best(u32 cpu, bool pinned)
{
	u64 dsq = best_ready(cpu, pinned);
	u32 step;

	if (!dsq)
		return false;
	if (scx_bpf_dsq_move_to_local(dsq))
		return true;
	/* The head went elsewhere, or nothing there may run here: try all. */
	if (dsq != DSQ_PINNED + cpu && scx_bpf_dsq_move_to_local(DSQ_PINNED + cpu))
		return true;
	bpf_for(step, 0, config.llcs)
	{
		if (scx_bpf_dsq_move_to_local(DSQ_READY + step))
			return true;
	}
	return false;
}

static __always_inline bool take_ready(u32 cpu, struct cpu_ctx *cctx)
{
	bool pinned = cctx->pinned_used && scx_bpf_dsq_nr_queued(DSQ_PINNED + cpu) > 0;

	if (config.llcs == 1 && !pinned)
		return scx_bpf_dsq_move_to_local(DSQ_READY);
	return take_best(cpu, pinned);
}

static __always_inline bool take_any(u32 cpu, struct cpu_ctx *cctx)
{
	if (!rescue_used)
		return take_ready(cpu, cctx);
	if (cctx->turn++ & 1)
		return take_ready(cpu, cctx) || take_rescued(cpu);
	return take_rescued(cpu) || take_ready(cpu, cctx);
}

__noinline bool any_held(void)
{
	u32 llc;

	if (config.llcs == 1)
		return scx_bpf_dsq_nr_queued(DSQ_HOLD) > 0 || scx_bpf_dsq_nr_queued(DSQ_LEASED) > 0;
	bpf_for(llc, 0, config.llcs)
	{
		if (scx_bpf_dsq_nr_queued(DSQ_HOLD + llc) > 0 ||
		    scx_bpf_dsq_nr_queued(DSQ_LEASED + llc) > 0)
			return true;
	}
	return false;
}

#endif /* BATON_RELAY_DISPATCH_H */
