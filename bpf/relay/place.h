/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a held task goes: idle CPU, preemption, ready queue. */
#ifndef BATON_RELAY_PLACE_H
#define BATON_RELAY_PLACE_H

#include "state.h"

static __always_inline bool allowed_on(struct task_struct *p, u32 cpu)
{
	return cpu < config.cpus && bpf_cpumask_test_cpu(cpu, p->cpus_ptr);
}

/*
 * Whether the task may not leave its CPU for the moment. Entering a BPF program
 * disables migration of the current task itself: for that one, a count of one
 * means nothing.
 */
static __always_inline bool migration_disabled(struct task_struct *p)
{
	u32 own = p == (void *)bpf_get_current_task_btf();

	return p->migration_disabled > own;
}

/* Whether the task can run on one CPU alone. */
static __always_inline bool is_pinned(struct task_struct *p)
{
	return p->nr_cpus_allowed == 1 || migration_disabled(p);
}

/*
 * Whether tasks that are not ours want the CPU: a part of the machine shares it with the
 * kernel's own scheduler, which goes first. To be asked by the CPU itself.
 */
static __always_inline bool wanted_by_others(u32 cpu)
{
	const struct rq *rq;

	if (!config.part || !bpf_ksym_exists(&runqueues))
		return false;
	rq = bpf_per_cpu_ptr(&runqueues, cpu);
	return rq && rq->nr_running > rq->scx.nr_running;
}

static __always_inline void idle_set(struct baton_shared *shared, u32 cpu)
{
	u32 word = bounded(cpu / 64, BATON_MASK_WORDS - 1);

	__sync_fetch_and_or(&shared->idle[word], 1ULL << (cpu & 63));
}

/* Whether it was set; the caller that got `true` owns the idle CPU. */
static __always_inline bool idle_take(struct baton_shared *shared, u32 cpu)
{
	u64 bit = 1ULL << (cpu & 63);
	u32 word = bounded(cpu / 64, BATON_MASK_WORDS - 1);

	if (!(*(volatile u64 *)&shared->idle[word] & bit))
		return false;
	return __sync_fetch_and_and(&shared->idle[word], ~bit) & bit;
}

/* Takes an idle CPU out of the relay's mask and out of the kernel's. */
static __always_inline bool idle_claim(struct baton_shared *shared, u32 cpu)
{
	if (!idle_take(shared, cpu))
		return false;
	if (bpf_ksym_exists(scx_bpf_test_and_clear_cpu_idle))
		scx_bpf_test_and_clear_cpu_idle(cpu);
	return true;
}

/*
 * Undoes a claim whose move failed. The CPU idles with nothing to notice, so it is
 * told to look for work, which makes it visible again in any case.
 */
static __always_inline void idle_give_back(struct baton_shared *shared, u32 cpu)
{
	idle_set(shared, cpu);
	kick(cpu, SCX_KICK_IDLE);
}

/* The lowest set bit; the caller made sure that there is one. */
static __always_inline u32 lowest_bit(u64 bits)
{
	u32 bit = 0;

	bits &= -bits;
	if (bits & 0xffffffff00000000ULL)
		bit += 32;
	if (bits & 0xffff0000ffff0000ULL)
		bit += 16;
	if (bits & 0xff00ff00ff00ff00ULL)
		bit += 8;
	if (bits & 0xf0f0f0f0f0f0f0f0ULL)
		bit += 4;
	if (bits & 0xccccccccccccccccULL)
		bit += 2;
	if (bits & 0xaaaaaaaaaaaaaaaaULL)
		bit += 1;
	return bit;
}

/*
 * Takes an idle CPU for the task out of the given set (`llc` of
 * BATON_MAX_LLCS: any). -1 if there is none.
 *
 * The relay keeps its own idle mask, because a CPU must be visible as idle
 * before it looks at the ready queue for the last time: only then can a task be
 * put in the ready queue without the CPU missing it (see relay_dispatch).
 */
