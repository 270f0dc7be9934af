// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay: a sched_ext scheduler that carries what happens to a process and
 * its decisions back, and schedules by itself whatever the process does not
 * answer in time. The kernel has every task all the time; ARCHITECTURE.md tells
 * the whole.
 *
 * relay/state.h	what is kept, of tasks, CPUs and in all
 * relay/publish.h	events to the process
 * relay/place.h	idle CPUs, preemption, queues
 * relay/enqueue.h	what is placed without asking anybody
 * relay/predict.h	how long a task will compute, by its past or a model
 * relay/perf.h	CPU performance targets
 * relay/decide.h	decisions from the process
 * relay/rescue.h	the timer
 * relay/dispatch.h	what a CPU takes next
 * relay/switch.h	another policy takes over
 * relay/tasks.h	what is known of each task, for people
 * relay/watch.h	where a recorder can listen
 * relay/ops.h	the table of operations
 * here			the scheduler's operations
 */
#include "relay/state.h"
#include "relay/predict.h"
#include "relay/publish.h"
#include "relay/place.h"
#include "relay/enqueue.h"
#include "relay/perf.h"
#include "relay/decide.h"
#include "relay/rescue.h"
#include "relay/dispatch.h"
#include "relay/switch.h"
#include "relay/tasks.h"
#include "relay/watch.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops/relay_select_cpu")
s32 BPF_PROG(relay_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	struct task_struct *current = (void *)bpf_get_current_task_btf();
	struct baton_shared *shared = get_shared();
	struct task_ctx *tctx = get_task(p);
	bool idle = false;
	u64 now;
	s32 cpu;

	if (!tctx || !shared)
		return prev_cpu;
	now = scx_bpf_now();
	tctx->sync = !!(wake_flags & SCX_WAKE_SYNC);
	if (hands_over(current, now) && !tctx->sync) {
		tctx->sync = 1;
		count(BATON_CNT_HANDOVERS);
	}
	tctx->waker = current->pid;
	note_waker(p, tctx, current);
	if (!options.idle_fast_path)
		return prev_cpu;
	forget_hints(shared, tctx);
	cpu = take_hinted(shared, p, tctx);
	if (cpu >= 0) {
		idle = true;
	} else if (!any_idle(shared)) {
		return prev_cpu;
	} else if (bpf_ksym_exists(scx_bpf_select_cpu_dfl)) {
		cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
		if (idle)
			idle_take(shared, cpu);
	} else {
		cpu = take_idle(p);
		idle = cpu >= 0;
	}
	if (!idle)
		return cpu >= 0 ? cpu : prev_cpu;

	/* ops.enqueue is skipped from here. */
	tctx->woken = 1;
	wake_begin(tctx, now);
	wait_begin(tctx, shared, now);
	tctx->seq++;
	tctx->fresh = 0;
	place_fast(tctx, BATON_BY_IDLE, rule_key(tctx, p->scx.weight, now), rule_compares(), now);
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_of(tctx->slice_ns), 0);
	count(BATON_CNT_ENQUEUES);
	count(BATON_CNT_FAST_IDLE);
	publish_decided(shared, p, tctx, BATON_WAKEUP, now - tctx->stopped_ns,
			tctx->sync ? BATON_EVF_SYNC : 0, now);
	return cpu;
}

SEC("struct_ops/relay_enqueue")
void BPF_PROG(relay_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct task_struct *current = (void *)bpf_get_current_task_btf();
	struct baton_shared *shared = get_shared();
	struct task_ctx *tctx = get_task(p);
	bool woken = enq_flags & SCX_ENQ_WAKEUP;
	u64 now = scx_bpf_now(), slept_ns = 0;
	u32 reason, flags = 0;
	bool waited;

	if (!tctx || !shared) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, BATON_SLICE_MIN_NS, enq_flags);
		return;
	}
	count(BATON_CNT_ENQUEUES);
	forget_hints(shared, tctx);
	if (woken)
		slept_ns = now - tctx->stopped_ns;
	if (woken || tctx->fresh) {
		/* ops.select_cpu was not asked about a task with one CPU. */
		if (!tctx->waker_noted)
			note_waker(p, tctx, current);
		wake_begin(tctx, now);
	}
	waited = tctx->enqueued_ns;
	if (!waited)
		tctx->woken = woken;
	reason = enqueue_reason(tctx, woken, waited);
	wait_begin(tctx, shared, now);
	tctx->seq++;
	tctx->fresh = 0;
	if (woken && tctx->sync)
		flags |= BATON_EVF_SYNC;
	enq_flags &= ~SCX_ENQ_HEAD;

	if (enqueue_fast(shared, p, tctx, woken, enq_flags, now)) {
		publish_decided(shared, p, tctx, reason, slept_ns, flags, now);
		goto out;
	}
	if (options.mode == BATON_MODE_HINT) {
		enqueue_hinted(shared, p, tctx, woken, enq_flags, now);
		publish_decided(shared, p, tctx, reason, slept_ns, flags, now);
		goto out;
	}
	/*
	 * A late process is not waited for. Nor may a task that is moved about grow old
	 * at the tail of the holding queue again and again.
	 */
	if (shared->silent || (waited && now - tctx->enqueued_ns > options.rescue_after_ns)) {
		enqueue_bypass(p, tctx, enq_flags, now);
		goto out;
	}
	/* Before the process can decide. */
	relay_saw_enqueue(p->pid);
	if (!publish_enqueue(shared, p, tctx, reason, slept_ns, flags, now, !can_wait(p, reason))) {
		enqueue_bypass(p, tctx, enq_flags, now);
		goto out;
	}
	tctx->decided_ns = 0;
	scx_bpf_dsq_insert(p, DSQ_HOLD + llc_of(scx_bpf_task_cpu(p)), slice_of(0), enq_flags);
	count(BATON_CNT_HELD);
