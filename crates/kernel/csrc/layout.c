/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the relay is compared with its twin in Rust: layouts, in the order of the
 * test in src/abi.rs, and the buckets of histograms.
 */
#include <stddef.h>
#include "abi.h"
#include "histogram.h"
#include "recorder.h"

const __u64 baton_layout[64] = {
	sizeof(struct baton_event),
	offsetof(struct baton_event, pid),
	offsetof(struct baton_event, kind),
	offsetof(struct baton_event, flags),
	sizeof(struct baton_info),
	offsetof(struct baton_info, name),
	offsetof(struct baton_info, allowed),
	sizeof(struct baton_event_info),
	offsetof(struct baton_event_info, info),
	sizeof(struct baton_event_features),
	offsetof(struct baton_event_features, guess),
	sizeof(struct baton_command),
	offsetof(struct baton_command, key_offset),
	offsetof(struct baton_command, kind),
	offsetof(struct baton_command, result),
	offsetof(struct baton_command, perf),
	sizeof(struct baton_batch),
	sizeof(struct baton_config),
	sizeof(struct baton_options),
	offsetof(struct baton_options, hint_interval_ns),
	offsetof(struct baton_options, requeue_patience_ns),
	offsetof(struct baton_options, mode),
	offsetof(struct baton_options, sync_fast_path),
	offsetof(struct baton_options, performance),
	offsetof(struct baton_options, model),
	offsetof(struct baton_options, prediction),
	offsetof(struct baton_prediction, by),
	offsetof(struct baton_prediction, is_guarded),
	offsetof(struct baton_prediction, slices),
	offsetof(struct baton_config, online),
	offsetof(struct baton_config, llc_mask),
	offsetof(struct baton_config, cpu_llc),
	sizeof(struct baton_shared),
	offsetof(struct baton_shared, silent),
	offsetof(struct baton_shared, exit_code),
	offsetof(struct baton_shared, lost),
	offsetof(struct baton_shared, generation),
	offsetof(struct baton_shared, abilities),
	offsetof(struct baton_shared, model),
	offsetof(struct baton_shared, idle),
	offsetof(struct baton_shared, online),
	offsetof(struct baton_shared, exit_msg),
	offsetof(struct baton_shared, perf),
	sizeof(struct baton_stats),
	offsetof(struct baton_stats, queue_to_decision),
	offsetof(struct baton_stats, wait),
	offsetof(struct baton_stats, wait_max_ns),
	sizeof(struct baton_task),
	offsetof(struct baton_task, cgroup),
	offsetof(struct baton_task, waits),
	offsetof(struct baton_task, by),
	BATON_CNT_NR,
};

const __u64 baton_layout_len = 52;

__u32 baton_test_bucket_of(__u64 value)
{
	return baton_bucket_of(value);
}

/* In the order of the test in src/recorder/abi.rs. */
const __u64 baton_recorder_layout[] = {
	sizeof(struct baton_rec_head),
	offsetof(struct baton_rec_head, lost_shared),
	offsetof(struct baton_rec_head, told_shared),
	offsetof(struct baton_rec_head, untold),
	offsetof(struct baton_rec_head, running),
	offsetof(struct baton_rec_head, ring),
	offsetof(struct baton_rec_head, tail),
	sizeof(struct baton_rec_task),
	offsetof(struct baton_rec_task, parent),
	offsetof(struct baton_rec_task, kernel),
	offsetof(struct baton_rec_task, name),
	offsetof(struct baton_rec_task, word),
	offsetof(struct baton_rec_task, waited_ns),
	sizeof(struct baton_rec_config),
	offsetof(struct baton_rec_config, old_switch),
	BATON_REC_MAX_CPUS,
	BATON_REC_NO_RING,
	BATON_REC_PID_BITS,
	BATON_REC_LOST,
	BATON_REC_LOST_SHARED,
	BATON_REC_TASK,
	BATON_REC_RESCUED,
	BATON_LEFT_EXITS,
};
