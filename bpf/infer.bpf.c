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

SEC("tc")
int infer_nothing(void *ctx)
{
	return 0;
}
