/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens without the process: a timer looks at the oldest held tasks, at
 * tasks that starve in ready, and at idle CPUs beside waiting work.
 */
#ifndef BATON_RELAY_RESCUE_H
#define BATON_RELAY_RESCUE_H

#include "place.h"
#include "publish.h"
#include "watch.h"

#define RESCUE_SCAN_MAX 256
#define STARVE_SCAN_MAX 1024
#define FEED_SCAN_MAX	16
/* Looking at the queue of every CPU each time is for machines of this size. */
#define FEED_CPUS_MAX	 64
#define OFFLINE_NUDGE_NS 60000000000ULL

struct rescue_timer {
	struct bpf_timer timer;
	u64 starve_scan_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct rescue_timer);
} timer_map SEC(".maps");

/*
 * Puts a task where it will run although nobody decides: an idle CPU, or the
 * rescue queue, which every CPU serves in turn with ready.
 */
static __always_inline bool rescue_move(struct bpf_iter_scx_dsq *it, struct task_struct *p,
					struct baton_shared *shared)
{
	u32 own = scx_bpf_task_cpu(p);
	s32 cpu;

	scx_bpf_dsq_move_set_slice(it, options.rescue_slice_ns);
	if (is_stranded(p))
		return free_one(it, p);
	cpu = take_idle(p);
	if (cpu >= 0) {
		if (scx_bpf_dsq_move(it, p, SCX_DSQ_LOCAL_ON | cpu, 0))
			return true;
		idle_give_back(shared, cpu);
		return false;
	}
	if (is_left_alone(p))
		return scx_bpf_dsq_move(it, p, SCX_DSQ_LOCAL_ON | own, 0);
	return scx_bpf_dsq_move(it, p, rescue_dsq(own), 0);
}

/* The moment from which a held task is overdue. A lease of a silent process is over. */
static __always_inline u64 due_at(struct baton_shared *shared, struct task_struct *p,
				  struct task_ctx *tctx, u64 dsq)
{
	if ((dsq & ~0xfffULL) == DSQ_LEASED && !shared->silent)
		return p->scx.dsq_vtime;
	return tctx->enqueued_ns + options.rescue_after_ns;
}

