/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the relay (BPF) and its process (Rust) share: limits, records, counters.
 *
 * The Rust side is crates/kernel/src/abi.rs; the build compares both layouts.
 * Every number is fixed-width and every struct is padded by hand, so that both
 * compilers agree. Times are nanoseconds of the scheduler's own clock (scx_bpf_now),
 * which is not CLOCK_MONOTONIC and drifts from it; those that a process compares with
 * its clock say so.
 */
#ifndef BATON_ABI_H
#define BATON_ABI_H

#ifndef __BPF__
#include <linux/types.h>
#endif

#include "predict.h"

#define BATON_ABI_VERSION    4
#define BATON_MAX_CPUS	     1024
#define BATON_MASK_WORDS     (BATON_MAX_CPUS / 64)
#define BATON_MAX_LLCS	     64
#define BATON_BATCH_MAX	     128
#define BATON_NAME_LEN	     16
#define BATON_HIST_BUCKETS   128
#define BATON_EXIT_MSG_LEN   256
#define BATON_SLICE_MIN_NS   100000ULL
#define BATON_SLICE_MAX_NS   100000000ULL
#define BATON_LEASE_MAX_NS   1000000000ULL
#define BATON_PERF_MAX	     1024 /* SCX_CPUPERF_ONE */
#define BATON_TIMER_BUSY_NS  5000000ULL
#define BATON_TIMER_IDLE_NS  20000000ULL
#define BATON_STARVE_SCAN_NS 100000000ULL

/* Kinds of baton_event. Join and Update are followed by a baton_info. */
enum baton_event_kind {
	BATON_EV_JOIN = 1,
	BATON_EV_UPDATE = 2,
	BATON_EV_ENQUEUE = 3,
	BATON_EV_RUNNING = 4,
	BATON_EV_STOPPING = 5,
	BATON_EV_DEQUEUE = 6,
	BATON_EV_RESCUED = 7,
	BATON_EV_EXIT = 8,
	BATON_EV_CPU_DRY = 9,
	BATON_EV_CPU_ONLINE = 10,
	BATON_EV_CPU_OFFLINE = 11,
};

/* Why a task waits (ENQUEUE) or left its CPU (STOPPING). */
enum baton_reason {
	BATON_WAKEUP = 1,
	BATON_NEW = 2,
	BATON_SLICE_OVER = 3,
	BATON_PREEMPTED = 4,
	BATON_YIELDED = 5,
	BATON_REQUEUED = 6,
	BATON_SLEPT = 7,
};

#define BATON_EVF_SYNC	  (1U << 0) /* the waker is about to sleep */
#define BATON_EVF_DECIDED (1U << 1) /* the relay placed the task already */

/* One event, kernel to process. */
struct baton_event {
	__u64 time_ns;
	__u64 start_ns;	  /* with pid, names the task */
	__u64 seq;	  /* ENQUEUE: counts the task's enqueues */
	__u64 burst_ns;	  /* ENQUEUE: CPU time since the last sleep */
	__u64 runtime_ns; /* ENQUEUE: of its life; STOPPING: of this stay */
	__u64 slept_ns;	  /* ENQUEUE after a sleep: how long it was */
	__u32 pid;
	__u32 waker;
	__u32 cpu;
	__u32 waiting; /* tasks that wait for a CPU */
	__u16 kind;
	__u16 reason;
	__u32 flags;
};

/* What is known of a task; follows JOIN and UPDATE in the same record. */
struct baton_info {
	__u64 cgroup;
	__u32 tgid;
	__u32 weight;
	__u32 kernel_thread;
	__u32 pad;
	__u8 name[BATON_NAME_LEN];
	__u64 allowed[BATON_MASK_WORDS];
};

struct baton_event_info {
	struct baton_event event;
	struct baton_info info;
};

/* An ENQUEUE, where the policy's options ask for features. */
struct baton_event_features {
	struct baton_event event;
	struct baton_features features;
	struct baton_guess guess; /* the relay's own; nobody's where it made none */
};

