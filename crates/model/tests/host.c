/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model's image and features come in, predictions go out; the layout of the image is
 * told with the argument "layout".
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.bpf.h"

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

int main(int argc, char **argv)
{
	__u16 features[BATON_FEATURES_ROOM] = {0};

	if (argc > 1 && !strcmp(argv[1], "layout"))
		return layout();
	if (argc > 1 && !strcmp(argv[1], "log"))
		return logarithms();
	if (fread(&model, sizeof(model), 1, stdin) != 1 || model.magic != BATON_MODEL_MAGIC)
		return 1;
	/* What was there before must not matter. */
	memset(&values, 0xff, sizeof(values));
	while (fread(features, BATON_FEATURES * sizeof(*features), 1, stdin) == 1) {
		baton_infer(&model, features, &values);
		fwrite(values.outputs, sizeof(values.outputs), 1, stdout);
	}
	return 0;
}