/* Rescues what is overdue at the head of a custody queue; the head is the oldest. */
__noinline int rescue_queue(u64 dsq, u64 now)
{
	struct baton_shared *shared = get_shared();
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (!shared)
		return 0;
	bpf_rcu_read_lock();
	if (bpf_iter_scx_dsq_new(&it, dsq, 0))
		goto out;
	bpf_for(step, 0, RESCUE_SCAN_MAX)
	{
		struct task_ctx *tctx;

		p = bpf_iter_scx_dsq_next(&it);
		if (!p)
			break;
		tctx = get_task(p);
		if (!tctx)
			continue;
		if (key_before(now, due_at(shared, p, tctx, dsq)))
			break;
		tctx->decided_ns = now;
		tctx->key = now;
		tctx->keyed = 0;
		if (!rescue_move(&it, p, shared))
			continue;
		placed_by(tctx, BATON_BY_RESCUE);
		count(BATON_CNT_RESCUES);
		relay_saw_rescued(p->pid);
		if (options.wants & BATON_WANT_CUSTODY)
			publish_task(p, tctx, BATON_EV_RESCUED, 0, scx_bpf_task_cpu(p), 0, now);
	}
out:
	bpf_iter_scx_dsq_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

/* Takes tasks that wait too long for their key out of a ready queue. */
__noinline int rescue_starved(u64 dsq, u64 now)
{
	struct baton_shared *shared = get_shared();
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (!shared || scx_bpf_dsq_nr_queued(dsq) <= 0)
		return 0;
	bpf_rcu_read_lock();
	if (bpf_iter_scx_dsq_new(&it, dsq, 0))
		goto out;
	bpf_for(step, 0, STARVE_SCAN_MAX)
	{
		struct task_ctx *tctx;

		p = bpf_iter_scx_dsq_next(&it);
		if (!p)
			break;
		tctx = get_task(p);
		/* It may have been enqueued after `now`. */
		if (!tctx || !tctx->enqueued_ns ||
		    key_before(now, tctx->enqueued_ns + options.starve_after_ns))
			continue;
		if (rescue_move(&it, p, shared)) {
			placed_by(tctx, BATON_BY_STARVE);
			count(BATON_CNT_STARVED);
		}
	}
out:
	bpf_iter_scx_dsq_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

/* Pinned tasks whose CPU went away: only from the global queue does it take them. */
__noinline int free_stranded(u64 dsq)
{
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (scx_bpf_dsq_nr_queued(dsq) <= 0)
		return 0;
	bpf_rcu_read_lock();
	if (!bpf_iter_scx_dsq_new(&it, dsq, 0)) {
		bpf_for(step, 0, STARVE_SCAN_MAX)
		{
			p = bpf_iter_scx_dsq_next(&it);
			if (!p)
				break;
			if (is_stranded(p))
				free_one(&it, p);
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

/* Has a CPU look for work, should it idle unknown to the idle mask. */
static __always_inline void nudge_idle(u32 cpu)
{
	struct cpu_ctx *cctx = get_cpu(cpu);

	if (cctx && !cctx->offline && !cctx->running_ns)
		kick(cpu, SCX_KICK_IDLE);
}

/*
 * Gives the head of a queue to idle CPUs, should the two have missed each other: a
 * claimed CPU may never hear of it, because the kernel sent the task elsewhere.
 */
__noinline int feed_idle(u64 dsq)
{
	struct baton_shared *shared = get_shared();
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	u32 step;

	if (!shared || scx_bpf_dsq_nr_queued(dsq) <= 0)
		return 0;
	bpf_rcu_read_lock();
	if (bpf_iter_scx_dsq_new(&it, dsq, 0))
		goto out;
	bpf_for(step, 0, FEED_SCAN_MAX)
	{
		s32 cpu;

		p = bpf_iter_scx_dsq_next(&it);
		if (!p)
			break;
		cpu = take_idle(p);
		if (cpu >= 0) {
			count(BATON_CNT_FED);
			if (!scx_bpf_dsq_move(&it, p, SCX_DSQ_LOCAL_ON | cpu, 0))
				idle_give_back(shared, cpu);
		} else if (is_left_alone(p)) {
			scx_bpf_dsq_move(&it, p, SCX_DSQ_LOCAL_ON | scx_bpf_task_cpu(p), 0);
		} else {
			nudge_idle(scx_bpf_task_cpu(p));
		}
	}
out:
	bpf_iter_scx_dsq_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

static long feed_cpu(u32 cpu, void *data)
{
	struct cpu_ctx *cctx = get_cpu(cpu);

	/*
	 * 6.16 tells nobody of a task that was moved into the local queue of the CPU that it
	 * was on already: an idle one idles on.
	 */
	if (scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | cpu) > 0)
		nudge_idle(cpu);
	if (scx_bpf_dsq_nr_queued(DSQ_PINNED + cpu) > 0) {
		pinned_dsq(cpu);
		feed_idle(DSQ_PINNED + cpu);
	} else if (cctx && cctx->pinned_used) {
		cctx->pinned_used--;
	}
	return 0;
}

struct rescue_args {
	u64 now;
	bool in_rescue; /* tasks stand in a rescue queue */
};

static long rescue_llc(u32 llc, void *data)
{
	struct rescue_args *args = data;
	u64 now = args->now;

	rescue_queue(DSQ_HOLD + llc, now);
	rescue_queue(DSQ_LEASED + llc, now);
	if (scx_bpf_dsq_nr_queued(DSQ_RESCUE + llc) > 0)
		args->in_rescue = true;
	feed_idle(DSQ_RESCUE + llc);
	feed_idle(DSQ_READY + llc);
	return 0;
}

static long starve_llc(u32 llc, void *data)
{
	rescue_starved(DSQ_READY + llc, *(u64 *)data);
	free_stranded(DSQ_RESCUE + llc);
	return 0;
}

/*
 * A CPU on its way out waits until no task is its own, and looks only when it
 * schedules. Tasks that others took from queues left without its notice, so it is
 * made to look. Once it is gone the kernel ignores the kick.
 */
static long nudge_offline(u32 cpu, void *data)
{
	u64 now = *(u64 *)data;
	struct cpu_ctx *cctx = get_cpu(cpu);

	if (cctx && cctx->offline && now - cctx->offline_ns < OFFLINE_NUDGE_NS)
		kick(cpu, 0);
	return 0;
}

static long starve_cpu(u32 cpu, void *data)
{
	feed_cpu(cpu, data);
	rescue_starved(DSQ_PINNED + cpu, *(u64 *)data);
	free_stranded(DSQ_PINNED + cpu);
	return 0;
}

/*
 * A process that has not looked at its events for a whole rescue_after while
 * tasks waited is taken for silent: until it looks again, tasks go past it
 * instead of growing old in custody.
 */
static __always_inline void judge_silence(struct baton_shared *shared, u64 monotonic, u64 now)
{
	u64 alive_ns = *(volatile u64 *)&shared->alive_ns;

	if (options.mode == BATON_MODE_DECIDE && !shared->silent &&
	    !*(volatile u32 *)&shared->asleep && monotonic > alive_ns &&
	    monotonic - alive_ns > options.rescue_after_ns) {
		shared->silent_since_ns = now;
		shared->silent = 1;
	}
}

static int rescue_tick(void *map, int *key, struct rescue_timer *timer)
{
	struct baton_shared *shared = get_shared();
	u64 now = scx_bpf_now(), monotonic = bpf_ktime_get_ns();
	struct rescue_args args = {.now = now};
	u64 period_ns = BATON_TIMER_IDLE_NS;

	if (!shared)
		return 0;
	shared->timer_ns = monotonic;
	judge_silence(shared, monotonic, now);
	if (is_overdue(now))
		wake_process();
	bpf_loop(config.llcs, rescue_llc, &args, 0);
	if (args.in_rescue)
		rescue_used = QUEUE_USED;
	else if (rescue_used)
		rescue_used--;
	if (shared->waiting && config.cpus <= FEED_CPUS_MAX)
		bpf_loop(config.cpus, feed_cpu, &now, 0);
	if (shared->offline)
		bpf_loop(config.cpus, nudge_offline, &now, 0);
	if (now - timer->starve_scan_ns >= BATON_STARVE_SCAN_NS) {
		timer->starve_scan_ns = now;
		bpf_loop(config.llcs, starve_llc, &now, 0);
		bpf_loop(config.cpus, starve_cpu, &now, 0);
	}
	if (shared->waiting)
		period_ns = BATON_TIMER_BUSY_NS;
	bpf_timer_start(&timer->timer, period_ns, BPF_F_TIMER_CPU_PIN);
	return 0;
}

/*
 * Arms the timer, pinned to the CPU that this runs on: the process sees to it that
 * this is one that stays. A timer that its callback arms again on a CPU going
 * offline can be lost.
 */
SEC("syscall")
int relay_start(void *ctx)
{
	u32 zero = 0;
	struct rescue_timer *timer = bpf_map_lookup_elem(&timer_map, &zero);

	if (!timer)
		return -EINVAL;
	bpf_timer_init(&timer->timer, &timer_map, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&timer->timer, rescue_tick);
	return bpf_timer_start(&timer->timer, BATON_TIMER_BUSY_NS, BPF_F_TIMER_CPU_PIN);
}

#endif /* BATON_RELAY_RESCUE_H */
