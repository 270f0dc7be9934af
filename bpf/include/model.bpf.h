/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inference in integers, for BPF and for the host's C: crates/model specifies it, and
 * tests compare the bits. A model was checked when it was made, so that nothing here
 * can overflow; what is masked and bounded below is for the verifier.
 */
#ifndef BATON_MODEL_BPF_H
#define BATON_MODEL_BPF_H

#ifndef __BPF__
#include <linux/types.h>
#endif

#include "log2.h"

/*
 * In BPF these are functions of their own that the verifier goes through once, with any
 * argument. In line, it would follow each way through loops and branches with all that it
 * knows of the numbers: a million instructions.
 */
#ifdef __BPF__
#define BATON_FUNCTION __noinline
#else
#define BATON_FUNCTION static __attribute__((unused))
#endif

#define BATON_MODEL_MAGIC 0x42544d01

#define BATON_MODEL_NETWORK 1
#define BATON_MODEL_FOREST  2

#define BATON_FEATURES 15
/* Room for features: with a power of two an index needs no comparison. */
#define BATON_FEATURES_ROOM 16
#define BATON_INPUTS_MAX    16
#define BATON_OUTPUTS	    4
#define BATON_RELATIVE_ZERO 8192
#define BATON_LAYERS_MAX    4
#define BATON_WIDTH_MAX	    32
#define BATON_TREES_MAX	    64
#define BATON_DEPTH_MAX	    6
#define BATON_PLACES	    64
/* Pairs of neurons that are computed side by side. */
#define BATON_BLOCK_PAIRS 6
#define BATON_WEIGHTS	  2048
/* A row of weights begins below BATON_WEIGHTS and reaches so far beyond at most. */
#define BATON_WEIGHTS_SPARE (BATON_WIDTH_MAX * BATON_BLOCK_PAIRS + BATON_BLOCK_PAIRS)

struct baton_layer {
	__u32 inputs;
	__u32 pairs;
	__u32 shift;
	__u32 weights; /* its first word of weights */
	__s32 bias[BATON_WIDTH_MAX];
};

/*
 * All fields are as wide as they are aligned, so that there are no gaps; the weights, of
 * 64 bits, begin at a multiple of 8.
 */
struct baton_model {
	__u32 magic;
	__u32 kind;
	__u32 inputs;
	__u32 outputs;
	__u32 parts; /* layers or trees */
	__u32 shift; /* of a forest's sums */
	__u32 base;  /* 1 and the feature that is added to all outputs; 0: none is */
	__u32 unused;
	__u16 low[BATON_INPUTS_MAX];
	__u16 high[BATON_INPUTS_MAX];
	__u8 feature[BATON_INPUTS_MAX];
	__u8 relative[BATON_INPUTS_MAX]; /* to the base, plus BATON_RELATIVE_ZERO */

	struct baton_layer layer[BATON_LAYERS_MAX];
	/*
	 * By layer, then by block of pairs, then by input: the weights of a pair as
	 * low + high * 2^32.
	 */
	__u64 weights[BATON_WEIGHTS + BATON_WEIGHTS_SPARE];

	__s32 begin[BATON_OUTPUTS]; /* of the sums of leaves */
	__u8 output[BATON_TREES_MAX];
	__u8 depth[BATON_TREES_MAX];
	/*
	 * Place 1 is the root, 2p and 2p + 1 are below p. From bit 0 the threshold, from 16 the
	 * feature, at 20 whether it is its distance from the base.
	 */
	__u32 node[BATON_TREES_MAX][BATON_PLACES];
	__s32 leaf[BATON_TREES_MAX][BATON_PLACES];
};

/* A task's features, with room for one more. */
struct baton_features {
	__u16 of[BATON_FEATURES_ROOM];
};

/* The values between two layers, where BPF's stack would be too small: for each CPU one. */
struct baton_values {
	__u32 now[BATON_WIDTH_MAX];
	__u32 next[BATON_WIDTH_MAX];
	__s32 outputs[BATON_OUTPUTS];
};

/* The logarithm to the base of 2, times 256: linear between powers of two. */
BATON_FUNCTION __u32 baton_log2_q8(__u64 value)
{
	__u32 log;

	if (value <= 1)
		return 0;
	if (value > 1ULL << 40)
		value = 1ULL << 40;
	log = value >> 32 ? 32 + baton_log2(value >> 32) : baton_log2(value);
	return log * 256 + ((value << (63 - log) >> 55) & 255);
}

static __always_inline __u32 baton_feature(const struct baton_features *features, __u32 feature)
{
	return features->of[feature & (BATON_FEATURES_ROOM - 1)];
}

