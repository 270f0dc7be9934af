/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In which bucket of a histogram a value counts; for the relay and for a test of it. */
#ifndef BATON_HISTOGRAM_H
#define BATON_HISTOGRAM_H

#include "abi.h"

/*
 * Four buckets for each power of two: those of a value of `log` bits after the first
 * begin at `log * 4`, and the next two bits choose among them. What takes more than
 * 32 bits counts in the last bucket.
 */
static inline __u32 baton_bucket_of(__u64 value)
{
	__u32 log = 0;
	__u64 rest = value;

	if (value < 4)
		return value;
	if (rest >> 32)
		return BATON_HIST_BUCKETS - 1;
	if (rest >> 16) {
		log += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		log += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		log += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		log += 2;
		rest >>= 2;
	}
	log += rest >> 1;
	return (log * 4 + ((value >> (log - 2)) & 3)) & (BATON_HIST_BUCKETS - 1);
}

#endif /* BATON_HISTOGRAM_H */
