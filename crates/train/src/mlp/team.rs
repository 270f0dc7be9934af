//! Threads that go through the shards of a batch together.
//!
//! A batch takes some tens of microseconds, so threads live as long as the training does, and whoever waits looks a while before
//! it sleeps. Shards change hands as messages: a thread that panics closes its channel, and nobody waits for it.

use std::{
    hint::spin_loop,
    sync::{
        RwLock,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::Scope,
};

use super::{
    Layer, Target,
    shard::{Rows, SAMPLES, Shard},
};

/// What all threads see. The weights change while no shard is under way.
pub(super) struct Board<'a> {
    pub(super) rows: &'a Rows,
    pub(super) layers: RwLock<Vec<Layer>>,
    pub(super) target: &'a Target,
}

impl Board<'_> {
    fn run(&self, shards: &mut [Shard]) {
        let layers = self.layers.read().expect("nobody panicked with it");
        for shard in shards {
            shard.run(self.rows, &layers, self.target);
        }
    }
}

/// Shards, and the threads that have some of them each. Shard `n` is the thread's of that number modulo the threads'.
pub(super) struct Team<'a> {
    board: &'a Board<'a>,
    /// The calling thread's.
    own: Vec<Shard>,
    others: Vec<Other>,
    /// How many shards there are.
    count: usize,
}

struct Other {
    shards: Vec<Shard>,
    out: Sender<Vec<Shard>>,
    back: Receiver<Vec<Shard>>,
}

/// How often a thread looks before it sleeps: some tens of microseconds.
const LOOKS: usize = 2000;

/// The next message; none when the other side is gone.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    for _ in 0..LOOKS {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => spin_loop(),
        }
    }
    from.recv().ok()
}

impl<'a> Team<'a> {
    /// A team for batches of so many samples. The threads end when the team is dropped.
    pub(super) fn new<'scope>(
        board: &'a Board<'a>,
        batch: usize,
        threads: usize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Self
    where
        'a: 'scope,
    {
        let count = batch.div_ceil(SAMPLES);
        let threads = threads.clamp(1, count);
        let shards = |thread: usize| -> Vec<Shard> {
            let layers = board.layers.read().expect("nobody panicked with it");
            let mine = (thread..count).step_by(threads);
            mine.map(|_| Shard::new(&layers)).collect()
        };
        let others = (1..threads).map(|thread| {
            let (out, jobs) = channel::<Vec<Shard>>();
            let (done, back) = channel();
            scope.spawn(move || {
                while let Some(mut shards) = receive(&jobs) {
                    board.run(&mut shards);
                    if done.send(shards).is_err() {
                        return;
                    }
                }
            });
            Other {
                shards: shards(thread),
                out,
                back,
            }
        });
        Self {
            board,
            others: others.collect(),
            own: shards(0),
            count,
        }
    }

    /// How many samples a run takes at most.
    pub(super) fn room(&self) -> usize {
        self.count * SAMPLES
    }

    /// Goes through these rows.
    pub(super) fn run(&mut self, places: &[u32], wants_slopes: bool) {
        debug_assert!(places.len() <= self.room());
        let mut parts = places.chunks(SAMPLES);
        for number in 0..self.count {
            let shard = self.shard(number);
            shard.places.clear();
            shard.places.extend(parts.next().into_iter().flatten());
            shard.wants_slopes = wants_slopes;
        }
        for other in &mut self.others {
            // A thread that is gone panicked: that is found below.
            let _ = other.out.send(std::mem::take(&mut other.shards));
        }
        self.board.run(&mut self.own);
        for other in &mut self.others {
            other.shards = receive(&other.back).expect("a thread of the trainer panicked");
        }
    }

    fn shard(&mut self, number: usize) -> &mut Shard {
        let threads = self.others.len() + 1;
        let place = number / threads;
        match number % threads {
            0 => &mut self.own[place],
            thread => &mut self.others[thread - 1].shards[place],
        }
    }

    /// The sum of the losses of the last run.
    pub(super) fn loss(&mut self) -> f64 {
        (0..self.count).map(|number| self.shard(number).loss).sum()
    }

    /// The sums of the last run's slopes, shard after shard.
    pub(super) fn slopes(&mut self, sums: &mut [Layer]) {
        sums.iter_mut().for_each(Layer::clear);
        for number in 0..self.count {
            let shard = self.shard(number);
            if shard.places.is_empty() {
                continue;
            }
            for (sums, more) in sums.iter_mut().zip(&shard.sums) {
                sums.add(more);
            }
        }
    }
}