enum baton_command_kind {
	BATON_CMD_READY = 1,
	BATON_CMD_CPU = 2,
	BATON_CMD_HOLD = 3,
	BATON_CMD_PROBE = 4, /* does the task still live? */
	BATON_CMD_HINT = 5,  /* about all enqueues to come */
};

#define BATON_CMDF_PREEMPT (1U << 0)
#define BATON_NO_CPU	   0xffffffffU

/* What became of a command; written back by the relay. */
enum baton_result {
	BATON_RES_NONE = 0,
	BATON_RES_DONE = 1,
	BATON_RES_STALE = 2,   /* another enqueue, or taken meanwhile */
	BATON_RES_GONE = 3,    /* no such task */
	BATON_RES_INVALID = 4, /* a CPU that does not exist or is not allowed */
	BATON_RES_RETRY = 5,   /* its insertion has not happened yet */
};

/* One decision, process to kernel. */
struct baton_command {
	__u64 start_ns;
	__u64 seq;
	__u64 key;	/* READY: its place in the ready queue */
	__u64 slice_ns; /* 0: the policy's default */
	__u64 lease_ns; /* HOLD */
	__s64 key_offset;
	__u32 pid;
	__u32 cpu; /* CPU; HINT: BATON_NO_CPU or a preferred one */
	__u32 kind;
	__u32 flags;
	__u32 result;
	__u32 perf; /* one more than the CPU performance target; 0: none */
};

struct baton_batch {
	__u32 count; /* commands to carry out */
	__u32 pad[15];
	struct baton_command commands[BATON_BATCH_MAX];
};

enum baton_key_rule {
	BATON_KEY_ENQUEUE_TIME = 1,
	BATON_KEY_DEADLINE = 2,
};

enum baton_slice_rule {
	BATON_SLICE_WHOLE = 0,
	BATON_SLICE_WAITING = 1,	 /* divided by waiting tasks and one */
	BATON_SLICE_WAITING_PER_CPU = 2, /* by waiting tasks for each CPU and one */
};

enum baton_mode {
	BATON_MODE_DECIDE = 0,
	BATON_MODE_HINT = 1, /* placed at once, by rules and hints */
};

/* What the relay does about tasks' bursts. */
enum baton_predict {
	BATON_PREDICT_NOT = 0,
	BATON_PREDICT_TELL = 1,	 /* features go along with enqueues */
	BATON_PREDICT_PLACE = 2, /* and what is placed by rule is placed by a guess, too */
};

#define BATON_MODELS_MAX 2 /* one is used while the other is written */

#define BATON_WANT_DECIDED  (1U << 0)
#define BATON_WANT_RUNNING  (1U << 1)
#define BATON_WANT_STOPPING (1U << 2)
#define BATON_WANT_CUSTODY  (1U << 3)
#define BATON_WANT_DRY	    (1U << 4)
#define BATON_WANT_ALONE    (1U << 5) /* CPU_DRY while the last task goes on, too */

/* What the policy asks for; another policy brings others. */
struct baton_options {
	__u64 slice_ns;
	__u64 slice_min_ns; /* of one that the rule divided */
	__u64 rescue_after_ns;
	__u64 rescue_slice_ns;
	__u64 starve_after_ns;
	__u64 preempt_min_burst_ns;
	__u64 preempt_min_lead_ns;
	__u64 burst_max_ns;
	__u64 hint_interval_ns;	   /* HINT: at least so long between events about one task */
	__u64 requeue_patience_ns; /* how long a task that lost its CPU wakes nobody */
	__u32 mode;
	__u32 key_rule;
	__u32 slice_rule;
	__u32 wants;
	__u32 idle_fast_path;
	__u32 sync_fast_path;
	__u32 performance; /* decisions have CPU performance targets */
	__u32 predict;	   /* enum baton_predict */
	__u32 model;	   /* which of the models */
	__u32 pad;
	struct baton_prediction prediction;
};

