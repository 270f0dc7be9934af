// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The recorder: what the scheduler does, as records in memory that the process maps.
 *
 * Each CPU has a ring of its own, which only this CPU writes, with interrupts off, so
 * that a record costs a few stores: switches, wakeups, migrations. What happens with
 * interrupts on, forks and the like, goes into a ring that all share and that has a lock.
 * The process looks now and then; nobody wakes it.
 */
#include "record/shared.h"

char _license[] SEC("license") = "GPL";

const volatile struct baton_rec_config config SEC(".rodata.config");

/* Who woke a task whose wakeup another CPU completes; by the low bits of its number. */
#define WAKERS 16384
u64 wakers[WAKERS];

/*
 * The rings' words, of the CPUs that are online at the beginning: memory for all that may
 * ever come would be wasted on most machines. The process sets both sizes before loading.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 4096);
} rings SEC(".maps");

/* Records become visible with this, and were written before. */
static __always_inline void publish(struct baton_rec_head *head, u64 pos)
{
#if defined(__TARGET_ARCH_x86)
	barrier();
	*(volatile u64 *)&head->pos = pos;
#else
	__sync_lock_test_and_set(&head->pos, pos);
#endif
}

static __always_inline void put(u64 *ring, u64 pos, u64 word)
{
	ring[pos & (config.words - 1)] = word;
}

/*
 * A CPU that came online later has no ring and shares the one of forks, which costs more
 * and has less room. It is told which CPU a record is of, so it needs no order among them.
 */
static __always_inline bool share(struct baton_rec_head *head, u32 cpu, u32 kind, u64 word)
{
	struct baton_rec_task *task;

	task = bpf_ringbuf_reserve(&shared_ring, sizeof(*task), 0);
	if (!task)
		return false;
	__builtin_memset(task, 0, sizeof(*task));
	task->stamp = stamp(kind);
	task->cpu = cpu;
	task->word = word;
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return true;
}

static __noinline u64 record_without_ring(u32 cpu, u32 kind, u64 word)
{
	struct baton_rec_head *head = own_head(cpu);
	u64 lost = head->lost, shared = *(volatile u64 *)&head->lost_shared;

	if (head->untold) {
		if (lost != head->told && share(head, cpu, BATON_REC_LOST, lost - head->told))
			head->told = lost;
		if (shared != head->told_shared &&
		    share(head, cpu, BATON_REC_LOST_SHARED, shared - head->told_shared))
			head->told_shared = shared;
		head->untold = lost != head->told || shared != head->told_shared;
	}
	if (!share(head, cpu, kind, word)) {
		head->lost++;
		head->untold = 1;
	}
	return 0;
}

/* Tells how many were lost; whether there was room for it. */
static __always_inline bool tell_count(struct baton_rec_head *head, u64 *ring, u32 kind, u64 count)
{
	u64 pos = head->pos;

	if (pos + 2 - *(volatile u64 *)&head->tail > config.words)
		return false;
	put(ring, pos, stamp(kind));
	put(ring, pos + 1, count);
	publish(head, pos + 2);
	return true;
}

/* Tells of what was lost, once there is room again. */
static __noinline u64 tell_lost(u32 cpu)
{
	struct baton_rec_head *head = own_head(cpu);
	u64 *ring = bpf_map_lookup_elem(&rings, &head->ring);
	u64 lost, shared;

	if (!ring)
		return 0;
	lost = head->lost;
	if (lost != head->told) {
		if (!tell_count(head, ring, BATON_REC_LOST, lost - head->told))
			return 0;
		head->told = lost;
	}
	shared = *(volatile u64 *)&head->lost_shared;
	if (shared != head->told_shared) {
		if (!tell_count(head, ring, BATON_REC_LOST_SHARED, shared - head->told_shared))
			return 0;
		head->told_shared = shared;
	}
	head->untold = 0;
	return 0;
}

/* Writes a record of two words into this CPU's ring. Interrupts are off. */
static __always_inline void record(u32 cpu, struct baton_rec_head *head, u32 kind, u64 word)
{
	u64 *ring, pos;

	ring = bpf_map_lookup_elem(&rings, &head->ring);
	if (!ring) {
		record_without_ring(cpu, kind, word);
		return;
	}
	if (head->untold)
		tell_lost(cpu);
	pos = head->pos;
	if (pos + 2 - *(volatile u64 *)&head->tail > config.words) {
		head->lost++;
		head->untold = 1;
		return;
	}
	put(ring, pos, stamp(kind));
	put(ring, pos + 1, word);
	publish(head, pos + 2);
}

static __always_inline u64 pack(u32 a, u32 b, u64 c)
{
	return (u64)(a & BATON_REC_PID_MASK) | (u64)(b & BATON_REC_PID_MASK) << BATON_REC_PID_BITS |
	       c << 48;
}

