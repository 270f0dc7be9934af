/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The place of the first one: BPF has no instruction for it. */
#ifndef BATON_LOG2_H
#define BATON_LOG2_H

#ifndef __BPF__
#include <linux/types.h>
#endif

/* The whole part of the logarithm to the base of 2 of a value from 1 to 2^32 - 1. */
static inline __u32 baton_log2(__u64 value)
{
	__u32 log = 0;

	if (value >> 16) {
		log += 16;
		value >>= 16;
	}
	if (value >> 8) {
		log += 8;
		value >>= 8;
	}
	if (value >> 4) {
		log += 4;
		value >>= 4;
	}
	if (value >> 2) {
		log += 2;
		value >>= 2;
	}
	return log + (value >> 1);
}

#endif /* BATON_LOG2_H */