out:
	tctx->sync = 0;
	tctx->waker = 0;
}

SEC("struct_ops/relay_dispatch")
void BPF_PROG(relay_dispatch, s32 cpu, struct task_struct *prev)
{
	struct baton_shared *shared = get_shared();
	struct cpu_ctx *cctx = get_cpu(cpu);
	bool held;

	if (!cctx || !shared)
		return;
	if (take_any(cpu, cctx))
		return;
	held = any_held();
	if (held && deferred_ns)
		wake_process();
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED)) {
		/*
		 * It goes on for want of others. With some in custody that must
		 * not be for long, and who has them in hand may want them here.
		 */
		prev->scx.slice = held ? BATON_SLICE_MIN_NS * 10 : slice_of(0);
		if (held && (options.wants & BATON_WANT_ALONE))
			publish_cpu(BATON_EV_CPU_DRY, cpu, true);
		return;
	}
	count(BATON_CNT_DRY);
	/* It will not idle. */
	if (wanted_by_others(cpu))
		return;
	/*
	 * Visible as idle first, then the last look: whoever puts a task in ready
	 * after that look sees the CPU. Both sides order their two steps by an
	 * atomic operation or a queue's lock.
	 */
	idle_set(shared, cpu);
	if (take_any(cpu, cctx)) {
		idle_take(shared, cpu);
		return;
	}
	if (held && (options.wants & BATON_WANT_DRY))
		publish_cpu(BATON_EV_CPU_DRY, cpu, true);
}

SEC("struct_ops/relay_update_idle")
void BPF_PROG(relay_update_idle, s32 cpu, bool idle)
{
	struct baton_shared *shared = get_shared();
	struct cpu_ctx *cctx = get_cpu(cpu);

	if (!shared || !cctx)
		return;
	if (idle && !cctx->offline)
		idle_set(shared, cpu);
	else
		idle_take(shared, cpu);
}

SEC("struct_ops/relay_tick")
void BPF_PROG(relay_tick, struct task_struct *p)
{
	u32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *cctx = get_cpu(cpu);
	u64 since, now = scx_bpf_now();

	if (!cctx)
		return;
	if (is_overdue(now))
		wake_process();
	since = cctx->running_ns;
	if (!since || now - since < options.rescue_slice_ns)
		return;
	if (scx_bpf_dsq_nr_queued(DSQ_RESCUE + llc_of(cpu)) <= 0)
		return;
	if (p->scx.slice) {
		p->scx.slice = 0;
		count(BATON_CNT_CUT);
	}
}

