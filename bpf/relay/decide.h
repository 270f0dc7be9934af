/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decisions, process to kernel: one SYSCALL program takes a whole batch. */
#ifndef BATON_RELAY_DECIDE_H
#define BATON_RELAY_DECIDE_H

#include "perf.h"
#include "place.h"
#include "watch.h"

/* Tasks that decisions may put into one CPU's local queue. */
#define LOCAL_QUEUED_MAX 8

/*
 * Moves the task out of the queue that `it` iterates. The kernel refuses a task
 * that is not on that queue, or was enqueued again after the iterator started:
 * so whatever was checked after the start still holds.
 */
static __always_inline bool move_to_cpu(struct bpf_iter_scx_dsq *it, struct task_struct *p, u32 cpu,
					u64 slice_ns, u64 enq_flags)
{
	scx_bpf_dsq_move_set_slice(it, slice_ns);
	return scx_bpf_dsq_move(it, p, SCX_DSQ_LOCAL_ON | cpu, enq_flags);
}

/*
 * After the task went into the ready queue: a CPU that became idle meanwhile
 * looked at the queue before, and is visible as idle now.
 */
__noinline int hand_to_idle(struct task_struct *p __arg_trusted, u64 dsq, u64 slice_ns)
{
	struct baton_shared *shared = get_shared();
	struct bpf_iter_scx_dsq it;
	s32 cpu;

	if (!shared)
		return 0;
	cpu = take_idle(p);
	if (cpu < 0)
		return 0;
	bpf_rcu_read_lock();
	if (bpf_iter_scx_dsq_new(&it, dsq, 0) || !allowed_on(p, cpu) ||
	    (is_pinned(p) && cpu != scx_bpf_task_cpu(p)) || !move_to_cpu(&it, p, cpu, slice_ns, 0))
		idle_give_back(shared, cpu);
	bpf_iter_scx_dsq_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

static __always_inline u32 decide_ready(struct bpf_iter_scx_dsq *it, struct task_struct *p,
					struct baton_command *cmd, struct baton_shared *shared,
					u64 now, u64 *queued_dsq)
{
	u64 slice_ns = slice_of(cmd->slice_ns);
	u64 dsq;
	s32 cpu;

	cpu = take_idle(p);
	if (cpu >= 0) {
		if (!move_to_cpu(it, p, cpu, slice_ns, 0)) {
			idle_give_back(shared, cpu);
			return BATON_RES_STALE;
		}
		count(BATON_CNT_TO_IDLE);
		return BATON_RES_DONE;
	}
	if (cmd->flags & BATON_CMDF_PREEMPT) {
		cpu = find_victim(p, cmd->key, now);
		if (cpu >= 0) {
			struct cpu_ctx *cctx = get_cpu(cpu);

			if (cctx)
				cctx->preempted = 1;
			if (!move_to_cpu(it, p, cpu, slice_ns, SCX_ENQ_PREEMPT)) {
				if (cctx)
					cctx->preempted = 0;
				return BATON_RES_STALE;
			}
			count(BATON_CNT_PREEMPTIONS);
			return BATON_RES_DONE;
		}
	}
	if (is_stranded(p))
		return free_one(it, p) ? BATON_RES_DONE : BATON_RES_STALE;
	dsq = ready_dsq(p);
	scx_bpf_dsq_move_set_slice(it, slice_ns);
	scx_bpf_dsq_move_set_vtime(it, cmd->key);
	if (!scx_bpf_dsq_move_vtime(it, p, dsq, 0))
		return BATON_RES_STALE;
	*queued_dsq = dsq;
	return BATON_RES_DONE;
}

/*
 * Whether a task of ours was interrupted on the CPU by a higher class, such as this
 * process, and waits alone to go on. It had its turn: whoever may preempt it goes
 * before it, and it is enqueued anew when it comes to run (see relay_running).
 */
static __always_inline bool is_interrupted(struct cpu_ctx *cctx, s32 queued)
{
	return queued == 1 && !cctx->running_ns && !cctx->preempted &&
	       cctx->burst_ns >= options.preempt_min_burst_ns;
}

/*
 * A CPU's local queue is beyond the reach of rescue, so few may stand in it, and
 * nobody but an interrupted task is overtaken there.
 */
static __always_inline u32 decide_cpu(struct bpf_iter_scx_dsq *it, struct task_struct *p,
				      struct baton_command *cmd, struct baton_shared *shared,
				      u64 now)
{
	struct cpu_ctx *cctx = get_cpu(cmd->cpu);
	bool claimed, preempt = false;
	u64 enq_flags = 0;
	s32 queued;

	if (!cctx || cctx->offline || !allowed_on(p, cmd->cpu))
		return BATON_RES_INVALID;
	if (migration_disabled(p) && cmd->cpu != scx_bpf_task_cpu(p))
		return BATON_RES_INVALID;
	claimed = idle_claim(shared, cmd->cpu);
	if (!claimed) {
		queued = scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | cmd->cpu);
		if (queued >= LOCAL_QUEUED_MAX)
			return BATON_RES_INVALID;
		preempt = (cmd->flags & BATON_CMDF_PREEMPT) && !queued && had_its_turn(cctx, now);
		if (preempt)
			enq_flags = SCX_ENQ_PREEMPT;
		else if ((cmd->flags & BATON_CMDF_PREEMPT) && is_interrupted(cctx, queued))
			enq_flags = SCX_ENQ_HEAD;
	}
	if (preempt)
		cctx->preempted = 1;
	if (enq_flags == SCX_ENQ_HEAD)
		cctx->evicted_pid = cctx->last_pid;
	if (!move_to_cpu(it, p, cmd->cpu, slice_of(cmd->slice_ns), enq_flags)) {
		if (claimed)
			idle_give_back(shared, cmd->cpu);
		if (preempt)
			cctx->preempted = 0;
		if (enq_flags == SCX_ENQ_HEAD)
			cctx->evicted_pid = 0;
		return BATON_RES_STALE;
	}
	if (enq_flags)
		count(BATON_CNT_PREEMPTIONS);
	return BATON_RES_DONE;
}

