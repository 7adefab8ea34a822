//! Futures that LDK wants to have run, run when a test says so; the same for both versions of LDK.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps futures until somebody wants them done.
#[derive(Clone, Default)]
pub struct Later(Arc<Mutex<VecDeque<Job>>>);

impl Later {
    pub fn push(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push_back(Box::pin(job));
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The last first: what counts is the order in which they were made.
    pub fn finish(&self) -> bool {
        self.finish_while(|| ())
    }

    /// The same where they wait for something that must go on, such as a cloud.
    pub fn finish_while(&self, meanwhile: impl FnMut()) -> bool {
        self.finish_each(VecDeque::pop_back, meanwhile)
    }

    /// The first first, as one thread does.
    pub fn finish_in_order(&self) -> bool {
        self.finish_each(VecDeque::pop_front, || ())
    }

    fn finish_each(
        &self,
        take: fn(&mut VecDeque<Job>) -> Option<Job>,
        mut meanwhile: impl FnMut(),
    ) -> bool {
        let mut any = false;
        loop {
            let next = take(&mut self.0.lock().unwrap());
            let Some(mut job) = next else { return any };
            any = true;
            let mut polls = 0;
            while job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                // Some seconds, of which a disk takes a few thousandths.
                assert!(polls < 10_000_000, "it waits for something else");
                polls += 1;
                meanwhile();
                std::thread::yield_now();
            }
        }
    }

    /// What comes of a future that waits for some of these.
    pub fn finish_for<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = Box::pin(future);
        loop {
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(outcome) = polled {
                return outcome;
            }
            assert!(self.finish(), "it waits for something else");
        }
    }
}
