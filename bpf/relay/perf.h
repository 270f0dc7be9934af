/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU performance targets, which go with a task to whatever CPU it runs on. */
#ifndef BATON_RELAY_PERF_H
#define BATON_RELAY_PERF_H

#include "state.h"

/* A command's target, within what the kernel takes; beyond, it would eject us. */
static __always_inline u16 perf_of(const struct baton_command *cmd)
{
	return cmd->perf > BATON_PERF_MAX + 1 ? BATON_PERF_MAX + 1 : cmd->perf;
}

/*
 * Gives the CPU a target, one more than its value; 0 takes it back. The kernel starts
 * every scheduler at the highest, and that is what is gone back to. The process reads
 * what the kernel recorded.
 */
static __noinline void set_perf(u32 cpu, u32 perf)
{
	struct baton_shared *shared = get_shared();
	struct cpu_ctx *cctx = get_cpu(cpu);
	u32 target = perf ? perf - 1 : BATON_PERF_MAX;

	if (!shared || !cctx || cctx->perf == perf)
		return;
	if (!bpf_ksym_exists(scx_bpf_cpuperf_set)) {
		count(BATON_CNT_PERF_IGNORED);
		return;
	}
	cctx->perf = perf;
	scx_bpf_cpuperf_set(cpu, target);
	count(BATON_CNT_PERF_SET);
	if (bpf_ksym_exists(&runqueues)) {
		const struct rq *rq = bpf_per_cpu_ptr(&runqueues, cpu);

		if (rq)
			target = rq->scx.cpuperf_target;
	}
	shared->perf[bounded(cpu, BATON_MAX_CPUS - 1)] = target + 1;
}

/* Finds out what this kernel can do; run by the process before it attaches. */
SEC("syscall")
int relay_abilities(void *ctx)
{
	struct baton_shared *shared = get_shared();

	if (!shared)
		return -EINVAL;
	if (bpf_ksym_exists(scx_bpf_cpuperf_set))
		shared->abilities |= BATON_CAN_PERF;
	return 0;
}

#endif /* BATON_RELAY_PERF_H */