/* include/linux/sched.h */
#define TASK_INTERRUPTIBLE   0x0001
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_STOPPED_TRACED  0x000c
#define TASK_EXITS	     0x00b0 /* EXIT_DEAD, EXIT_ZOMBIE, TASK_DEAD */
#define TASK_PARKED	     0x0040
#define TASK_NOLOAD	     0x0400
#define TASK_FROZEN	     0x8000

static __always_inline u64 left_of(bool preempt, u32 state)
{
	if (preempt || !state)
		return BATON_LEFT_RUNNABLE;
	if (state & TASK_INTERRUPTIBLE)
		return BATON_LEFT_SLEEPS;
	if (state & TASK_EXITS)
		return BATON_LEFT_EXITS;
	if (state & (TASK_STOPPED_TRACED | TASK_PARKED | TASK_FROZEN))
		return BATON_LEFT_STOPPED;
	/* A thread of the kernel that has nothing to do. */
	return state & TASK_NOLOAD ? BATON_LEFT_SLEEPS : BATON_LEFT_BLOCKS;
}

SEC("tp_btf/sched_switch")
int record_switch(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	u32 cpu = bpf_get_smp_processor_id();
	struct baton_rec_head *head = own_head(cpu);
	u32 state;

	if (!control.began_ns)
		return 0;
	/* Before 5.18 the argument does not exist. */
	state = config.old_switch ? prev->__state : (u32)ctx[3];
	head->running = next->pid;
	record(cpu, head, BATON_REC_SWITCH,
	       pack(prev->pid, next->pid,
		    (next->normal_prio & 0xff) | left_of((bool)ctx[0], state) << 8));
	return 0;
}

/*
 * Nobody woke whom an interrupt wakes, also where it serves what the task beneath it had
 * asked for. An idle CPU runs nobody either way, so it need not be asked.
 */
static __always_inline u32 waker_of(struct baton_rec_head *head, u32 pid)
{
	u64 *noted = &wakers[bounded(pid, WAKERS - 1)];
	u64 value = *(volatile u64 *)noted;
	u32 running = head->running;

	if (value >> 32 == pid) {
		*(volatile u64 *)noted = 0;
		return (u32)value;
	}
	if (!running || in_interrupt(false))
		return 0;
	if (running == BATON_REC_PID_MASK)
		running = (u32)bpf_get_current_pid_tgid();
	return running;
}

