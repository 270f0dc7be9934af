/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes and offsets of abi.h, in the order of the test in src/abi.rs. */
#include <stddef.h>
#include "abi.h"

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
	sizeof(struct baton_command),
	offsetof(struct baton_command, key_offset),
	offsetof(struct baton_command, kind),
	offsetof(struct baton_command, result),
	sizeof(struct baton_batch),
	sizeof(struct baton_config),
	sizeof(struct baton_options),
	offsetof(struct baton_options, hint_interval_ns),
	offsetof(struct baton_options, mode),
	offsetof(struct baton_options, sync_fast_path),
	offsetof(struct baton_config, online),
	offsetof(struct baton_config, llc_mask),
	offsetof(struct baton_config, cpu_llc),
	sizeof(struct baton_shared),
	offsetof(struct baton_shared, silent),
	offsetof(struct baton_shared, exit_code),
	offsetof(struct baton_shared, lost),
	offsetof(struct baton_shared, generation),
	offsetof(struct baton_shared, idle),
	offsetof(struct baton_shared, online),
	offsetof(struct baton_shared, exit_msg),
	sizeof(struct baton_stats),
	offsetof(struct baton_stats, queue_to_decision),
	offsetof(struct baton_stats, wait),
	offsetof(struct baton_stats, wait_max_ns),
	sizeof(struct baton_task),
	offsetof(struct baton_task, waits),
	offsetof(struct baton_task, by),
	BATON_CNT_NR,
};

const __u64 baton_layout_len = 38;
