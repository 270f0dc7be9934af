/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the relay keeps: configuration, per-task and per-CPU state, counters. */
#ifndef BATON_RELAY_STATE_H
#define BATON_RELAY_STATE_H

#include "kernel.bpf.h"
#include "abi.h"

/* Dispatch queues. Each is either FIFO or ordered by key, never both. */
#define DSQ_HOLD   0x1000ULL  /* per LLC, FIFO: custody, no decision yet */
#define DSQ_LEASED 0x2000ULL  /* per LLC, by lease end: custody, in the policy's hand */
#define DSQ_READY  0x3000ULL  /* per LLC, by key: decided */
#define DSQ_RESCUE 0x4000ULL  /* per LLC, FIFO: placed by the relay itself */
#define DSQ_PINNED 0x10000ULL /* per CPU, by key: decided, allowed on this CPU alone */

const volatile struct baton_config config SEC(".rodata.config");

/* Written by the process before it attaches, and when another policy takes over. */
struct baton_options options SEC(".data.options");

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
	u64 published_ns;    /* HINT: when the process last heard of it */
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
	char name[BATON_NAME_LEN]; /* as the process knows it */
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
	u64 burst_ns;	/* of the running task when it got the CPU */
	u64 running_ns; /* 0: no task of ours runs */
	u64 offline_ns; /* when it began to go offline */
	u32 turn;	/* alternates between rescued and ready */
	u8 keyed;	/* `key` is of the policy's kind */
	u8 preempted;	/* the relay took the CPU from the running task */
	u8 offline;
	u8 pad;
};

struct cpu_ctx cpu_state[BATON_MAX_CPUS];

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

static __always_inline u32 llc_of(u32 cpu)
{
	return bounded(config.cpu_llc[bounded(cpu, BATON_MAX_CPUS - 1)], BATON_MAX_LLCS - 1);
}

static __always_inline void count(u32 which)
{
	struct baton_stats *stats = get_stats();

	if (stats && which < BATON_CNT_NR)
		stats->counter[which]++;
}

static __always_inline u32 bucket_of(u64 value)
{
	u32 log = 0;
	u64 rest = value;

	if (value < 4)
		return value;
	if (rest >> 32) {
		log += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		log += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		log += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		log += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		log += 2;
		rest >>= 2;
	}
	log += rest >> 1;
	/* A bound the verifier sees: 31 * 4 + 3 is the last bucket. */
	return log > 31 + 1 ? BATON_HIST_BUCKETS - 1
			    : ((log * 4 + ((value >> (log - 2)) & 3)) & (BATON_HIST_BUCKETS - 1));
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
static __always_inline u64 slice_of(struct baton_shared *shared, u64 slice_ns)
{
	u64 waiting = *(volatile u32 *)&shared->waiting;
	u64 cpus = *(volatile u32 *)&shared->cpus_online;

	if (slice_ns)
		return clamp_slice(slice_ns);
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

/* The same arithmetic as KeyRule::key in the policy crate. */
static __always_inline u64 rule_key(const struct task_ctx *tctx, u32 weight, u64 now)
{
	u64 burst = tctx->burst_ns;

	if (options.key_rule == BATON_KEY_DEADLINE) {
		burst = burst * 100 / (weight ? weight : 1);
		if (burst > options.burst_max_ns)
			burst = options.burst_max_ns;
		now += burst;
	}
	return now + tctx->key_offset;
}

/* What another policy said of a task before this one took over. */
static __always_inline void forget_hints(struct baton_shared *shared, struct task_ctx *tctx)
{
	if (tctx->announced == shared->generation)
		return;
	tctx->key_offset = 0;
	tctx->slice_ns = 0;
	tctx->hint_cpu = 0;
	tctx->hinted_preempt = 0;
	tctx->published_ns = 0;
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

/* A wakeup starts a new burst. */
static __always_inline void wake_begin(struct task_ctx *tctx)
{
	if (tctx->slept) {
		tctx->burst_ns = 0;
		tctx->slept = 0;
	}
}

#endif /* BATON_RELAY_STATE_H */
