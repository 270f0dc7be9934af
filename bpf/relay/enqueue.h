/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is placed at once, without asking the process, and why. */
#ifndef BATON_RELAY_ENQUEUE_H
#define BATON_RELAY_ENQUEUE_H

#include "place.h"

/* `keyed`: the key is of the policy's kind, not just the time. */
static __always_inline void place_fast(struct task_ctx *tctx, u32 by, u64 key, bool keyed, u64 now)
{
	placed_by(tctx, by);
	tctx->key = key;
	tctx->keyed = keyed;
	tctx->decided_ns = now;
}

static __always_inline u32 enqueue_reason(struct task_ctx *tctx, bool woken, bool waited)
{
	if (tctx->fresh)
		return BATON_NEW;
	if (woken)
		return BATON_WAKEUP;
	if (waited)
		return BATON_REQUEUED;
	return tctx->stop_reason;
}

/* Whether the task was placed without asking anybody, and why that is right. */
static __always_inline bool enqueue_fast(struct baton_shared *shared, struct task_struct *p,
					 struct task_ctx *tctx, bool woken, u64 enq_flags, u64 now)
{
	u32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *cctx;
	u64 key;

	/* Its CPU goes away, and the kernel moves it only from its own queues. */
	if (is_stranded(p)) {
		place_fast(tctx, BATON_BY_KERNEL, now, false, now);
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, slice_of(shared, 0), enq_flags);
		return true;
	}
	/* A pinned kernel thread serves the kernel itself, the timer included. */
	if ((p->flags & PF_KTHREAD) && is_pinned(p)) {
		place_fast(tctx, BATON_BY_KERNEL, now, false, now);
		idle_take(shared, cpu);
		cctx = get_cpu(cpu);
		if (cctx && had_its_turn(cctx, now))
			enq_flags |= SCX_ENQ_PREEMPT;
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of(shared, 0), enq_flags | SCX_ENQ_HEAD);
		count(BATON_CNT_KTHREADS);
		return true;
	}
	if (!woken)
		return false;
	/* ops.select_cpu is not asked about a task with one CPU. */
	if (options.idle_fast_path && is_pinned(p) && idle_claim(shared, cpu)) {
		place_fast(tctx, BATON_BY_IDLE, rule_key(tctx, p->scx.weight, now), rule_compares(),
			   now);
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of(shared, 0), enq_flags);
		count(BATON_CNT_FAST_IDLE);
		return true;
	}
	if (options.sync_fast_path && tctx->sync) {
		key = rule_key(tctx, p->scx.weight, now);
		place_fast(tctx, BATON_BY_SYNC, key, true, now);
		scx_bpf_dsq_insert_vtime(p, ready_dsq(p), slice_of(shared, 0), key, enq_flags);
		count(BATON_CNT_FAST_SYNC);
		return true;
	}
	return false;
}

/*
 * Placed at once, by the policy's rules and what it last said of the task: on an idle
 * CPU, over a running task where that is allowed, else in ready. A CPU that goes idle
 * before the insertion, which comes after ops.enqueue, is fed by the timer.
 */
static __always_inline void enqueue_hinted(struct baton_shared *shared, struct task_struct *p,
					   struct task_ctx *tctx, bool woken, u64 enq_flags,
					   u64 now)
{
	u64 key = rule_key(tctx, p->scx.weight, now);
	u64 slice_ns = slice_of(shared, tctx->slice_ns);
	struct cpu_ctx *cctx;
	s32 cpu;

	place_fast(tctx, BATON_BY_HINT, key, true, now);
	count(BATON_CNT_HINTED);
	cpu = take_idle(shared, p);
	if (cpu >= 0) {
		count(BATON_CNT_TO_IDLE);
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, slice_ns, enq_flags);
		return;
	}
	if (woken && !tctx->sync && tctx->hinted_preempt)
		cpu = find_victim(p, key, now);
	if (cpu < 0) {
		scx_bpf_dsq_insert_vtime(p, ready_dsq(p), slice_ns, key, enq_flags);
		return;
	}
	cctx = get_cpu(cpu);
	if (cctx)
		cctx->preempted = 1;
	count(BATON_CNT_PREEMPTIONS);
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, slice_ns, enq_flags | SCX_ENQ_PREEMPT);
}

/* The process is late, or its ring is full: first come, first served without it. */
static __always_inline void enqueue_bypass(struct task_struct *p, struct task_ctx *tctx,
					   u64 enq_flags, u64 now)
{
	u64 dsq = DSQ_RESCUE + llc_of(scx_bpf_task_cpu(p));

	place_fast(tctx, BATON_BY_BYPASS, now, false, now);
	count(BATON_CNT_BYPASSED);
	scx_bpf_dsq_insert(p, dsq, options.rescue_slice_ns, enq_flags);
}

#endif /* BATON_RELAY_ENQUEUE_H */