static __noinline s32 take_idle_in(struct task_struct *p, u32 llc)
{
	struct baton_shared *shared = get_shared();
	u32 word, tries;

	if (!shared)
		return -1;
	bpf_for(word, 0, config.words)
	{
		u64 bits;

		word = bounded(word, BATON_MASK_WORDS - 1);
		bits = *(volatile u64 *)&shared->idle[word];
		if (llc < BATON_MAX_LLCS)
			bits &= config.llc_mask[bounded(llc, BATON_MAX_LLCS - 1)][word];
		bpf_for(tries, 0, 64)
		{
			u32 cpu;

			if (!bits)
				break;
			cpu = word * 64 + lowest_bit(bits);
			bits &= bits - 1;
			if (allowed_on(p, cpu) && idle_claim(shared, cpu))
				return cpu;
		}
	}
	return -1;
}

static __always_inline bool any_idle(struct baton_shared *shared)
{
	u32 word;

	if (config.words == 1)
		return *(volatile u64 *)&shared->idle[0];
	bpf_for(word, 0, config.words)
	{
		if (*(volatile u64 *)&shared->idle[bounded(word, BATON_MASK_WORDS - 1)])
			return true;
	}
	return false;
}

static __always_inline s32 take_idle_near(struct baton_shared *shared, struct task_struct *p)
{
	u32 near = scx_bpf_task_cpu(p);
	s32 cpu;

	if (allowed_on(p, near) && idle_claim(shared, near))
		return near;
	if (is_pinned(p))
		return -1;
	if (config.llcs > 1) {
		cpu = take_idle_in(p, llc_of(near));
		if (cpu >= 0)
			return cpu;
	}
	return take_idle_in(p, BATON_MAX_LLCS);
}

/* An idle CPU that the task may use: where it was, near there, anywhere. Or -1. */
__noinline s32 take_idle(struct task_struct *p __arg_trusted)
{
	struct baton_shared *shared = get_shared();
	s32 cpu;

	if (!shared || !any_idle(shared))
		return -1;
	bpf_rcu_read_lock();
	cpu = take_idle_near(shared, p);
	bpf_rcu_read_unlock();
	return cpu;
}

/* The idle CPU that the policy prefers for the task, or -1. */
static __always_inline s32 take_hinted(struct baton_shared *shared, struct task_struct *p,
				       struct task_ctx *tctx)
{
	u32 cpu = tctx->hint_cpu - 1;

	if (!tctx->hint_cpu || !allowed_on(p, cpu) || is_pinned(p) || !idle_claim(shared, cpu))
		return -1;
	return cpu;
}

/* Whether what runs there has had its turn. */
static __always_inline bool had_its_turn(struct cpu_ctx *cctx, u64 now)
{
	u64 since = cctx->running_ns;

	return since && !cctx->preempted &&
	       cctx->burst_ns + (now - since) >= options.preempt_min_burst_ns;
}

/* Whether a task of this key may take the CPU from what runs there. */
static __always_inline bool may_preempt(u32 cpu, u64 key, u64 now)
{
	struct cpu_ctx *cctx = get_cpu(cpu);

	return cctx && cctx->keyed && had_its_turn(cctx, now) &&
	       key_before(key + options.preempt_min_lead_ns, cctx->key);
}

static __always_inline s32 find_victim_near(struct task_struct *p, u64 key, u64 now)
{
	u32 near = scx_bpf_task_cpu(p);
	u32 step;

	if (allowed_on(p, near) && may_preempt(near, key, now))
		return near;
	if (is_pinned(p))
		return -1;
	bpf_for(step, 1, 8)
	{
		u32 cpu = near + step;

		if (step >= config.cpus)
			break;
		if (cpu >= config.cpus)
			cpu -= config.cpus;
		if (allowed_on(p, cpu) && may_preempt(cpu, key, now))
			return cpu;
	}
	return -1;
}