static __always_inline u32 decide_hold(struct bpf_iter_scx_dsq *it, struct task_struct *p,
				       struct task_ctx *tctx, struct baton_command *cmd, u64 now)
{
	u64 lease_ns = cmd->lease_ns, end, last = tctx->enqueued_ns + options.starve_after_ns;

	if (lease_ns > BATON_LEASE_MAX_NS)
		lease_ns = BATON_LEASE_MAX_NS;
	/* A lease can be renewed, but not for ever. */
	end = now + lease_ns;
	if (key_before(last, end))
		end = last;
	scx_bpf_dsq_move_set_vtime(it, end);
	if (!scx_bpf_dsq_move_vtime(it, p, DSQ_LEASED + llc_of(scx_bpf_task_cpu(p)), 0))
		return BATON_RES_STALE;
	count(BATON_CNT_HOLDS);
	return BATON_RES_DONE;
}

static __always_inline u32 decide_held(struct task_struct *p, struct task_ctx *tctx,
				       struct baton_command *cmd, struct baton_shared *shared,
				       u64 now)
{
	u64 dsq = dsq_of(p), queued_dsq = 0, enqueued_ns = 0;
	struct bpf_iter_scx_dsq it;
	u32 result = BATON_RES_INVALID;

	/*
	 * On no queue: it runs, or its insertion, which happens after ops.enqueue
	 * returned, is still to come.
	 */
	if (!dsq)
		return tctx->enqueued_ns ? BATON_RES_RETRY : BATON_RES_STALE;
	if (!in_custody(dsq))
		return BATON_RES_STALE;
	if (bpf_iter_scx_dsq_new(&it, dsq, 0))
		goto out;
	if (tctx->seq != cmd->seq) {
		result = BATON_RES_STALE;
		goto out;
	}
	if (cmd->kind != BATON_CMD_HOLD) {
		/* Before the move: the task may run before it returns. */
		enqueued_ns = tctx->enqueued_ns;
		tctx->keyed = cmd->kind == BATON_CMD_READY;
		tctx->key = tctx->keyed ? cmd->key : now;
		tctx->key_offset = cmd->key_offset;
		tctx->perf = perf_of(cmd);
		tctx->decided_ns = now;
	}
	if (cmd->kind == BATON_CMD_READY)
		result = decide_ready(&it, p, cmd, shared, now, &queued_dsq);
	else if (cmd->kind == BATON_CMD_CPU)
		result = decide_cpu(&it, p, cmd, shared, now);
	else if (cmd->kind == BATON_CMD_HOLD)
		result = decide_hold(&it, p, tctx, cmd, now);
out:
	bpf_iter_scx_dsq_destroy(&it);
	if (result == BATON_RES_DONE && cmd->kind != BATON_CMD_HOLD) {
		u64 waited_ns = enqueued_ns && now > enqueued_ns ? now - enqueued_ns : 0;

		note_decision(enqueued_ns, now);
		placed_by(tctx, BATON_BY_POLICY);
		relay_saw_decided(p->pid, cmd->kind == BATON_CMD_CPU ? cmd->cpu + 1 : 0,
				  slice_of(cmd->slice_ns), waited_ns);
		if (queued_dsq)
			hand_to_idle(p, queued_dsq, slice_of(cmd->slice_ns));
	}
	return result;
}

