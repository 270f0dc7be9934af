/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events, kernel to process. */
#ifndef BATON_RELAY_PUBLISH_H
#define BATON_RELAY_PUBLISH_H

#include "predict.h"
#include "state.h"

/*
 * The process sets `asleep`, looks at the ring once more and only then sleeps;
 * here the record is reserved, which the process can see, before `asleep` is
 * read. One of the two sees the other, so no wakeup is lost.
 */
static __always_inline u64 wake_flags_for(struct baton_shared *shared, bool urgent)
{
	if (!urgent || !*(volatile u32 *)&shared->asleep)
		return BPF_RB_NO_WAKEUP;
	if (!can_signal()) {
		deferred_ns = OVERDUE_NS;
		return BPF_RB_NO_WAKEUP;
	}
	if (__sync_val_compare_and_swap(&shared->asleep, 1, 0) != 1)
		return BPF_RB_NO_WAKEUP;
	deferred_ns = 0;
	/* It is about to look; until then its last look, long ago, means nothing. */
	shared->alive_ns = bpf_ktime_get_ns();
	count(BATON_CNT_WAKEUPS);
	return BPF_RB_FORCE_WAKEUP;
}

/* Wakes the process for what was published before. */
static __noinline void wake_process(void)
{
	struct baton_shared *shared = get_shared();
	void *record;

	if (!shared || !*(volatile u32 *)&shared->asleep)
		return;
	record = bpf_ringbuf_reserve(&events, sizeof(u64), 0);
	if (record)
		bpf_ringbuf_discard(record, wake_flags_for(shared, true));
}

/*
 * Notes that a task waits for which the process was not woken, should it sleep. Only
 * after the record was submitted: a process that goes to sleep before sees the record,
 * one that does so later is seen here.
 */
static __always_inline void defer(struct baton_shared *shared, u64 now)
{
	if (!*(volatile u32 *)&shared->asleep)
		return;
	count(BATON_CNT_DEFERRED);
	if (!deferred_ns)
		deferred_ns = now;
}

/* Whether what the process was not woken for has waited long enough. */
static __always_inline bool is_overdue(u64 now)
{
	u64 since = deferred_ns;

	return since && key_before(since + options.requeue_patience_ns, now);
}

static __always_inline void lose(struct baton_shared *shared)
{
	__sync_fetch_and_add(&shared->lost, 1);
	count(BATON_CNT_LOST);
}

/* The number of the task's cgroup, as its directory's inode has it; 0 if it has none. */
static __always_inline u64 cgroup_of(struct task_struct *p)
{
	struct cgroup *cgrp = BPF_CORE_READ(p, cgroups, dfl_cgrp);

	return cgrp ? BPF_CORE_READ(cgrp, kn, id) : 0;
}

static __always_inline void fill_info(struct baton_info *info, struct task_struct *p)
{
	info->cgroup = cgroup_of(p);
	info->tgid = p->tgid;
	info->weight = p->scx.weight;
	info->kernel_thread = !!(p->flags & PF_KTHREAD);
	info->pad = 0;
	__builtin_memcpy(info->name, p->comm, BATON_NAME_LEN);
	if (bpf_probe_read_kernel(info->allowed, config.words * 8 & 0xff, p->cpus_ptr))
		info->allowed[0] = 0;
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
	tctx->perf = 0;
	tctx->published_ns = 0;
}

static __noinline bool publish_info(struct task_struct *p, struct task_ctx *tctx, u16 kind)
{
	struct baton_shared *shared = get_shared();
	struct baton_event_info *record;

	if (!shared)
		return false;
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		lose(shared);
		return false;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->event.time_ns = scx_bpf_now();
	record->event.start_ns = p->start_time;
	record->event.pid = p->pid;
	record->event.kind = kind;
	fill_info(&record->info, p);
	__builtin_memcpy(tctx->name, p->comm, BATON_NAME_LEN);
	forget_hints(shared, tctx);
	tctx->announced = shared->generation;
	tctx->changed = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	count(BATON_CNT_EVENTS);
	return true;
}

static __always_inline bool renamed(struct task_struct *p, struct task_ctx *tctx)
{
	u64 now[2], then[2];

	__builtin_memcpy(now, p->comm, sizeof(now));
	__builtin_memcpy(then, tctx->name, sizeof(then));
	return now[0] != then[0] || now[1] != then[1];
}

