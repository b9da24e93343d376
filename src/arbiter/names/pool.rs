//! A bounded set of threads for what waits on the network. They come with the work and end
//! with it: a function that resolves nothing pays for none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Enough for parsing a message; the default of 2 MiB is address space that a confined
/// arbiter may not have.
pub(super) const STACK: usize = 256 * 1024;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The queue is full, or no thread can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

pub(super) struct Pool {
    threads: usize,
    queued: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: usize,
}

impl Pool {
    pub(super) fn new(threads: usize, queued: usize) -> Self {
        Pool { threads, queued, state: Mutex::default() }
    }

    /// Runs the job on a thread, now or when one is free.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> Result<(), Busy> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.len() >= self.queued {
            return Err(Busy);
        }
        state.waiting.push_back(job);
        if state.running < self.threads {
            let worker = Worker { pool: Arc::clone(self) };
            let spawned = thread::Builder::new()
                .name("fnguard-ask".to_owned())
                .stack_size(STACK)
                .spawn(move || worker.run());
            match spawned {
                Ok(_) => state.running = state.running.saturating_add(1),
                Err(_) if state.running > 0 => {}
                Err(_) => {
                    state.waiting.pop_back();
                    return Err(Busy);
                }
            }
        }
        Ok(())
    }
}

struct Worker {
    pool: Arc<Pool>,
}

impl Worker {
    fn run(self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// The next job; without one the thread is counted out under the same lock, so that a
    /// job that comes a moment later makes a new one.
    fn next(&self) -> Option<Job> {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        let job = state.waiting.pop_front();
        if job.is_none() {
            state.running = state.running.saturating_sub(1);
        }
        job
    }
}

impl Drop for Worker {
    /// A job that panics takes its thread along, not the thread's place.
    fn drop(&mut self) {
        if thread::panicking() {
            let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.running = state.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Busy, Pool};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Condvar, Mutex, mpsc};

    #[test]
    fn threads_and_queue_are_bounded_and_every_job_taken_is_done() {
        let pool = Arc::new(Pool::new(2, 5));
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let at_once = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (started, starts) = mpsc::channel();
        let (done, ends) = mpsc::channel();
        let job = || {
            let (gate, at_once, most) = (gate.clone(), at_once.clone(), most.clone());
            let (started, done) = (started.clone(), done.clone());
            Box::new(move || {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                started.send(()).unwrap();
                let open = gate.0.lock().unwrap();
                drop(gate.1.wait_while(open, |open| !*open).unwrap());
                at_once.fetch_sub(1, Ordering::SeqCst);
                done.send(()).unwrap();
            })
        };
        for _ in 0..2 {
            pool.submit(job()).unwrap();
            starts.recv().unwrap();
        }
        for _ in 0..5 {
            pool.submit(job()).unwrap();
        }
        assert_eq!(pool.submit(job()), Err(Busy));
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for _ in 0..7 {
            ends.recv().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        // Idle threads have gone or are about to; either way work is taken again.
        pool.submit(job()).unwrap();
        ends.recv().unwrap();
    }

    #[test]
    fn a_job_that_panics_leaves_its_place() {
        let pool = Arc::new(Pool::new(1, 5));
        let (dropped, drops) = mpsc::channel::<()>();
        pool.submit(Box::new(move || {
            let _dropped = dropped;
            std::panic::resume_unwind(Box::new(()));
        }))
        .unwrap();
        assert!(drops.recv().is_err());
        let (done, ends) = mpsc::channel();
        // The place is given back after the job's own values are gone, so the next job may
        // still find it taken, and then waits for the one after it.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while ends.try_recv().is_err() {
            assert!(std::time::Instant::now() < deadline, "the place is lost");
            let done = done.clone();
            let _ = pool.submit(Box::new(move || done.send(()).unwrap()));
            std::thread::yield_now();
        }
    }
}
