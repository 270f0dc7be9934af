/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In which bucket of a histogram a value counts; for the relay and for a test of it. */
#ifndef BATON_HISTOGRAM_H
#define BATON_HISTOGRAM_H

#include "abi.h"
#include "log2.h"

/*
 * Four buckets for each power of two: those of a value of `log` bits after the first
 * begin at `log * 4`, and the next two bits choose among them. What takes more than
 * 32 bits counts in the last bucket.
 */
static inline __u32 baton_bucket_of(__u64 value)
{
	__u32 log;

	if (value < 4)
		return value;
	if (value >> 32)
		return BATON_HIST_BUCKETS - 1;
	log = baton_log2(value);
	return (log * 4 + ((value >> (log - 2)) & 3)) & (BATON_HIST_BUCKETS - 1);
}

#endif /* BATON_HISTOGRAM_H */
