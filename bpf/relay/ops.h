/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the scheduler's operations; included last, when all are there. */
#ifndef BATON_RELAY_OPS_H
#define BATON_RELAY_OPS_H

/*
 * The same operations twice, of which the process loads one: for all tasks, or for
 * those alone whose scheduling policy is SCHED_EXT. The kernel runs these below all
 * others, so they may have to wait long through no fault of the scheduler's: the
 * kernel is to be as patient as it can.
 */
#define RELAY_OPS(variable, partial, patience_ms)                                                  \
	SEC(".struct_ops.link")                                                                    \
	struct sched_ext_ops variable = {                                                          \
	    .select_cpu = (void *)relay_select_cpu,                                                \
	    .enqueue = (void *)relay_enqueue,                                                      \
	    .dispatch = (void *)relay_dispatch,                                                    \
	    .tick = (void *)relay_tick,                                                            \
	    .running = (void *)relay_running,                                                      \
	    .stopping = (void *)relay_stopping,                                                    \
	    .quiescent = (void *)relay_quiescent,                                                  \
	    .yield = (void *)relay_yield,                                                          \
	    .set_weight = (void *)relay_set_weight,                                                \
	    .set_cpumask = (void *)relay_set_cpumask,                                              \
	    .update_idle = (void *)relay_update_idle,                                              \
	    .init_task = (void *)relay_init_task,                                                  \
	    .disable = (void *)relay_disable,                                                      \
	    .cgroup_move = (void *)relay_cgroup_move,                                              \
	    .cpu_online = (void *)relay_cpu_online,                                                \
	    .cpu_offline = (void *)relay_cpu_offline,                                              \
	    .init = (void *)relay_init,                                                            \
	    .exit = (void *)relay_exit,                                                            \
	    .flags = SCX_OPS_KEEP_BUILTIN_IDLE | (partial),                                        \
	    .timeout_ms = (patience_ms),                                                           \
	    .name = "baton",                                                                       \
	}

RELAY_OPS(relay_ops, 0, 5000);
RELAY_OPS(relay_part_ops, SCX_OPS_SWITCH_PARTIAL, 30000);

#endif /* BATON_RELAY_OPS_H */
