/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the relay keeps: configuration, per-task and per-CPU state, counters. */
#ifndef BATON_RELAY_STATE_H
#define BATON_RELAY_STATE_H

#include "kernel.bpf.h"
#include "abi.h"
#include "histogram.h"

/* Dispatch queues. Each is either FIFO or ordered by key, never both. */
#define DSQ_HOLD   0x1000ULL  /* per LLC, FIFO: custody, no decision yet */
#define DSQ_LEASED 0x2000ULL  /* per LLC, by lease end: custody, in the policy's hand */
#define DSQ_READY  0x3000ULL  /* per LLC, by key: decided */
#define DSQ_RESCUE 0x4000ULL  /* per LLC, FIFO: placed by the relay itself */
#define DSQ_PINNED 0x10000ULL /* per CPU, by key: decided, allowed on this CPU alone */

const volatile struct baton_config config SEC(".rodata.config");

/* Written by the process before it attaches, and when another policy takes over. */
struct baton_options options SEC(".data.options");

/* Since when a held task waits for which the sleeping process was not woken; or 0. */
u64 deferred_ns;

/* Before any clock began: the process is to be woken as soon as possible. */
#define OVERDUE_NS 1

struct task_ctx {
	u64 seq;	     /* counts enqueues */
	u64 enqueued_ns;     /* since when it waits; 0 while it does not */
	u64 decided_ns;	     /* when it was placed; 0 before */
	u64 running_ns;	     /* since when it runs; 0 while it does not */
	u64 runtime_mark_ns; /* its CPU time when it got the CPU */
	u64 burst_ns;	     /* CPU time since its last sleep */
	u64 stopped_ns;	     /* when it left its CPU */
	u64 key;
	s64 key_offset;
	u64 slice_ns; /* hinted; 0: the options' */
	u64 wait_sum_ns;
	u64 wait_max_ns;
	u32 waits;
	u32 by[BATON_BY_NR]; /* who placed it */
	u64 woke_ns;	     /* when it last woke somebody */
	u64 published_ns;    /* HINT: when the process last heard of it */
	u64 waker_last_ns;   /* the last burst of who woke it */
	u32 announced;	     /* to the policy of this generation; 0: to none */
	u32 waker;
	u32 hint_cpu;	   /* one more than the preferred CPU; 0: none */
	u8 hinted_preempt; /* it may preempt when woken */
	u8 woken;	   /* it waits because it was woken */
	u8 sync;	   /* the wakeup was synchronous */
	u8 slept;	   /* it slept since it last ran */
	u8 fresh;	   /* created, not enqueued yet */
	u8 counted;	   /* in shared.waiting */
	u8 changed;	   /* weight, affinity or cgroup changed since */
	u8 yielded;
	u8 keyed; /* `key` is of the policy's kind: comparable */
	u8 stop_reason;
	u8 wakes;		      /* how many it woke since it last slept, up to 2 */
	u8 handover;		      /* how surely it sleeps right after waking somebody */
	u16 perf;		      /* one more than its CPU performance target; 0: none */
	u8 waker_noted;		      /* since it last woke */
	u8 by_task;		      /* a task woke it, not an interrupt */
	u8 by_relative;		      /* one of its own process */
	u8 unseen;		      /* its burst began before the relay came */
	struct baton_history history; /* kept while options.predict */
	struct baton_guess guess;     /* of this burst, or else of the last one that was guessed */
	u32 epoch;		      /* of predictions, that these are of */
	u8 guessed;		      /* of this burst */
	char name[BATON_NAME_LEN];    /* as the process knows it */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} tasks SEC(".maps");

/* What runs on a CPU, for judging preemption; read without locks. */
struct cpu_ctx {
	u64 key;
	u64 burst_ns;	 /* of the running task when it got the CPU, or the last when it left */
	u64 running_ns;	 /* 0: no task of ours runs */
	u64 offline_ns;	 /* when it began to go offline */
	u32 turn;	 /* alternates between rescued and ready */
	u32 last_pid;	 /* who ran there last, once it stopped */
	u32 evicted_pid; /* who gives way as soon as it runs there again */
	u8 keyed;	 /* `key` is of the policy's kind */
	u8 preempted;	 /* the relay took the CPU from the running task */
	u8 offline;
	u8 pinned_used; /* as rescue_used, of the CPU's own queue */
	u16 perf;	/* one more than the CPU performance target; 0: the kernel's */
	u8 pad[2];
};

