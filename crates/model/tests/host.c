/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model's image and features come in, predictions go out; the layout of the image is
 * told with the argument "layout".
 */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "predict.h"

static struct baton_model model;
static struct baton_values values;

static int layout(void)
{
	printf("%zu %zu %zu %zu %zu\n", offsetof(struct baton_model, layer),
	       offsetof(struct baton_model, weights), offsetof(struct baton_model, begin),
	       offsetof(struct baton_model, node), sizeof(struct baton_model));
	return 0;
}

/* Reads values of 64 bits, writes their logarithms. */
static int logarithms(void)
{
	__u64 value;
	__u16 log;

	while (fread(&value, sizeof(value), 1, stdin) == 1) {
		log = baton_log2_q8(value);
		fwrite(&log, sizeof(log), 1, stdout);
	}
	return 0;
}

/* Words of 64 bits: what happened to a task, and its number. */
enum { WOKEN, RAN, PREEMPTED, SLEPT, LOST };

/* Reads events of a task, writes its features after each. */
static int histories(void)
{
	struct baton_history history = {0};
	struct baton_features features;
	__u64 event[4];

	while (fread(event, sizeof(event), 1, stdin) == 1) {
		struct baton_context context = {
		    .waker_last_ns = event[1],
		    .weight = (__u32)event[2],
		    .name = (__u16)event[3],
		    .by_task = event[3] & 1,
		    .is_relative = event[3] >> 1 & 1,
		    .is_kernel = event[3] >> 2 & 1,
		};

		switch (event[0]) {
		case WOKEN:
			baton_woken(&history, event[1], event[2]);
			break;
		case RAN:
			baton_ran(&history, event[1]);
			break;
		case PREEMPTED:
			baton_preempted(&history);
			break;
		case SLEPT:
			baton_slept(&history);
			break;
		default:
			baton_lost(&history);
		}
		baton_features_of(&history, &context, &features);
		fwrite(features.of, sizeof(*features.of), BATON_FEATURES, stdout);
	}
	return 0;
}

struct question {
	struct baton_prediction rule;
	__u64 seq;
	__u64 start_ns;
	__u64 had_ns;
	__s32 outputs[2];
	__u32 count;
	__u32 weight;
	__u16 average;
	__u16 burst;
	__u16 deviation;
	__u16 known;
	__u32 is_reset;
	__u32 pad;
};

struct answer {
	__u64 delay_ns;
	__u64 slice_ns;
	struct baton_guess guess;
	__u32 is_off;
	__u32 change;
};

/* Reads what guesses are made of and what came of them, writes guesses and what they do. */
static int guesses(void)
{
	struct baton_features features = {0};
	struct baton_drift drift = {0};
	struct question ask;

	while (fread(&ask, sizeof(ask), 1, stdin) == 1) {
		struct answer answer = {0};

		if (ask.is_reset)
			memset(&drift, 0, sizeof(drift));
		features.of[BATON_AVERAGE] = ask.average;
		features.of[BATON_DEVIATION] = ask.deviation;
		features.of[BATON_KNOWN] = ask.known;
		baton_guess_burst(&ask.rule, &features, ask.outputs, ask.count, drift.is_off,
				  ask.seq, ask.start_ns, &answer.guess);
		answer.delay_ns =
		    baton_delay_ns(ask.rule.delay_max_ns, answer.guess.burst, ask.weight);
		answer.slice_ns =
		    baton_guess_slice_ns(answer.guess.burst, ask.had_ns, 2000000, 20000000);
		answer.change = baton_drift_ended(&drift, &answer.guess, ask.burst);
		answer.is_off = drift.is_off;
		fwrite(&answer, sizeof(answer), 1, stdout);
	}
	return 0;
}

/* Reads names of 16 bytes, writes their hashes. */
static int names(void)
{
	struct baton_name name;
	__u16 hash;

	while (fread(&name, sizeof(name), 1, stdin) == 1) {
		hash = baton_hash_name(&name);
		fwrite(&hash, sizeof(hash), 1, stdout);
	}
	return 0;
}

#define RACERS	    4
#define RACE_BURSTS 2000000

static struct baton_drift raced;

static void *race(void *unused)
{
	const struct baton_guess guess = {.model = 5000, .average = 5000};
	__u32 i;

	(void)unused;
	for (i = 0; i < RACE_BURSTS; i++)
		baton_drift_ended(&raced, &guess, 5000);
	return NULL;
}

/* Many CPUs judge at once; afterwards a model that is wrong must still be off, and come back. */
static int races(void)
{
	const struct baton_guess wrong = {.model = 9000, .average = 5000};
	pthread_t racers[RACERS];
	__u32 i, until;

	for (i = 0; i < RACERS; i++)
		pthread_create(&racers[i], NULL, race, NULL);
	for (i = 0; i < RACERS; i++)
		pthread_join(racers[i], NULL);
	for (until = 0; until < 4 * BATON_DRIFT_WINDOW && !raced.is_off; until++)
		baton_drift_ended(&raced, &wrong, 5000);
	printf("%u ", until);
	for (until = 0; until < 4 && raced.is_off; until++)
		race(NULL);
	printf("%u\n", raced.is_off);
	return 0;
}

int main(int argc, char **argv)
{
	struct baton_features features = {0};

	if (argc > 1 && !strcmp(argv[1], "layout"))
		return layout();
	if (argc > 1 && !strcmp(argv[1], "log"))
		return logarithms();
	if (argc > 1 && !strcmp(argv[1], "history"))
		return histories();
	if (argc > 1 && !strcmp(argv[1], "guess"))
		return guesses();
	if (argc > 1 && !strcmp(argv[1], "name"))
		return names();
	if (argc > 1 && !strcmp(argv[1], "race"))
		return races();
	if (fread(&model, sizeof(model), 1, stdin) != 1 || model.magic != BATON_MODEL_MAGIC)
		return 1;
	/* What was there before must not matter. */
	memset(&values, 0xff, sizeof(values));
	while (fread(features.of, BATON_FEATURES * sizeof(*features.of), 1, stdin) == 1) {
		baton_infer(&model, &features, &values);
		fwrite(values.outputs, sizeof(values.outputs), 1, stdout);
	}
	return 0;
}