/* What the policy says of a task holds for all its enqueues to come. */
static __always_inline u32 take_hint(struct task_ctx *tctx, struct baton_command *cmd)
{
	tctx->key_offset = cmd->key_offset;
	tctx->slice_ns = cmd->slice_ns;
	tctx->perf = perf_of(cmd);
	tctx->hinted_preempt = !!(cmd->flags & BATON_CMDF_PREEMPT);
	tctx->hint_cpu = cmd->cpu == BATON_NO_CPU ? 0 : cmd->cpu + 1;
	count(BATON_CNT_HINTS);
	return BATON_RES_DONE;
}

static __always_inline u32 decide_task(struct baton_command *cmd, struct baton_shared *shared)
{
	struct task_struct *p = bpf_task_from_pid(cmd->pid);
	struct task_ctx *tctx;
	u32 result;

	if (!p)
		return BATON_RES_GONE;
	tctx = get_task(p);
	if (!tctx || p->start_time != cmd->start_ns) {
		result = BATON_RES_GONE;
	} else if (cmd->kind == BATON_CMD_PROBE) {
		result = tctx->announced == shared->generation ? BATON_RES_DONE : BATON_RES_GONE;
	} else if (cmd->kind == BATON_CMD_HINT) {
		result = take_hint(tctx, cmd);
	} else if (tctx->seq != cmd->seq) {
		result = BATON_RES_STALE;
	} else {
		bpf_rcu_read_lock();
		result = decide_held(p, tctx, cmd, shared, scx_bpf_now());
		bpf_rcu_read_unlock();
	}
	bpf_task_release(p);
	return result;
}

static __always_inline void count_result(u32 result)
{
	if (result == BATON_RES_DONE)
		count(BATON_CNT_DECISIONS);
	else if (result == BATON_RES_STALE)
		count(BATON_CNT_STALE);
	else if (result == BATON_RES_GONE)
		count(BATON_CNT_GONE);
	else if (result == BATON_RES_INVALID)
		count(BATON_CNT_INVALID);
	else if (result == BATON_RES_RETRY)
		count(BATON_CNT_RETRIES);
}

static long decide_one(u32 index, void *data)
{
	struct baton_shared *shared = get_shared();
	struct baton_batch *batch;
	struct baton_command *cmd;
	u32 zero = 0;

	batch = bpf_map_lookup_elem(&batch_map, &zero);
	if (!batch || !shared || index >= BATON_BATCH_MAX)
		return 1;
	cmd = &batch->commands[index];
	cmd->result = decide_task(cmd, shared);
	if (cmd->kind != BATON_CMD_PROBE && cmd->kind != BATON_CMD_HINT)
		count_result(cmd->result);
	return 0;
}

SEC("syscall")
int relay_decide(void *ctx)
{
	struct baton_batch *batch;
	u32 zero = 0, commands;

	batch = bpf_map_lookup_elem(&batch_map, &zero);
	if (!batch)
		return 0;
	commands = batch->count;
	count(BATON_CNT_BATCHES);
	bpf_loop(commands < BATON_BATCH_MAX ? commands : BATON_BATCH_MAX, decide_one, NULL, 0);
	return 0;
}

#endif /* BATON_RELAY_DECIDE_H */