struct cpu_ctx cpu_state[BATON_MAX_CPUS];

/*
 * Rescue and pinned queues are mostly empty, and to ask the kernel costs a lookup each
 * time that a CPU runs dry. So whoever puts a task there sets the mark to QUEUE_USED,
 * and the timer takes one off where it finds the queue empty. An insertion that comes
 * so late that the mark is gone is found by the timer.
 */
#define QUEUE_USED 2
u32 rescue_used;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct baton_shared);
} shared_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct baton_batch);
} batch_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct baton_stats);
} stats_map SEC(".maps");

/* Images of crates/model; all zeros until the process writes one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BATON_MODELS_MAX);
	__type(key, u32);
	__type(value, struct baton_model);
} model_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct baton_values);
} values_map SEC(".maps");

/* Whether the model is still better than the average. */
struct baton_drift drift;

/* Counts the policies, whose guesses and histories do not mix. */
u32 prediction_epoch = 1;

/* Resized by the process before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

static __always_inline struct baton_shared *get_shared(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&shared_map, &zero);
}

static __always_inline struct baton_stats *get_stats(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&stats_map, &zero);
}

static __always_inline struct task_ctx *get_task(struct task_struct *p)
{
	return bpf_task_storage_get(&tasks, p, 0, 0);
}

/*
 * An index the verifier can follow: the compiler must not know that the bound
 * was checked before, or it drops the mask and with it the proof.
 */
static __always_inline u32 bounded(u32 index, u32 mask)
{
	barrier_var(index);
	return index & mask;
}

static __always_inline struct cpu_ctx *get_cpu(u32 cpu)
{
	return cpu < BATON_MAX_CPUS ? &cpu_state[bounded(cpu, BATON_MAX_CPUS - 1)] : NULL;
}

/*
 * Whether this CPU can interrupt itself, which is how the kernel wakes the process and
 * kicks CPUs. After a CPU on its way out left the set of those online it cannot: what
 * it queues then stays in its queue, and all behind it, even when the CPU is back.
 */
static __always_inline bool can_signal(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_ctx *cctx = get_cpu(cpu);
	const struct cpumask *online;
	bool can;

	if (!cctx || !cctx->offline)
		return true;
	online = scx_bpf_get_online_cpumask();
	can = bpf_cpumask_test_cpu(cpu, online);
	scx_bpf_put_cpumask(online);
	return can;
}

/* Where it cannot be done, the timer finds what waits for the CPU. */
static __always_inline void kick(u32 cpu, u64 flags)
{
	if (bpf_ksym_exists(scx_bpf_kick_cpu) && can_signal())
		scx_bpf_kick_cpu(cpu, flags);
}

static __always_inline u32 llc_of(u32 cpu)
{
	return bounded(config.cpu_llc[bounded(cpu, BATON_MAX_CPUS - 1)], BATON_MAX_LLCS - 1);
}

static __always_inline u64 rescue_dsq(u32 cpu)
{
	rescue_used = QUEUE_USED;
	return DSQ_RESCUE + llc_of(cpu);
}

static __always_inline u64 pinned_dsq(u32 cpu)
{
	struct cpu_ctx *cctx = get_cpu(cpu);

	if (cctx)
		cctx->pinned_used = QUEUE_USED;
	return DSQ_PINNED + cpu;
}

static __always_inline void count(u32 which)
{
	struct baton_stats *stats = get_stats();

	if (stats && which < BATON_CNT_NR)
		stats->counter[which]++;
}

static __always_inline void count_value(u64 *histogram, u64 value)
{
	histogram[bounded(baton_bucket_of(value), BATON_HIST_BUCKETS - 1)]++;
}

static __always_inline u64 clamp_slice(u64 slice_ns)
{
	if (slice_ns < BATON_SLICE_MIN_NS)
		return BATON_SLICE_MIN_NS;
	if (slice_ns > BATON_SLICE_MAX_NS)
		return BATON_SLICE_MAX_NS;
	return slice_ns;
}