/* The process hears of a task and of its changes before anything else about it. */
static __always_inline bool introduce(struct baton_shared *shared, struct task_struct *p,
				      struct task_ctx *tctx)
{
	if (tctx->announced != shared->generation)
		return publish_info(p, tctx, BATON_EV_JOIN);
	if (tctx->changed || renamed(p, tctx))
		return publish_info(p, tctx, BATON_EV_UPDATE);
	return true;
}

static __always_inline struct baton_event *reserve_event(struct baton_shared *shared)
{
	struct baton_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		lose(shared);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	return event;
}

static __always_inline struct baton_event *
reserve_features(struct baton_shared *shared, struct task_struct *p, struct task_ctx *tctx)
{
	struct baton_event_features *record;

	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		lose(shared);
		return NULL;
	}
	__builtin_memset(record, 0, sizeof(*record));
	task_features(p, tctx, &record->features);
	if (tctx->guessed && tctx->epoch == *(volatile u32 *)&prediction_epoch)
		record->guess = tctx->guess;
	return &record->event;
}

static __always_inline bool publish_enqueue(struct baton_shared *shared, struct task_struct *p,
					    struct task_ctx *tctx, u32 reason, u64 slept_ns,
					    u32 flags, u64 now, bool urgent)
{
	struct baton_event *event;

	if (!introduce(shared, p, tctx))
		return false;
	event = options.predict ? reserve_features(shared, p, tctx) : reserve_event(shared);
	if (!event)
		return false;
	event->time_ns = now;
	event->start_ns = p->start_time;
	event->seq = tctx->seq;
	event->burst_ns = tctx->burst_ns;
	event->runtime_ns = p->se.sum_exec_runtime;
	event->slept_ns = slept_ns;
	event->pid = p->pid;
	event->waker = tctx->waker;
	event->cpu = scx_bpf_task_cpu(p);
	event->waiting = shared->waiting;
	event->kind = BATON_EV_ENQUEUE;
	event->reason = reason;
	event->flags = flags;
	bpf_ringbuf_submit(event, wake_flags_for(shared, urgent));
	count(BATON_CNT_EVENTS);
	if (!urgent && !(flags & BATON_EVF_DECIDED))
		defer(shared, now);
	return true;
}

/*
 * An enqueue that was placed already, for a policy that wants to know, or that gives
 * hints: that one hears of each task now and then, and is not woken for it.
 */
static __always_inline void publish_decided(struct baton_shared *shared, struct task_struct *p,
					    struct task_ctx *tctx, u32 reason, u64 slept_ns,
					    u32 flags, u64 now)
{
	if (options.mode == BATON_MODE_HINT) {
		if (tctx->published_ns && now - tctx->published_ns < options.hint_interval_ns)
			return;
		tctx->published_ns = now;
	} else if (!(options.wants & BATON_WANT_DECIDED)) {
		return;
	}
	publish_enqueue(shared, p, tctx, reason, slept_ns, flags | BATON_EVF_DECIDED, now, false);
}

/* Everything but enqueues: none of these waits for an answer. */
static __always_inline void publish_task(struct task_struct *p, struct task_ctx *tctx, u16 kind,
					 u16 reason, u32 cpu, u64 runtime_ns, u64 now)
{
	struct baton_shared *shared = get_shared();
	struct baton_event *event;

	if (!shared || !introduce(shared, p, tctx))
		return;
	event = reserve_event(shared);
	if (!event)
		return;
	event->time_ns = now;
	event->start_ns = p->start_time;
	event->seq = tctx->seq;
	event->runtime_ns = runtime_ns;
	event->pid = p->pid;
	event->cpu = cpu;
	event->kind = kind;
	event->reason = reason;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	count(BATON_CNT_EVENTS);
}

static __always_inline void publish_cpu(u16 kind, u32 cpu, bool urgent)
{
	struct baton_shared *shared = get_shared();
	struct baton_event *event;

	if (!shared)
		return;
	event = reserve_event(shared);
	if (!event)
		return;
	event->time_ns = scx_bpf_now();
	event->cpu = cpu;
	event->kind = kind;
	bpf_ringbuf_submit(event, wake_flags_for(shared, urgent));
	count(BATON_CNT_EVENTS);
}

#endif /* BATON_RELAY_PUBLISH_H */
