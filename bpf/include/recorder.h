/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What crosses between the recorder and its process; crates/kernel/src/recorder/abi.rs. */
#ifndef BATON_RECORDER_H
#define BATON_RECORDER_H

#ifndef __BPF__
#include <linux/types.h>
#endif

#define BATON_REC_MAX_CPUS 1024
#define BATON_REC_NAME_LEN 16
/* Instead of a ring's number: the CPU has none. */
#define BATON_REC_NO_RING (~0U)

/* Bits of a task's number; the kernel's PID_MAX_LIMIT has 22. */
#define BATON_REC_PID_BITS 24
#define BATON_REC_PID_MASK ((1U << BATON_REC_PID_BITS) - 1)

/*
 * A record in a CPU's ring is two words. The first holds the
 * time since the beginning above its low 8 bits, and in these the kind. Tasks are a, b;
 * the second word is a | b << 24 | c << 48.
 */
enum baton_rec_kind {
	BATON_REC_SWITCH,	/* a leaves, b comes; c: b's priority | why << 8 */
	BATON_REC_WAKEUP,	/* a by b; c: the CPU whose queue it is in */
	BATON_REC_WAKEUP_NEW,	/* the same of a task just made */
	BATON_REC_MIGRATE,	/* a; word 2 from bit 24: from, from bit 40: to */
	BATON_REC_CAN_MIGRATE,	/* the same: allowed */
	BATON_REC_CANT_MIGRATE, /* the same: not allowed */
	BATON_REC_LOST,		/* word 2: how many of this ring */
	BATON_REC_LOST_SHARED,	/* word 2: how many of this CPU's for the shared ring */

	/*
	 * In the ring that all CPUs share; struct baton_rec_task. Those above are there, too,
	 * of CPUs without a ring.
	 */
	BATON_REC_TASK = 32,
	BATON_REC_FORK,
	BATON_REC_EXIT,
	BATON_REC_ENQUEUE,
	BATON_REC_DECIDED,
	BATON_REC_RESCUED,
};

/* Why a task leaves its CPU; as `Left` in crates/trace. */
enum baton_rec_left {
	BATON_LEFT_RUNNABLE,
	BATON_LEFT_SLEEPS,
	BATON_LEFT_BLOCKS,
	BATON_LEFT_STOPPED,
	BATON_LEFT_EXITS,
};

/* Of a CPU. Positions in its ring count words for ever; the process owns `tail`. */
struct baton_rec_head {
	__u64 pos;
	__u64 lost;	   /* records that found no room */
	__u64 told;	   /* of these, those that a LOST record tells of */
	__u64 lost_shared; /* those that found none in the shared ring */
	__u64 told_shared; /* as told */
	__u64 untold;	   /* set: something was lost and not told */
	__u64 running;	   /* the task on the CPU; BATON_REC_PID_MASK: not known yet */
	__u32 ring;	   /* its ring's number; the process sets it */
	__u32 pad;
	__u64 tail;
	__u64 pad2[7];
};

struct baton_rec_task {
	__u64 stamp; /* as a record's first word */
	__u32 cpu;
	__u32 pid;
	__u32 tgid;
	__u32 parent; /* of a fork; of a decision: one more than the CPU, or 0 */
	__u8 prio;
	__u8 kernel;
	__u8 pad[6];
	union {
		__u8 name[BATON_REC_NAME_LEN];
		struct {
			__u64 slice_ns; /* of a decision */
			__u64 waited_ns;
		};
		__u64 word; /* of a CPU without a ring: a record's second word */
	};
};

/* Set before the recorder is loaded. */
struct baton_rec_config {
	__u64 words;	  /* of a CPU's ring; a power of two */
	__u32 old_switch; /* sched_switch does not tell the state of who leaves */
	__u32 pad;
};

/* Set when all is attached: nothing is recorded before. */
struct baton_rec_control {
	__u64 began_ns;
};

#endif /* BATON_RECORDER_H */