/* The feature that the model names as its base; 0 if it names none. */
static __always_inline __u32 baton_base(const struct baton_model *model,
					const struct baton_features *features)
{
	__u32 base = model->base;

	return base ? baton_feature(features, base - 1) : 0;
}

/* What an input is: above the least value of its range, and not above the greatest. */
static __always_inline void baton_take_inputs(const struct baton_model *model,
					      const struct baton_features *features, __u32 base,
					      struct baton_values *values)
{
	__u32 i;

	for (i = 0; i < BATON_INPUTS_MAX; i++) {
		__s32 value, low, high;

		if (i >= model->inputs)
			break;
		low = model->low[i];
		high = model->high[i];
		value = baton_feature(features, model->feature[i]);
		/* The range lies within what a value can be: no other bounds are needed. */
		if (model->relative[i])
			value += BATON_RELATIVE_ZERO - (__s32)base;
		if (value < low)
			value = low;
		if (value > high)
			value = high;
		values->now[i] = value - low;
	}
}

/* The sum of two neurons at the beginning: their biases. */
static __always_inline __u64 baton_begin_pair(const __s32 *bias)
{
	return (__u64)((__s64)bias[0] + ((__u64)(__s64)bias[1] << 32));
}

/* Takes two sums apart; the lower one may have borrowed from the upper. */
static __always_inline void baton_end_pair(__u64 sum, __u32 shift, int last, __u32 *next)
{
	__s32 low = (__s32)(__u32)sum;
	__s32 high = (__s32)(__u32)((sum - (__u64)(__s64)low) >> 32);

	if (!last) {
		low = low < 0 ? 0 : low;
		high = high < 0 ? 0 : high;
	}
	next[0] = (__u32)(low >> shift);
	next[1] = (__u32)(high >> shift);
}

/*
 * `count` pairs of neurons; the sums stay in registers, since count is a constant. `start` is
 * the first word of their weights.
 */
static __always_inline int baton_block(const struct baton_model *model, struct baton_values *values,
				       __u32 layer, __u32 start, __u32 pair, __u32 count, int last)
{
	__u64 a = 0, b = 0, c = 0, d = 0, e = 0, f = 0;
	__u32 first = (pair * 2) & 31, inputs, shift, i;
	const struct baton_layer *of;
	const __u64 *weights;
	const __s32 *bias;
	__u32 *next;

	/* A block ends within the layer. */
	if (!model || !values || first > BATON_WIDTH_MAX - count * 2)
		return 0;
	of = &model->layer[layer & (BATON_LAYERS_MAX - 1)];
	weights = model->weights + (start & (BATON_WEIGHTS - 1));
	inputs = of->inputs;
	shift = of->shift & 31;
	bias = of->bias + first;
	a = baton_begin_pair(bias);
	if (count > 1)
		b = baton_begin_pair(bias + 2);
	if (count > 2)
		c = baton_begin_pair(bias + 4);
	if (count > 3)
		d = baton_begin_pair(bias + 6);
	if (count > 4)
		e = baton_begin_pair(bias + 8);
	if (count > 5)
		f = baton_begin_pair(bias + 10);
	for (i = 0; i < BATON_WIDTH_MAX; i++) {
		__u64 value;

		if (i >= inputs)
			break;
		value = values->now[i];
		a += value * weights[0];
		if (count > 1)
			b += value * weights[1];
		if (count > 2)
			c += value * weights[2];
		if (count > 3)
			d += value * weights[3];
		if (count > 4)
			e += value * weights[4];
		if (count > 5)
			f += value * weights[5];
		weights += count;
	}
	next = values->next + first;
	baton_end_pair(a, shift, last, next);
	if (count > 1)
		baton_end_pair(b, shift, last, next + 2);
	if (count > 2)
		baton_end_pair(c, shift, last, next + 4);
	if (count > 3)
		baton_end_pair(d, shift, last, next + 6);
	if (count > 4)
		baton_end_pair(e, shift, last, next + 8);
	if (count > 5)
		baton_end_pair(f, shift, last, next + 10);
	return 0;
}

/* `place`: the layer, from bit 8 the block's first pair, from 16 whether the layer is the last. */
#define BATON_BLOCK(count)                                                                         \
	BATON_FUNCTION int baton_block##count(const struct baton_model *model,                     \
					      struct baton_values *values, __u32 start,            \
					      __u32 place)                                         \
	{                                                                                          \
		return baton_block(model, values, place & 255, start, place >> 8 & 255, count,     \
				   place >> 16);                                                   \
	}