static __always_inline int record_woken(struct task_struct *p, u32 kind)
{
	u32 cpu = bpf_get_smp_processor_id(), pid = p->pid;
	struct baton_rec_head *head = own_head(cpu);

	/* Who is woken before it has left its CPU was never asleep. */
	if (!control.began_ns || p->on_cpu)
		return 0;
	record(cpu, head, kind, pack(pid, waker_of(head, pid), p->thread_info.cpu));
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(record_wakeup, struct task_struct *p)
{
	return record_woken(p, BATON_REC_WAKEUP);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(record_wakeup_new, struct task_struct *p)
{
	return record_woken(p, BATON_REC_WAKEUP_NEW);
}

static __always_inline void note_waker(u32 pid)
{
	u32 waker = in_interrupt(false) ? 0 : (u32)bpf_get_current_pid_tgid();

	*(volatile u64 *)&wakers[bounded(pid, WAKERS - 1)] = (u64)pid << 32 | waker;
}

/* include/linux/smp_types.h */
#define CSD_FLAG_TYPE_MASK 0xf0
#define CSD_TYPE_TTWU	   0x30

/*
 * A wakeup may be completed by an interrupt of another CPU, which does not know the waker.
 * The waker asks for that interrupt here.
 */
SEC("fentry/__smp_call_single_queue")
int BPF_PROG(record_remote, int cpu, struct llist_node *node)
{
	struct __call_single_node *entry = (void *)node;
	struct task_struct *p;

	if (!control.began_ns)
		return 0;
	if ((BPF_CORE_READ(entry, u_flags) & CSD_FLAG_TYPE_MASK) != CSD_TYPE_TTWU)
		return 0;
	p = (void *)node - bpf_core_field_offset(struct task_struct, wake_entry);
	note_waker(BPF_CORE_READ(p, pid));
	return 0;
}

/* The same for kernels that refuse it: costs a program at every wakeup. */
SEC("tp_btf/sched_waking")
int BPF_PROG(record_waking, struct task_struct *p)
{
	if (control.began_ns)
		note_waker(p->pid);
	return 0;
}

static __always_inline u64 pack_move(u32 pid, u32 from, u32 to)
{
	return (u64)(pid & BATON_REC_PID_MASK) | (u64)(from & 0xffff) << 24 |
	       (u64)(to & 0xffff) << 40;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(record_migrate, struct task_struct *p, int to)
{
	u32 cpu = bpf_get_smp_processor_id();

	if (control.began_ns)
		record(cpu, own_head(cpu), BATON_REC_MIGRATE,
		       pack_move(p->pid, p->thread_info.cpu, to));
	return 0;
}

static __always_inline int record_can_migrate(u32 pid, u32 from, u32 to, int allowed)
{
	u32 cpu = bpf_get_smp_processor_id();

	if (control.began_ns)
		record(cpu, own_head(cpu), allowed ? BATON_REC_CAN_MIGRATE : BATON_REC_CANT_MIGRATE,
		       pack_move(pid, from, to));
	return 0;
}

SEC("fexit/can_migrate_task")
int BPF_PROG(record_asked, struct task_struct *p, struct lb_env *env, int allowed)
{
	return record_can_migrate(p->pid, env->src_cpu, env->dst_cpu, allowed);
}

/*
 * The same by probes, for kernels that refuse the one above. A CPU asks one question at a
 * time.
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, ax;
};
#define ARGUMENT_1(ctx) ((ctx)->di)
#define ARGUMENT_2(ctx) ((ctx)->si)
#define RESULT(ctx)	((ctx)->ax)
#else
struct user_pt_regs {
	u64 regs[31];
};
#define ARGUMENT_1(ctx) (((struct user_pt_regs *)(ctx))->regs[0])
#define ARGUMENT_2(ctx) (((struct user_pt_regs *)(ctx))->regs[1])
#define RESULT(ctx)	(((struct user_pt_regs *)(ctx))->regs[0])
#endif
#pragma clang attribute pop

struct question {
	u32 pid;
	u32 from;
	u32 to;
	u32 asked;
};

struct question questions[BATON_REC_MAX_CPUS];

SEC("kprobe/can_migrate_task")
int record_question(struct pt_regs *ctx)
{
	struct question *question =
	    &questions[bounded(bpf_get_smp_processor_id(), BATON_REC_MAX_CPUS - 1)];
	struct task_struct *p = (void *)ARGUMENT_1(ctx);
	struct lb_env *env = (void *)ARGUMENT_2(ctx);

	question->pid = BPF_CORE_READ(p, pid);
	question->from = BPF_CORE_READ(env, src_cpu);
	question->to = BPF_CORE_READ(env, dst_cpu);
	question->asked = 1;
	return 0;
}

SEC("kretprobe/can_migrate_task")
int record_answer(struct pt_regs *ctx)
{
	struct question *question =
	    &questions[bounded(bpf_get_smp_processor_id(), BATON_REC_MAX_CPUS - 1)];

	if (!question->asked)
		return 0;
	question->asked = 0;
	return record_can_migrate(question->pid, question->from, question->to, (int)RESULT(ctx));
}

static __always_inline void fill_task(struct baton_rec_task *task, struct task_struct *p, u32 kind)
{
	task->stamp = stamp(kind);
	task->cpu = bpf_get_smp_processor_id();
	task->pid = p->pid;
	task->tgid = p->tgid;
	task->parent = 0;
	task->prio = p->normal_prio;
	task->kernel = !!(p->flags & PF_KTHREAD);
	__builtin_memset(task->pad, 0, sizeof(task->pad));
	__builtin_memcpy(task->name, p->comm, BATON_REC_NAME_LEN);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(record_fork, struct task_struct *parent, struct task_struct *child)
{
	struct baton_rec_task *task = reserve_task();

	if (!task)
		return 0;
	fill_task(task, child, BATON_REC_FORK);
	task->parent = parent->pid;
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(record_exit, struct task_struct *p)
{
	struct baton_rec_task *task = reserve_task();

	if (!task)
		return 0;
	fill_task(task, p, BATON_REC_EXIT);
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(record_rename, struct task_struct *p, const char *name)
{
	struct baton_rec_task *task = reserve_task();

	if (!task)
		return 0;
	fill_task(task, p, BATON_REC_TASK);
	__builtin_memset(task->name, 0, sizeof(task->name));
	bpf_probe_read_kernel_str(task->name, sizeof(task->name), name);
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return 0;
}

/* A thread that executes a program takes the number of its process. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(record_exec, struct task_struct *p, s32 old_pid)
{
	struct baton_rec_task *task;

	if (old_pid == p->pid)
		return 0;
	task = reserve_task();
	if (!task)
		return 0;
	fill_task(task, p, BATON_REC_EXIT);
	task->pid = old_pid;
	bpf_ringbuf_submit(task, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Writes a struct baton_rec_task for each task that there is. */
SEC("iter/task")
int record_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;
	struct baton_rec_task task;

	if (!p)
		return 0;
	__builtin_memset(&task, 0, sizeof(task));
	fill_task(&task, p, BATON_REC_TASK);
	bpf_seq_write(ctx->meta->seq, &task, sizeof(task));
	return 0;
}