/* Fixed before the relay is loaded: the machine. */
struct baton_config {
	__u32 cpus;  /* possible CPUs */
	__u32 words; /* 64-bit words that hold them */
	__u32 llcs;
	__u32 part; /* 1: others than SCHED_EXT tasks are the kernel's own scheduler's */
	__u64 online[BATON_MASK_WORDS]; /* when the relay starts */
	__u64 llc_mask[BATON_MAX_LLCS][BATON_MASK_WORDS];
	__u8 cpu_llc[BATON_MAX_CPUS];
};

/*
 * Memory that both sides map. The process writes the first line, the relay the
 * rest.
 */
struct baton_shared {
	__u32 asleep; /* 1 while the process waits; the relay clears it to wake */
	__u32 pad0;
	__u64 alive_ns; /* when the process last looked at its events; CLOCK_MONOTONIC */
	__u64 pad1[6];

	__u32 silent;  /* the process is late: tasks go past it */
	__u32 waiting; /* tasks that wait for a CPU */
	__u32 exited;
	__u32 exit_kind;
	__s64 exit_code;
	__u64 lost; /* events that found the ring full */
	__u64 silent_since_ns;
	__u64 timer_ns;			/* when the timer last fired; CLOCK_MONOTONIC */
	__u32 offline;			/* CPUs that went offline since the start */
	__u32 cpus_online;		/* how many */
	__u32 generation;		/* of policies, from 1; another one takes over: one more */
	__u32 abilities;		/* of the kernel: enum baton_ability */
	__u32 model;			/* which of the models the relay uses */
	__u32 model_off;		/* 1 while it found it worse than the average */
	__u64 idle[BATON_MASK_WORDS];	/* CPUs that look idle */
	__u64 online[BATON_MASK_WORDS]; /* for a process that lost events */
	__u8 exit_reason[BATON_EXIT_MSG_LEN];
	__u8 exit_msg[BATON_EXIT_MSG_LEN];
	/* Each CPU's performance target as the kernel has it, plus one; 0: never set. */
	__u16 perf[BATON_MAX_CPUS];
};

/* What some kernels can do. */
enum baton_ability {
	BATON_CAN_PERF = 1U << 0, /* take a CPU performance target */
};

/* Who placed a task, each time that it waited. */
enum baton_by {
	BATON_BY_POLICY = 0, /* a decision */
	BATON_BY_HINT = 1,   /* the policy's rules, in hint mode */
	BATON_BY_IDLE = 2,   /* it took an idle CPU when it was woken */
	BATON_BY_SYNC = 3,   /* the sync fast path */
	BATON_BY_KERNEL = 4, /* a pinned kernel thread, or its CPU went away */
	BATON_BY_RESCUE = 5, /* no decision came in time */
	BATON_BY_BYPASS = 6, /* the process was silent, or its ring full */
	BATON_BY_STARVE = 7, /* it stood in ready for too long */
	BATON_BY_NR = 8,
};

enum baton_task_state {
	BATON_TASK_SLEEPING = 0,
	BATON_TASK_WAITING = 1,
	BATON_TASK_RUNNING = 2,
};

/* One task, as the relay's iterator over tasks writes it. */
struct baton_task {
	__u64 runtime_ns; /* of its life */
	__u64 burst_ns;	  /* CPU time since its last sleep */
	__u64 for_ns;	  /* how long it has been in this state */
	__u64 dsq;	  /* WAITING: the queue it stands in */
	__s64 key_offset;
	__u64 wait_sum_ns; /* runnable to running, since the relay's start */
	__u64 wait_max_ns;
	__u64 cgroup; /* the number of its directory; 0: not known */
	__u32 waits;
	__u32 pid;
	__u32 tgid;
	__u32 cpu;
	__u32 weight;
	__u32 state;
	__u32 by[BATON_BY_NR];
	__u8 name[BATON_NAME_LEN];
};

