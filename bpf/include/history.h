/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of a task between two bursts, and the features that models look at:
 * History in crates/model specifies it, and a test compares the bits.
 */
#ifndef BATON_HISTORY_H
#define BATON_HISTORY_H

#include "model.bpf.h"

#define BATON_TIME_MAX	(1ULL << 40)
#define BATON_SHARE_ONE 8192

/* The numbers of features, as crates/model/src/schema.rs has them. */
enum baton_feature_number {
	BATON_LAST1 = 0,
	BATON_LAST2 = 1,
	BATON_LAST4 = 2,
	BATON_AVERAGE = 3,
	BATON_DEVIATION = 4,
	BATON_SLEPT_FOR = 5,
	BATON_INTERVAL = 6,
	BATON_WAKER_LAST1 = 7,
	BATON_INTERRUPT = 8,
	BATON_RELATIVE = 9,
	BATON_VOLUNTARY = 10,
	BATON_WEIGHT = 11,
	BATON_KERNEL = 12,
	BATON_NAME = 13,
	BATON_KNOWN = 14,
};

struct baton_history {
	__u64 last[4]; /* bursts, the newest first */
	__u64 average_ns;
	__u64 deviation_ns;
	__u64 interval_ns;
	__u64 slept_ns;
	__u64 woken_ns;
	__u64 burst_ns; /* CPU time since the last sleep */
	__u16 known;
	__u16 voluntary;
	__u32 pad;
};

/* What is known of a task besides its history. */
struct baton_context {
	__u64 waker_last_ns;
	__u32 weight;
	__u16 name;	  /* of baton_hash_name */
	__u8 by_task;	  /* a task woke it, not an interrupt */
	__u8 is_relative; /* one of the same process */
	__u8 is_kernel;
	__u8 pad[7];
};

static __always_inline __u64 baton_time(__u64 ns)
{
	return ns < BATON_TIME_MAX ? ns : BATON_TIME_MAX;
}

/* The average when a new value has a weight of a quarter. */
static __always_inline __u64 baton_blend(__u64 average, __u64 value)
{
	return average - (average >> 2) + (value >> 2);
}

/* It wakes, after a sleep of this length; 0 if that is not known. */
static __always_inline void baton_woken(struct baton_history *history, __u64 now_ns, __u64 slept_ns)
{
	__u64 since = history->woken_ns, interval;

	if (since) {
		interval = now_ns > since ? baton_time(now_ns - since) : 0;
		history->interval_ns =
		    history->interval_ns ? baton_blend(history->interval_ns, interval) : interval;
	}
	history->woken_ns = now_ns;
	history->slept_ns = baton_time(slept_ns);
}

/* It had a CPU for this long. */
static __always_inline void baton_ran(struct baton_history *history, __u64 runtime_ns)
{
	/* Neither is above 2^40 when they are added. */
	history->burst_ns = baton_time(history->burst_ns + baton_time(runtime_ns));
}

/* It left its CPU though it could go on. */
static __always_inline void baton_preempted(struct baton_history *history)
{
	history->voluntary -= history->voluntary >> 3;
}

/* It left its CPU to sleep: its burst is known. */
static __always_inline void baton_slept(struct baton_history *history)
{
	__u64 burst = history->burst_ns, average = history->average_ns;

	history->voluntary += (BATON_SHARE_ONE - history->voluntary) >> 3;
	history->burst_ns = 0;
	if (!history->known) {
		history->last[0] = burst;
		history->last[1] = burst;
		history->last[2] = burst;
		history->last[3] = burst;
		history->average_ns = burst;
	} else {
		history->last[3] = history->last[2];
		history->last[2] = history->last[1];
		history->last[1] = history->last[0];
		history->last[0] = burst;
		history->deviation_ns = baton_blend(
		    history->deviation_ns, burst > average ? burst - average : average - burst);
		history->average_ns = baton_blend(average, burst);
	}
	if (history->known < 0xffff)
		history->known++;
}

/* Its burst was lost from sight: what it ran since its last sleep does not count. */
static __always_inline void baton_lost(struct baton_history *history)
{
	history->burst_ns = 0;
}

struct baton_name {
	__u8 of[16];
};

/* 14 bits of a hash of a task's name, as hash_name in crates/model. */
BATON_FUNCTION __u32 baton_hash_name(const struct baton_name *name)
{
	__u32 hash = 0x811c9dc5, i;

	if (!name)
		return 0;
	for (i = 0; i < 16; i++) {
		if (!name->of[i])
			break;
		hash = (hash ^ name->of[i]) * 0x01000193;
	}
	return (hash ^ (hash >> 14) ^ (hash >> 28)) & 0x3fff;
}

static __always_inline void baton_features_of(const struct baton_history *history,
					      const struct baton_context *context,
					      struct baton_features *into)
{
	const __u64 *last = history->last;
	__u16 *features = into->of;

	features[BATON_LAST1] = baton_log2_q8(last[0]);
	features[BATON_LAST2] = baton_log2_q8((last[0] + last[1]) / 2);
	features[BATON_LAST4] = baton_log2_q8((last[0] + last[1] + last[2] + last[3]) / 4);
	features[BATON_AVERAGE] = baton_log2_q8(history->average_ns);
	features[BATON_DEVIATION] = baton_log2_q8(history->deviation_ns);
	features[BATON_SLEPT_FOR] = baton_log2_q8(history->slept_ns);
	features[BATON_INTERVAL] = baton_log2_q8(history->interval_ns);
	features[BATON_WAKER_LAST1] = context->by_task ? baton_log2_q8(context->waker_last_ns) : 0;
	features[BATON_INTERRUPT] = context->by_task ? 0 : BATON_SHARE_ONE;
	features[BATON_RELATIVE] = context->by_task && context->is_relative ? BATON_SHARE_ONE : 0;
	features[BATON_VOLUNTARY] = history->voluntary;
	features[BATON_WEIGHT] = baton_log2_q8(context->weight);
	features[BATON_KERNEL] = context->is_kernel ? BATON_SHARE_ONE : 0;
	features[BATON_NAME] = context->name & 0x3fff;
	features[BATON_KNOWN] = baton_log2_q8((__u64)history->known + 1);
	features[BATON_FEATURES] = 0;
}

#endif /* BATON_HISTORY_H */
