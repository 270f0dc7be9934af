/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a model says to what a scheduler does, and what keeps that in bounds: predict.rs
 * in crates/model specifies it, and a test compares the bits.
 */
#ifndef BATON_PREDICT_H
#define BATON_PREDICT_H

#include "history.h"

#define BATON_LOG_MAX	      (40 * 256)
#define BATON_MIRROR	      (20 * 256)
#define BATON_RANDOM_LOW      (13 * 256)
#define BATON_RANDOM_SPAN     (12 * 256)
#define BATON_REGULAR_KNOWN   (2 * 256 + 64)
#define BATON_REGULAR_OCTAVES (2 * 256)
#define BATON_DRIFT_WINDOW    64
#define BATON_DRIFT_EPOCH     8

/* Where a guess comes from. What only a simulator knows is the average here. */
enum baton_predictor {
	BATON_BY_AVERAGE = 0,
	BATON_BY_MODEL = 1,
	BATON_BY_INVERTED = 2,
	BATON_BY_CONSTANT = 3,
	BATON_BY_RANDOM = 4,
};

/* Whose guess counted. */
enum baton_whose {
	BATON_NOBODYS = 0,
	BATON_AVERAGES = 1,
	BATON_MODELS = 2,
	BATON_UNSURE = 3,
	BATON_OFF = 4,
	BATON_REGULAR = 5,
};

struct baton_prediction {
	__u64 delay_max_ns;
	__u32 by;
	__u16 constant;
	__u16 spread_max;
	__u8 is_guarded;
	__u8 is_shadow;
	__u8 slices; /* they follow the guess */
	__u8 pad[5];
};

/* On the scale of logarithms. */
struct baton_guess {
	__u16 burst; /* what counts */
	__u16 model; /* or what stands for it */
	__u16 average;
	__u16 whose;
};

struct baton_drift {
	__u32 model; /* sums of distances in the window so far */
	__u32 average;
	__u32 count;
	__u32 epoch_model; /* of the windows before, since they were last judged together */
	__u32 epoch_average;
	__u32 windows;
	__u32 is_off;
	__u32 pad;
};

static __always_inline __u16 baton_clamp_log(__s32 value)
{
	if (value < 0)
		return 0;
	return value > BATON_LOG_MAX ? BATON_LOG_MAX : value;
}

/* The value of which the logarithm is this. */
static __always_inline __u64 baton_exp2_q8(__u32 log)
{
	if (!log)
		return 1;
	if (log >= BATON_LOG_MAX)
		return BATON_TIME_MAX;
	return (1ULL << (log >> 8)) + (((__u64)(log & 255) << (log >> 8)) >> 8);
}

static __always_inline __u64 baton_mixed(__u64 seq, __u64 start_ns)
{
	__u64 mix = seq * 0x9e3779b97f4a7c15ULL ^ start_ns;

	mix ^= mix >> 32;
	mix *= 0xd6e8feb86659fd93ULL;
	return mix ^ (mix >> 32);
}

/* Whether there is something to compute beside the average. */
static __always_inline int baton_has_candidate(const struct baton_prediction *rule)
{
	return rule->by != BATON_BY_AVERAGE;
}

/* Whether a task repeats itself: several bursts are known, and they differ little. */
static __always_inline int baton_is_regular(const struct baton_features *features)
{
	return features->of[BATON_KNOWN] >= BATON_REGULAR_KNOWN &&
	       features->of[BATON_DEVIATION] + BATON_REGULAR_OCTAVES <= features->of[BATON_AVERAGE];
}

/* Whether the model has to be asked. */
static __always_inline int baton_asks_model(const struct baton_prediction *rule,
					    const struct baton_features *features)
{
	return rule->by == BATON_BY_INVERTED ||
	       (rule->by == BATON_BY_MODEL && !baton_is_regular(features));
}

/*
 * What the burst of a task that was woken will be. `outputs` are the model's, of which it has
 * `count`, where baton_asks_model.
 */
