// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Inference by itself: to compare its bits with crates/model, and to measure what it
 * takes against a program that does nothing.
 */
#include "kernel.bpf.h"
#include "model.bpf.h"

char _license[] SEC("license") = "GPL";

#define BATCH 1024

struct inference {
	struct baton_features features;
	__s32 outputs[BATON_OUTPUTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct baton_model);
} model_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct baton_values);
} values_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BATCH);
	__type(key, u32);
	__type(value, struct inference);
} batch_map SEC(".maps");

/* A network of 15-10-1 as one would write it first: a weight a word, sums of 64 bits. */
#define PLAIN_HIDDEN 10

struct plain_network {
	s32 hidden[PLAIN_HIDDEN][BATON_FEATURES];
	s32 hidden_bias[PLAIN_HIDDEN];
	s32 last[PLAIN_HIDDEN];
	s32 last_bias;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct plain_network);
} plain_map SEC(".maps");

static long infer_one(u32 index, void *data)
{
	struct inference *inference = bpf_map_lookup_elem(&batch_map, &index);
	struct baton_values *values;
	struct baton_model *model;
	u32 zero = 0, k;

	model = bpf_map_lookup_elem(&model_map, &zero);
	values = bpf_map_lookup_elem(&values_map, &zero);
	if (!inference || !model || !values)
		return 1;
	baton_infer(model, &inference->features, values);
	for (k = 0; k < BATON_OUTPUTS; k++)
		inference->outputs[k] = values->outputs[k];
	return 0;
}

/* Answers the whole batch. */
SEC("syscall")
int infer_batch(void *ctx)
{
	return bpf_loop(BATCH, infer_one, NULL, 0);
}

/* The first input of the batch, once for each time that the kernel is asked to repeat. */
SEC("tc")
int infer_once(void *ctx)
{
	infer_one(0, NULL);
	return 0;
}

/* The yardstick: what the plain network takes, which is not quantised, clamped nor compared. */
SEC("tc")
int infer_plain(void *ctx)
{
	const struct plain_network *network;
	struct inference *inference;
	u32 zero = 0, i, k;
	s64 sum;

	inference = bpf_map_lookup_elem(&batch_map, &zero);
	network = bpf_map_lookup_elem(&plain_map, &zero);
	if (!inference || !network)
		return 0;
	sum = network->last_bias;
#pragma clang loop unroll(disable)
	for (k = 0; k < PLAIN_HIDDEN; k++) {
		s64 value = network->hidden_bias[k];

#pragma clang loop unroll(disable)
		for (i = 0; i < BATON_FEATURES; i++)
			value += (s64)network->hidden[k][i] * inference->features.of[i];
		if (value > 0)
			sum += network->last[k] * (value >> 10);
	}
	inference->outputs[0] = sum >> 10;
	return 0;
}

SEC("tc")
int infer_nothing(void *ctx)
{
	return 0;
}