/* A CPU that a task of this key may preempt: its own, or one of a few near it. Or -1. */
__noinline s32 find_victim(struct task_struct *p __arg_trusted, u64 key, u64 now)
{
	s32 cpu;

	bpf_rcu_read_lock();
	cpu = find_victim_near(p, key, now);
	bpf_rcu_read_unlock();
	return cpu;
}

/*
 * The queue that takes decided tasks of this task's kind. One that may not migrate
 * for the moment stands in ready, where other CPUs pass it over: seen from another
 * CPU, a task on its way out of its own looks like that too while BPF runs there.
 */
static __always_inline u64 ready_dsq(struct task_struct *p)
{
	u32 cpu = scx_bpf_task_cpu(p);

	if (p->nr_cpus_allowed == 1)
		return pinned_dsq(cpu);
	return DSQ_READY + llc_of(cpu);
}

/* Whether the task may run on no online CPU but the one it is on. */
__noinline bool has_no_other(struct task_struct *p __arg_trusted)
{
	u32 own = scx_bpf_task_cpu(p);
	bool other = false;
	u32 cpu;

	if (is_pinned(p))
		return true;
	bpf_rcu_read_lock();
	bpf_for(cpu, 0, config.cpus)
	{
		struct cpu_ctx *cctx = get_cpu(cpu);

		if (cpu != own && cctx && !cctx->offline && allowed_on(p, cpu)) {
			other = true;
			break;
		}
	}
	bpf_rcu_read_unlock();
	return !other;
}

/*
 * Whether a task sits on a CPU that goes away and may run on no other that is
 * online: only the kernel can move it.
 */
static __always_inline bool is_stranded(struct task_struct *p)
{
	struct cpu_ctx *cctx = get_cpu(scx_bpf_task_cpu(p));

	return cctx && cctx->offline && has_no_other(p);
}

/*
 * Whether the task can go nowhere but to its own CPU, which has nothing of ours: it
 * belongs in the local queue then. A CPU that begins to go offline takes from no
 * other, and ops.cpu_offline tells only after a grace period of RCU, for which the
 * task itself may be what all wait for.
 */
static __always_inline bool is_left_alone(struct task_struct *p)
{
	u32 own = scx_bpf_task_cpu(p);
	struct cpu_ctx *cctx = get_cpu(own);

	return cctx && !cctx->running_ns && scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | own) <= 0 &&
	       has_no_other(p);
}

/*
 * Hands a stranded task to the kernel, which breaks its affinity as soon as the
 * CPU looks at the global queue. An idle CPU does so only when told to.
 */
static __always_inline bool free_one(struct bpf_iter_scx_dsq *it, struct task_struct *p)
{
	s32 cpu = scx_bpf_task_cpu(p);

	if (!scx_bpf_dsq_move(it, p, SCX_DSQ_GLOBAL, 0))
		return false;
	kick(cpu, SCX_KICK_PREEMPT);
	return true;
}

static __always_inline u64 dsq_of(struct task_struct *p)
{
	struct scx_dispatch_q *dsq = p->scx.dsq;

	return dsq ? BPF_CORE_READ(dsq, id) : 0;
}

static __always_inline bool in_custody(u64 dsq)
{
	return (dsq & ~0xfffULL) == DSQ_HOLD || (dsq & ~0xfffULL) == DSQ_LEASED;
}

/*
 * The part of a wait that lies in the silence, which began a rescue_after before it was
 * noticed: what lies before is the policy's.
 */
static __always_inline void note_silent_wait(struct baton_shared *shared, struct baton_stats *stats,
					     u64 since, u64 now)
{
	u64 began = shared->silent_since_ns - options.rescue_after_ns;

	if (key_before(since, began))
		since = began;
	if (key_before(since, now) && now - since > stats->silent_wait_max_ns)
		stats->silent_wait_max_ns = now - since;
}

static __always_inline void note_decision(u64 enqueued_ns, u64 now)
{
	struct baton_stats *stats = get_stats();

	if (stats && enqueued_ns && now > enqueued_ns)
		count_value(stats->queue_to_decision, now - enqueued_ns);
}

#endif /* BATON_RELAY_PLACE_H */