static __always_inline void baton_guess_burst(const struct baton_prediction *rule,
					      const struct baton_features *features,
					      const __s32 *outputs, __u32 count, int is_off,
					      __u64 seq, __u64 start_ns, struct baton_guess *guess)
{
	__u16 middle = baton_clamp_log(outputs[0]);
	int is_sure = 1;

	guess->average = features->of[BATON_AVERAGE];
	guess->model = guess->average;
	if (rule->by == BATON_BY_MODEL && baton_is_regular(features)) {
		guess->burst = guess->average;
		guess->whose = BATON_REGULAR;
		return;
	}
	if ((rule->by == BATON_BY_MODEL || rule->by == BATON_BY_INVERTED) && count >= 2)
		is_sure = baton_clamp_log(outputs[1]) <= (__u32)middle + rule->spread_max;
	if (rule->by == BATON_BY_MODEL)
		guess->model = middle;
	else if (rule->by == BATON_BY_INVERTED)
		guess->model = baton_clamp_log(2 * BATON_MIRROR - (__s32)middle);
	else if (rule->by == BATON_BY_CONSTANT)
		guess->model = rule->constant < BATON_LOG_MAX ? rule->constant : BATON_LOG_MAX;
	else if (rule->by == BATON_BY_RANDOM)
		guess->model = BATON_RANDOM_LOW + baton_mixed(seq, start_ns) % BATON_RANDOM_SPAN;
	if (rule->by == BATON_BY_AVERAGE || rule->is_shadow)
		guess->whose = BATON_AVERAGES;
	else if (rule->is_guarded && is_off)
		guess->whose = BATON_OFF;
	else if (!is_sure)
		guess->whose = BATON_UNSURE;
	else
		guess->whose = BATON_MODELS;
	guess->burst = guess->whose == BATON_MODELS ? guess->model : guess->average;
}

/* How much later a task with this guess runs than one that sleeps at once, at most `max_ns`. */
BATON_FUNCTION __u64 baton_delay_ns(__u64 max_ns, __u32 burst, __u32 weight)
{
	__u64 delay = baton_exp2_q8(burst) * 100 / (weight ? weight : 1);

	return delay < max_ns ? delay : max_ns;
}

/* The slice of a task with this guess, of which it had `had_ns`. */
BATON_FUNCTION __u64 baton_guess_slice_ns(__u32 burst, __u64 had_ns, __u64 least_ns, __u64 most_ns)
{
	__u64 burst_ns = baton_exp2_q8(burst), slice;

	had_ns = baton_time(had_ns);
	slice = 2 * (burst_ns > had_ns ? burst_ns - had_ns : had_ns);
	if (slice < least_ns)
		slice = least_ns;
	return slice < most_ns ? slice : most_ns;
}

/* What a window of these errors leads to: 1 where the model is off from now on, 2 where it is on
 * again. */
static __always_inline int baton_drift_window(struct baton_drift *drift, __u32 model, __u32 average)
{
	int is_gross = model > average + average / 2 + BATON_DRIFT_WINDOW * 32;
	int is_last, change = 0;

	drift->epoch_model += model;
	drift->epoch_average += average;
	is_last = ++drift->windows >= BATON_DRIFT_EPOCH;
	model = drift->epoch_model;
	average = drift->epoch_average;
	if (drift->is_off) {
		if (is_last && model <= average)
			change = 2;
	} else if (is_gross ||
		   (is_last &&
		    model > average + average / 8 + BATON_DRIFT_WINDOW * BATON_DRIFT_EPOCH * 8)) {
		change = 1;
	}
	if (is_last || change) {
		drift->epoch_model = 0;
		drift->epoch_average = 0;
		drift->windows = 0;
	}
	if (change)
		drift->is_off = change == 1;
	return change;
}

/*
 * A burst ended of which this was the guess. CPUs do this at the same time: the one that makes a
 * window full takes its sums and judges them, and what others add meanwhile counts in the next.
 * The count is never set back, so that no CPU that comes late can make it miss its place.
 */
static __always_inline int baton_drift_ended(struct baton_drift *drift,
					     const struct baton_guess *guess, __u16 burst)
{
	__u32 model = guess->model > burst ? guess->model - burst : burst - guess->model;
	__u32 average = guess->average > burst ? guess->average - burst : burst - guess->average;

	__sync_fetch_and_add(&drift->model, model);
	__sync_fetch_and_add(&drift->average, average);
	if (__sync_fetch_and_add(&drift->count, 1) % BATON_DRIFT_WINDOW != BATON_DRIFT_WINDOW - 1)
		return 0;
	model = __sync_lock_test_and_set(&drift->model, 0);
	average = __sync_lock_test_and_set(&drift->average, 0);
	return baton_drift_window(drift, model, average);
}

#endif /* BATON_PREDICT_H */