SEC("struct_ops/relay_running")
void BPF_PROG(relay_running, struct task_struct *p)
{
	struct baton_shared *shared = get_shared();
	struct baton_stats *stats = get_stats();
	u32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *cctx = get_cpu(cpu);
	struct task_ctx *tctx = get_task(p);
	u64 now = scx_bpf_now(), wait_ns = 0;

	if (!tctx || !shared || !cctx || !stats)
		return;
	idle_take(shared, cpu);
	wake_begin(tctx, now);
	if (tctx->enqueued_ns && now > tctx->enqueued_ns)
		wait_ns = now - tctx->enqueued_ns;
	if (tctx->enqueued_ns) {
		count_value(stats->wait, wait_ns);
		if (tctx->woken)
			count_value(stats->wakeup, wait_ns);
		tctx->waits++;
		tctx->wait_sum_ns += wait_ns;
		if (wait_ns > tctx->wait_max_ns)
			tctx->wait_max_ns = wait_ns;
		if (wait_ns > stats->wait_max_ns) {
			stats->wait_max_ns = wait_ns;
			stats->wait_max_pid = p->pid;
		}
		if (shared->silent)
			note_silent_wait(shared, stats, tctx->enqueued_ns, now);
		if (tctx->decided_ns && now > tctx->decided_ns)
			count_value(stats->decision_to_run, now - tctx->decided_ns);
	}
	wait_end(tctx, shared);
	tctx->running_ns = now;
	tctx->runtime_mark_ns = p->se.sum_exec_runtime;
	cctx->key = tctx->key;
	cctx->keyed = tctx->keyed;
	cctx->burst_ns = tctx->burst_ns;
	cctx->preempted = 0;
	cctx->running_ns = now;
	if (options.performance)
		set_perf(cpu, tctx->perf);
	if (cctx->evicted_pid == p->pid && bpf_ksym_exists(scx_bpf_kick_cpu)) {
		cctx->evicted_pid = 0;
		cctx->preempted = 1;
		kick(cpu, SCX_KICK_PREEMPT);
	}
	if (options.wants & BATON_WANT_RUNNING)
		publish_task(p, tctx, BATON_EV_RUNNING, 0, cpu, 0, now);
}

SEC("struct_ops/relay_stopping")
void BPF_PROG(relay_stopping, struct task_struct *p, bool runnable)
{
	u32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *cctx = get_cpu(cpu);
	struct task_ctx *tctx = get_task(p);
	u64 now = scx_bpf_now(), runtime_ns;

	if (!tctx || !cctx)
		return;
	runtime_ns = p->se.sum_exec_runtime - tctx->runtime_mark_ns;
	tctx->burst_ns += runtime_ns;
	tctx->runtime_mark_ns = p->se.sum_exec_runtime;
	if (options.predict)
		note_stop(tctx, runtime_ns, runnable);
	tctx->stopped_ns = now;
	tctx->running_ns = 0;
	if (!runnable) {
		tctx->slept = 1;
		learn_handover(tctx, now);
		tctx->stop_reason = BATON_SLEPT;
	} else if (tctx->yielded) {
		tctx->stop_reason = BATON_YIELDED;
	} else if (p->scx.slice || cctx->preempted) {
		tctx->stop_reason = BATON_PREEMPTED;
	} else {
		tctx->stop_reason = BATON_SLICE_OVER;
	}
	tctx->yielded = 0;
	cctx->running_ns = 0;
	cctx->burst_ns = tctx->burst_ns;
	cctx->last_pid = p->pid;
	if (options.wants & BATON_WANT_STOPPING)
		publish_task(p, tctx, BATON_EV_STOPPING, tctx->stop_reason, cpu, runtime_ns, now);
}

SEC("struct_ops/relay_quiescent")
void BPF_PROG(relay_quiescent, struct task_struct *p, u64 deq_flags)
{
	struct baton_shared *shared = get_shared();
	struct task_ctx *tctx = get_task(p);

	if (!tctx || !shared || !tctx->enqueued_ns || !(deq_flags & SCX_DEQ_SLEEP))
		return;
	/* It waited and sleeps now without having run. */
	if (options.wants & BATON_WANT_CUSTODY)
		publish_task(p, tctx, BATON_EV_DEQUEUE, 0, scx_bpf_task_cpu(p), 0, scx_bpf_now());
	wait_end(tctx, shared);
}

SEC("struct_ops/relay_yield")
bool BPF_PROG(relay_yield, struct task_struct *from, struct task_struct *to)
{
	struct task_ctx *tctx = get_task(from);

	if (tctx && !to) {
		tctx->yielded = 1;
		from->scx.slice = 0;
	}
	return false;
}

static __always_inline void note_change(struct task_struct *p)
{
	struct task_ctx *tctx = get_task(p);

	if (tctx)
		tctx->changed = 1;
}

SEC("struct_ops/relay_set_weight")
void BPF_PROG(relay_set_weight, struct task_struct *p, u32 weight)
{
	note_change(p);
}

SEC("struct_ops/relay_set_cpumask")
void BPF_PROG(relay_set_cpumask, struct task_struct *p, const struct cpumask *cpumask)
{
	note_change(p);
}

SEC("struct_ops/relay_cgroup_move")
void BPF_PROG(relay_cgroup_move, struct task_struct *p, struct cgroup *from, struct cgroup *to)
{
	note_change(p);
}

SEC("struct_ops.s/relay_init_task")
s32 BPF_PROG(relay_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_ctx *tctx = bpf_task_storage_get(&tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!tctx)
		return -12; /* ENOMEM */
	tctx->fresh = args->fork;
	tctx->stopped_ns = scx_bpf_now();
	return 0;
}