/* As SliceRule::slice_ns in the policy crate; `slice_ns` of 0 is the options'. */
__noinline u64 slice_of(u64 slice_ns)
{
	struct baton_shared *shared = get_shared();
	u64 waiting, cpus;

	if (slice_ns)
		return clamp_slice(slice_ns);
	if (!shared)
		return clamp_slice(options.slice_ns);
	waiting = *(volatile u32 *)&shared->waiting;
	cpus = *(volatile u32 *)&shared->cpus_online;
	slice_ns = options.slice_ns;
	if (options.slice_rule == BATON_SLICE_WAITING)
		slice_ns /= waiting + 1;
	else if (options.slice_rule == BATON_SLICE_WAITING_PER_CPU && cpus && waiting >= cpus)
		slice_ns /= waiting / cpus + 1;
	if (slice_ns < options.slice_min_ns)
		slice_ns = options.slice_min_ns;
	return clamp_slice(slice_ns);
}

static __always_inline bool key_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

/* Whether keys by the rule compare with those of the policy. */
static __always_inline bool rule_compares(void)
{
	return options.sync_fast_path || options.mode == BATON_MODE_HINT;
}

/*
 * The same arithmetic as KeyRule::key in the policy crate, and what the guess of the task's
 * burst adds: this burst's or, where it was not guessed, that of one before.
 */
static __always_inline u64 rule_key(const struct task_ctx *tctx, u32 weight, u64 now)
{
	u64 burst = tctx->burst_ns;

	if (options.key_rule == BATON_KEY_DEADLINE) {
		burst = burst * 100 / (weight ? weight : 1);
		if (burst > options.burst_max_ns)
			burst = options.burst_max_ns;
		now += burst;
	}
	if (options.predict == BATON_PREDICT_PLACE)
		now += baton_delay_ns(options.prediction.delay_max_ns, tctx->guess.burst, weight);
	return now + tctx->key_offset;
}

/*
 * A task starts to wait, or goes on waiting: its clock runs from the first
 * enqueue since it last ran.
 */
static __always_inline void wait_begin(struct task_ctx *tctx, struct baton_shared *shared, u64 now)
{
	if (!tctx->enqueued_ns)
		tctx->enqueued_ns = now;
	if (!tctx->counted) {
		tctx->counted = 1;
		__sync_fetch_and_add(&shared->waiting, 1);
	}
}

static __always_inline void wait_end(struct task_ctx *tctx, struct baton_shared *shared)
{
	tctx->enqueued_ns = 0;
	tctx->decided_ns = 0;
	tctx->woken = 0;
	if (tctx->counted) {
		tctx->counted = 0;
		__sync_fetch_and_sub(&shared->waiting, 1);
	}
}

/* `by` is a constant of enum baton_by. */
static __always_inline void placed_by(struct task_ctx *tctx, u32 by)
{
	tctx->by[by & (BATON_BY_NR - 1)]++;
}

/*
 * What a task's burst so far was is not known if another policy's relay, or none, saw it
 * begin, and no guess of it is this policy's.
 */
static __always_inline void prediction_begin(struct task_ctx *tctx)
{
	u32 epoch = *(volatile u32 *)&prediction_epoch;

	if (tctx->epoch == epoch)
		return;
	tctx->epoch = epoch;
	tctx->guessed = 0;
	tctx->unseen = 1;
	baton_lost(&tctx->history);
}

/* A wakeup starts a new burst, and so does a task's creation. */
static __always_inline void wake_begin(struct task_ctx *tctx, u64 now)
{
	if (!tctx->slept && !tctx->fresh)
		return;
	if (options.predict) {
		prediction_begin(tctx);
		tctx->unseen = 0;
		baton_woken(&tctx->history, now, tctx->slept ? now - tctx->stopped_ns : 0);
		if (!tctx->waker_noted)
			tctx->by_task = 0;
		tctx->waker_noted = 0;
		tctx->guessed = 0;
	}
	if (tctx->slept) {
		tctx->burst_ns = 0;
		tctx->slept = 0;
	}
}

#endif /* BATON_RELAY_STATE_H */
