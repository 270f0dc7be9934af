/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is placed at once, without asking the process, and why. */
#ifndef BATON_RELAY_ENQUEUE_H
#define BATON_RELAY_ENQUEUE_H

#include "place.h"
#include "predict.h"

/* A waker that sleeps within this time left its CPU to the wakee. */
#define HANDOVER_NS   200000
#define HANDOVER_SURE 4
#define HANDOVER_MAX  8

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

/*
 * Whether the current task will leave its CPU to the one that it wakes. Stages of a
 * pipeline do, though their wakeups are not marked as synchronous: who always slept
 * right after waking somebody will do so again, but only for the first that it wakes.
 */
static __always_inline bool hands_over(struct task_struct *current, u64 now)
{
	struct task_ctx *waker;

	/* Who is interrupted is not the one that wakes. */
	if (!options.sync_fast_path || in_interrupt(true))
		return false;
	waker = get_task(current);
	if (!waker)
		return false;
	waker->woke_ns = now;
	if (waker->wakes < 2)
		waker->wakes++;
	return waker->wakes == 1 && waker->handover >= HANDOVER_SURE;
}

/* The task goes to sleep: what became of its last wakeup? */
static __always_inline void learn_handover(struct task_ctx *tctx, u64 now)
{
	if (tctx->wakes == 1 && now - tctx->woke_ns < HANDOVER_NS) {
		if (tctx->handover < HANDOVER_MAX)
			tctx->handover++;
	} else if (tctx->wakes) {
		tctx->handover /= 2;
	}
	tctx->wakes = 0;
}

/*
 * Whether the process can sleep on: the task only lost its CPU, and others are ready
 * to run. Waking the process for it would take a CPU from them.
 */
static __always_inline bool can_wait(struct task_struct *p, u32 reason)
{
	if (!options.requeue_patience_ns ||
	    (reason != BATON_PREEMPTED && reason != BATON_SLICE_OVER && reason != BATON_YIELDED))
		return false;
	return scx_bpf_dsq_nr_queued(DSQ_READY + llc_of(scx_bpf_task_cpu(p))) > 0;
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
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, slice_of(0), enq_flags);
		return true;
	}
	/* A pinned kernel thread serves the kernel itself, the timer included. */
	if ((p->flags & PF_KTHREAD) && is_pinned(p)) {
		place_fast(tctx, BATON_BY_KERNEL, now, false, now);
		idle_take(shared, cpu);
		cctx = get_cpu(cpu);
		if (cctx && had_its_turn(cctx, now))
			enq_flags |= SCX_ENQ_PREEMPT;
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of(0), enq_flags | SCX_ENQ_HEAD);
		count(BATON_CNT_KTHREADS);
		return true;
	}
	if (!woken)
		return false;
	/* ops.select_cpu is not asked about a task with one CPU. */
	if (options.idle_fast_path && is_pinned(p) && idle_claim(shared, cpu)) {
		place_fast(tctx, BATON_BY_IDLE, rule_key(tctx, p->scx.weight, now), rule_compares(),
			   now);
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of(tctx->slice_ns), enq_flags);
		count(BATON_CNT_FAST_IDLE);
		return true;
	}
	if (options.sync_fast_path && tctx->sync) {
		if (options.predict == BATON_PREDICT_PLACE)
			guess_burst(p);
		key = rule_key(tctx, p->scx.weight, now);
		place_fast(tctx, BATON_BY_SYNC, key, true, now);
		scx_bpf_dsq_insert_vtime(p, ready_dsq(p), slice_of(tctx->slice_ns), key, enq_flags);
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
	u64 slice_ns = slice_of(tctx->slice_ns);
	struct cpu_ctx *cctx;
	s32 cpu;
	u64 key;

	if (options.predict == BATON_PREDICT_PLACE) {
		guess_burst(p);
		if (!tctx->slice_ns && options.prediction.slices)
			slice_ns = clamp_slice(baton_guess_slice_ns(
			    tctx->guess.burst, tctx->burst_ns, options.slice_min_ns, slice_ns));
	}
	key = rule_key(tctx, p->scx.weight, now);
	place_fast(tctx, BATON_BY_HINT, key, true, now);
	count(BATON_CNT_HINTED);
	cpu = take_hinted(shared, p, tctx);
	if (cpu < 0)
		cpu = take_idle(p);
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
	u64 dsq = rescue_dsq(scx_bpf_task_cpu(p));

	place_fast(tctx, BATON_BY_BYPASS, now, false, now);
	count(BATON_CNT_BYPASSED);
	scx_bpf_dsq_insert(p, dsq, options.rescue_slice_ns, enq_flags);
}

#endif /* BATON_RELAY_ENQUEUE_H */