/* Left the class, or ended; waiting or not. */
SEC("struct_ops/relay_disable")
void BPF_PROG(relay_disable, struct task_struct *p)
{
	struct baton_shared *shared = get_shared();
	struct task_ctx *tctx = get_task(p);

	if (!tctx || !shared)
		return;
	wait_end(tctx, shared);
	if (tctx->announced != shared->generation)
		return;
	publish_task(p, tctx, BATON_EV_EXIT, 0, scx_bpf_task_cpu(p), 0, scx_bpf_now());
	tctx->announced = 0;
}

SEC("struct_ops.s/relay_cpu_offline")
void BPF_PROG(relay_cpu_offline, s32 cpu)
{
	struct baton_shared *shared = get_shared();
	struct cpu_ctx *cctx = get_cpu(cpu);
	u32 word = bounded(cpu / 64, BATON_MASK_WORDS - 1);

	if (!cctx || !shared)
		return;
	cctx->offline = 1;
	cctx->offline_ns = scx_bpf_now();
	__sync_fetch_and_add(&shared->offline, 1);
	__sync_fetch_and_sub(&shared->cpus_online, 1);
	__sync_fetch_and_and(&shared->online[word], ~(1ULL << (cpu & 63)));
	idle_take(shared, cpu);
	free_stranded(DSQ_PINNED + cpu);
	free_stranded(DSQ_HOLD + llc_of(cpu));
	free_stranded(DSQ_LEASED + llc_of(cpu));
	free_stranded(DSQ_READY + llc_of(cpu));
	free_stranded(DSQ_RESCUE + llc_of(cpu));
	publish_cpu(BATON_EV_CPU_OFFLINE, cpu, true);
}

SEC("struct_ops.s/relay_cpu_online")
void BPF_PROG(relay_cpu_online, s32 cpu)
{
	struct baton_shared *shared = get_shared();
	struct cpu_ctx *cctx = get_cpu(cpu);
	u32 word = bounded(cpu / 64, BATON_MASK_WORDS - 1);

	if (!cctx || !shared)
		return;
	if (cctx->offline)
		__sync_fetch_and_sub(&shared->offline, 1);
	cctx->offline = 0;
	__sync_fetch_and_add(&shared->cpus_online, 1);
	__sync_fetch_and_or(&shared->online[word], 1ULL << (cpu & 63));
	/* It went idle before it counted, and would tell only of the next time. */
	idle_give_back(shared, cpu);
	publish_cpu(BATON_EV_CPU_ONLINE, cpu, true);
}

SEC("struct_ops.s/relay_init")
s32 BPF_PROG(relay_init)
{
	struct baton_shared *shared = get_shared();
	u32 llc, cpu, word;
	s32 error;

	if (!shared)
		return -EINVAL;
	shared->generation = 1;
	shared->model = options.model;
	bpf_for(word, 0, config.words)
	{
		word = bounded(word, BATON_MASK_WORDS - 1);
		shared->online[word] = config.online[word];
	}
	bpf_for(llc, 0, config.llcs)
	{
		error = scx_bpf_create_dsq(DSQ_HOLD + llc, -1);
		if (!error)
			error = scx_bpf_create_dsq(DSQ_LEASED + llc, -1);
		if (!error)
			error = scx_bpf_create_dsq(DSQ_READY + llc, -1);
		if (!error)
			error = scx_bpf_create_dsq(DSQ_RESCUE + llc, -1);
		if (error)
			return error;
	}
	bpf_for(cpu, 0, config.cpus)
	{
		struct cpu_ctx *cctx = get_cpu(cpu);

		word = bounded(cpu / 64, BATON_MASK_WORDS - 1);
		if (config.online[word] >> (cpu & 63) & 1)
			shared->cpus_online++;
		if (cctx)
			cctx->offline = !(config.online[word] >> (cpu & 63) & 1);
		error = scx_bpf_create_dsq(DSQ_PINNED + cpu, -1);
		if (error)
			return error;
	}
	return 0;
}

SEC("struct_ops.s/relay_exit")
void BPF_PROG(relay_exit, struct scx_exit_info *info)
{
	struct baton_shared *shared = get_shared();

	if (!shared)
		return;
	shared->exit_kind = info->kind;
	shared->exit_code = info->exit_code;
	bpf_probe_read_kernel_str(shared->exit_reason, BATON_EXIT_MSG_LEN, info->reason);
	bpf_probe_read_kernel_str(shared->exit_msg, BATON_EXIT_MSG_LEN, info->msg);
	/* The process looks at this at least every 100 ms. */
	shared->exited = 1;
}

#include "relay/ops.h"