/* Counters, summed over CPUs by the process. */
enum baton_counter {
	BATON_CNT_EVENTS = 0,	 /* published */
	BATON_CNT_LOST = 1,	 /* the ring was full */
	BATON_CNT_ENQUEUES = 2,	 /* all, fast path and kernel threads included */
	BATON_CNT_HELD = 3,	 /* put in custody */
	BATON_CNT_FAST_IDLE = 4, /* placed on an idle CPU at wakeup */
	BATON_CNT_FAST_SYNC = 5, /* sync wakeups placed in ready */
	BATON_CNT_KTHREADS = 6,	 /* pinned kernel threads, never held */
	BATON_CNT_BATCHES = 7,
	BATON_CNT_DECISIONS = 8, /* carried out */
	BATON_CNT_STALE = 9,
	BATON_CNT_GONE = 10,
	BATON_CNT_INVALID = 11,
	BATON_CNT_RETRIES = 12,
	BATON_CNT_RESCUES = 13, /* held too long */
	BATON_CNT_BYPASSED =
	    14, /* placed without asking: silence, a full ring, or too long a wait */
	BATON_CNT_STARVED = 15, /* too long in ready */
	BATON_CNT_TO_IDLE = 16, /* decisions that went to an idle CPU at once */
	BATON_CNT_PREEMPTIONS = 17,
	BATON_CNT_HOLDS = 18,	     /* leases granted */
	BATON_CNT_WAKEUPS = 19,	     /* of the process */
	BATON_CNT_DRY = 20,	     /* a CPU found nothing to run */
	BATON_CNT_CUT = 21,	     /* slices cut short for rescued tasks */
	BATON_CNT_HINTED = 22,	     /* placed by rules and hints */
	BATON_CNT_HINTS = 23,	     /* taken over */
	BATON_CNT_FED = 24,	     /* queued beside an idle CPU, found by the timer */
	BATON_CNT_TAKEN_OVER = 25,   /* held while a policy took over */
	BATON_CNT_PERF_SET = 26,     /* CPU performance targets that were set or taken back */
	BATON_CNT_PERF_IGNORED = 27, /* stays of tasks whose target the kernel cannot take */
	BATON_CNT_DEFERRED = 28,     /* held without waking the process at once */
	BATON_CNT_HANDOVERS = 29,    /* wakeups taken for synchronous by their waker's habit */
	BATON_CNT_GUESS_MODEL = 30,  /* bursts guessed, the model's guess counted */
	BATON_CNT_GUESS_AVERAGE = 31,
	BATON_CNT_GUESS_UNSURE = 32,
	BATON_CNT_GUESS_OFF = 33,
	BATON_CNT_GUESS_APART = 34, /* the model's was more than an octave from the average's */
	BATON_CNT_MODEL_OFF = 35,   /* times that the model was found worse than the average */
	BATON_CNT_MODEL_ON = 36,    /* times that it came back */
	BATON_CNT_JUDGED = 37,	    /* bursts that ended, of which there were guesses */
	BATON_CNT_ERROR_MODEL = 38, /* sum of distances, octaves times 256 */
	BATON_CNT_ERROR_AVERAGE = 39,
	BATON_CNT_GUESS_REGULAR = 40, /* by the average, as the task repeats itself */
	BATON_CNT_NR = 41,
};

/*
 * Histograms: four buckets for each power of two, so a bucket is at most 25 %
 * wide. Index = 4 * log2(value) + next two bits.
 */
struct baton_stats {
	__u64 counter[BATON_CNT_NR];
	__u64 queue_to_decision[BATON_HIST_BUCKETS];
	__u64 decision_to_run[BATON_HIST_BUCKETS];
	__u64 wait[BATON_HIST_BUCKETS];	  /* runnable to running */
	__u64 wakeup[BATON_HIST_BUCKETS]; /* the same, of those that were woken */
	__u64 wait_max_ns;
	__u64 silent_wait_max_ns; /* of waits that ended in a silence, from its beginning */
	__u32 wait_max_pid;
	__u32 pad;
};

#endif /* BATON_ABI_H */
