/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of tasks' bursts, and how the next one is guessed. */
#ifndef BATON_RELAY_PREDICT_H
#define BATON_RELAY_PREDICT_H

#include "state.h"

/* Who wakes a task, in the waker's context. */
static __always_inline void note_waker(struct task_struct *p, struct task_ctx *tctx,
				       struct task_struct *current)
{
	struct task_ctx *waker;

	if (!options.predict)
		return;
	tctx->waker_noted = 1;
	/* The idle task wakes nobody: an interrupt on its CPU does. */
	tctx->by_task = current->pid && !in_interrupt(false);
	if (!tctx->by_task)
		return;
	waker = get_task(current);
	tctx->waker_last_ns = waker ? waker->history.last[0] : 0;
	tctx->by_relative = current->tgid == p->tgid;
}

/* What models look at. */
static __always_inline void task_features(struct task_struct *p, struct task_ctx *tctx,
					  struct baton_features *features)
{
	struct baton_context context = {
	    .waker_last_ns = tctx->waker_last_ns,
	    .weight = p->scx.weight,
	    .by_task = tctx->by_task,
	    .is_relative = tctx->by_relative,
	    .is_kernel = !!(p->flags & PF_KTHREAD),
	};
	struct baton_name name;

	__builtin_memcpy(&name, p->comm, sizeof(name));
	context.name = baton_hash_name(&name);
	baton_features_of(&tctx->history, &context, features);
}

static __always_inline void count_guess(const struct baton_guess *guess)
{
	u32 apart = guess->model > guess->average ? guess->model - guess->average
						  : guess->average - guess->model;

	if (guess->whose == BATON_MODELS)
		count(BATON_CNT_GUESS_MODEL);
	else if (guess->whose == BATON_UNSURE)
		count(BATON_CNT_GUESS_UNSURE);
	else if (guess->whose == BATON_OFF)
		count(BATON_CNT_GUESS_OFF);
	else if (guess->whose == BATON_REGULAR)
		count(BATON_CNT_GUESS_REGULAR);
	else
		count(BATON_CNT_GUESS_AVERAGE);
	if (baton_has_candidate(&options.prediction) && apart > 256)
		count(BATON_CNT_GUESS_APART);
}

/* Guesses the burst that the task begins, once, when the guess is wanted. */
__noinline int guess_burst(struct task_struct *p __arg_trusted)
{
	u32 zero = 0, slot = options.model, outputs = 0;
	struct task_ctx *tctx = get_task(p);
	struct baton_prediction rule = options.prediction;
	struct baton_features features;
	struct baton_values *values;
	struct baton_model *model;

	if (!tctx)
		return 0;
	prediction_begin(tctx);
	if (tctx->guessed)
		return 0;
	values = bpf_map_lookup_elem(&values_map, &zero);
	model = bpf_map_lookup_elem(&model_map, &slot);
	if (!values || !model)
		return 0;
	task_features(p, tctx, &features);
	/* While options change, another CPU may see a place that was never written. */
	if (model->magic != BATON_MODEL_MAGIC &&
	    (rule.by == BATON_BY_MODEL || rule.by == BATON_BY_INVERTED))
		rule.by = BATON_BY_AVERAGE;
	if (baton_asks_model(&rule, &features)) {
		baton_infer(model, &features, values);
		outputs = model->outputs;
	}
	baton_guess_burst(&rule, &features, values->outputs, outputs, drift.is_off, tctx->seq,
			  p->start_time, &tctx->guess);
	tctx->guessed = 1;
	count_guess(&tctx->guess);
	return 0;
}

/* Compares the guess of a burst that ended with what it was. */
static __always_inline void judge_guess(struct task_ctx *tctx)
{
	struct baton_stats *stats = get_stats();
	struct baton_shared *shared = get_shared();
	u16 burst = baton_log2_q8(tctx->history.burst_ns);
	const struct baton_guess *guess = &tctx->guess;
	int change;

	/* Of a task's first burst the average knows nothing, and where nobody was asked there is
	 * nothing to compare. */
	if (!stats || !shared || !tctx->history.known || guess->whose == BATON_REGULAR)
		return;
	stats->counter[BATON_CNT_JUDGED]++;
	stats->counter[BATON_CNT_ERROR_MODEL] +=
	    guess->model > burst ? guess->model - burst : burst - guess->model;
	stats->counter[BATON_CNT_ERROR_AVERAGE] +=
	    guess->average > burst ? guess->average - burst : burst - guess->average;
	change = baton_drift_ended(&drift, guess, burst);
	if (change == 1)
		count(BATON_CNT_MODEL_OFF);
	else if (change == 2)
		count(BATON_CNT_MODEL_ON);
	if (change)
		shared->model_off = drift.is_off;
}

/* A task leaves its CPU. */
static __always_inline void note_stop(struct task_ctx *tctx, u64 runtime_ns, bool runnable)
{
	struct baton_history *history = &tctx->history;

	prediction_begin(tctx);
	baton_ran(history, runtime_ns);
	if (runnable) {
		baton_preempted(history);
		return;
	}
	if (tctx->unseen) {
		tctx->unseen = 0;
		baton_lost(history);
		return;
	}
	if (tctx->guessed && baton_has_candidate(&options.prediction))
		judge_guess(tctx);
	baton_slept(history);
}

#endif /* BATON_RELAY_PREDICT_H */