BATON_BLOCK(1)
BATON_BLOCK(2)
BATON_BLOCK(3)
BATON_BLOCK(4)
BATON_BLOCK(5)
BATON_BLOCK(6)

static __always_inline void baton_layer(const struct baton_model *model,
					struct baton_values *values, __u32 layer, __u32 last)
{
	__u32 pairs, inputs, start, block, k;
	const struct baton_layer *of;

	of = &model->layer[layer & (BATON_LAYERS_MAX - 1)];
	pairs = of->pairs;
	inputs = of->inputs & 63;
	start = of->weights;
	for (block = 0; block < 3; block++) {
		__u32 pair = block * BATON_BLOCK_PAIRS, place = layer | pair << 8 | last << 16;

		if (pair >= pairs)
			break;
		switch (pairs - pair) {
		case 1:
			baton_block1(model, values, start, place);
			break;
		case 2:
			baton_block2(model, values, start, place);
			break;
		case 3:
			baton_block3(model, values, start, place);
			break;
		case 4:
			baton_block4(model, values, start, place);
			break;
		case 5:
			baton_block5(model, values, start, place);
			break;
		default:
			baton_block6(model, values, start, place);
			break;
		}
		start += inputs * BATON_BLOCK_PAIRS;
	}
	/* The last layer's values are what comes out. */
	if (last)
		return;
	for (k = 0; k < BATON_WIDTH_MAX; k++)
		values->now[k] = values->next[k];
}

static __always_inline void baton_infer_network(const struct baton_model *model,
						struct baton_values *values)
{
	__u32 i, k;

	for (i = 0; i < BATON_LAYERS_MAX; i++) {
		int last = i + 1 >= model->parts;

		baton_layer(model, values, i, last);
		if (last)
			break;
	}
	for (k = 0; k < BATON_OUTPUTS; k++)
		values->outputs[k] = k < model->outputs ? (__s32)values->next[k] : 0;
}

/* Adds what a few trees say, from the `first` one on: a call for each would double their time. */
#define BATON_TREES_EACH 16

BATON_FUNCTION int baton_trees(const struct baton_model *model,
			       const struct baton_features *features, struct baton_values *values,
			       __u32 first, __u32 distance)
{
	__u32 i, parts;

	if (!model || !features || !values)
		return 0;
	parts = model->parts;
	for (i = 0; i < BATON_TREES_EACH; i++) {
		__u32 tree = (first + i) & (BATON_TREES_MAX - 1), place = 1, depth, level;

		if (first + i >= parts)
			break;
		depth = model->depth[tree];
		for (level = 0; level < BATON_DEPTH_MAX; level++) {
			__u32 node, value;

			if (level >= depth)
				break;
			node = model->node[tree][place & (BATON_PLACES - 1)];
			value = baton_feature(features, node >> 16);
			value += distance & -(node >> 20);
			/* 1 where the value is above the threshold; it may be below 0. */
			place = 2 * place + (((node & 0xffff) - value) >> 31);
		}
		values->outputs[model->output[tree] & (BATON_OUTPUTS - 1)] +=
		    model->leaf[tree][(place - (1U << (depth & 7))) & (BATON_PLACES - 1)];
	}
	return 0;
}

static __always_inline void baton_infer_forest(const struct baton_model *model,
					       const struct baton_features *features, __u32 base,
					       struct baton_values *values)
{
	__u32 distance = BATON_RELATIVE_ZERO - base, shift = model->shift & 31, i, k;

	for (k = 0; k < BATON_OUTPUTS; k++)
		values->outputs[k] = k < model->outputs ? model->begin[k] : 0;
	for (i = 0; i < BATON_TREES_MAX; i += BATON_TREES_EACH) {
		if (i >= model->parts)
			break;
		baton_trees(model, features, values, i, distance);
	}
	for (k = 0; k < BATON_OUTPUTS; k++)
		values->outputs[k] >>= shift;
}

/* What the model predicts, in values->outputs. */
static __always_inline void baton_infer(const struct baton_model *model,
					const struct baton_features *features,
					struct baton_values *values)
{
	__u32 base = baton_base(model, features), k;

	if (model->kind == BATON_MODEL_FOREST) {
		baton_infer_forest(model, features, base, values);
	} else {
		baton_take_inputs(model, features, base, values);
		baton_infer_network(model, values);
	}
	for (k = 0; k < BATON_OUTPUTS; k++) {
		if (k < model->outputs)
			values->outputs[k] += base;
	}
}

#endif /* BATON_MODEL_BPF_H */
