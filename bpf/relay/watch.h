/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a recorder can listen: these do nothing, and record_relay.bpf.c attaches to their
 * entries. The values stand in registers, as the compiler must believe that they are used.
 */
#ifndef BATON_RELAY_WATCH_H
#define BATON_RELAY_WATCH_H

#include "kernel.bpf.h"

/* A task was published, to be decided about. */
static __noinline int relay_saw_enqueue(u64 pid)
{
	asm volatile("" ::"r"(pid));
	return 0;
}

/* A decision was carried out. `cpu` is one more than the CPU's number, or 0 for ready. */
static __noinline int relay_saw_decided(u64 pid, u64 cpu, u64 slice_ns, u64 waited_ns)
{
	asm volatile("" ::"r"(pid), "r"(cpu), "r"(slice_ns), "r"(waited_ns));
	return 0;
}

/* A task was placed because no decision came in time. */
static __noinline int relay_saw_rescued(u64 pid)
{
	asm volatile("" ::"r"(pid));
	return 0;
}

#endif /* BATON_RELAY_WATCH_H */
