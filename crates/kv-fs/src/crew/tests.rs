//! Clients that do as they are told: who is served, when, and by how many threads.

use std::{
    collections::BTreeSet,
    iter,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use super::*;

/// A crew of its own for each test.
fn crew() -> &'static Crew {
    Box::leak(Box::new(Crew::new(IDLE)))
}

/// Does what it is given.
struct Deed<F>(F, OnceNumber);

type OnceNumber = Mutex<Option<Number>>;

impl<F: Fn() -> Option<Instant> + Send + Sync> Client for Deed<F> {
    fn serve(&self) -> Option<Instant> {
        (self.0)()
    }

    fn serve_slowly(&self) {
        (self.0)();
    }
}

fn join<F>(crew: &'static Crew, serve: F) -> Number
where
    F: Fn() -> Option<Instant> + Send + Sync + 'static,
{
    let client = Arc::new(Deed(serve, OnceNumber::default()));
    let named = Arc::clone(&client);
    crew.join(client, |number| *named.1.lock().unwrap() = Some(number)).unwrap();
    named.1.lock().unwrap().unwrap()
}

#[test]
fn a_client_is_served_by_one_thread_at_a_time_and_once_more_after_each_wake() {
    let crew = crew();
    let (inside, twice) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (wanted, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let served = {
        // A panic in here would be caught: what goes wrong is told to the test.
        let (twice, wanted, seen) = (twice.clone(), wanted.clone(), seen.clone());
        join(crew, move || {
            twice.fetch_or(inside.swap(true, Ordering::SeqCst), Ordering::SeqCst);
            let now = wanted.load(Ordering::SeqCst);
            thread::yield_now();
            seen.fetch_max(now, Ordering::SeqCst);
            inside.store(false, Ordering::SeqCst);
            None
        })
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    wanted.fetch_add(1, Ordering::SeqCst);
                    crew.wake(served);
                }
            });
        }
    });
    while seen.load(Ordering::SeqCst) < 4000 {
        thread::yield_now();
    }
    crew.leave(served);
    assert!(!twice.load(Ordering::SeqCst), "two threads at once");
    assert_eq!(crew.threads(), 0, "the last one to leave ends the threads");
}

#[test]
fn many_clients_need_few_threads_and_each_has_its_time() {
    let crew = crew();
    let (told, hears) = mpsc::channel();
    let numbers: Vec<Number> = (0..500)
        .map(|i| {
            let (told, rounds) = (told.clone(), AtomicU64::new(0));
            join(crew, move || {
                let round = rounds.fetch_add(1, Ordering::SeqCst);
                told.send((i, round)).ok();
                (round < 3).then(|| Instant::now() + Duration::from_millis(1 + i % 7))
            })
        })
        .collect();
    let heard: BTreeSet<(u64, u64)> = hears.iter().take(2000).collect();
    assert_eq!(heard.len(), 2000, "each was served four times");
    assert!(crew.threads() <= THREADS);
    numbers.into_iter().for_each(|number| crew.leave(number));
    assert_eq!(crew.threads(), 0);
}

#[test]
fn clients_that_take_long_hold_up_no_other() {
    let crew = crew();
    // Half of the threads hang, and more slow work is there than may be done at once.
    let gate = Arc::new(Barrier::new(THREADS / 2 + 1));
    let hanging: Vec<Number> = (0..THREADS / 2)
        .map(|_| {
            let (gate, first) = (gate.clone(), AtomicBool::new(true));
            join(crew, move || {
                if first.swap(false, Ordering::SeqCst) {
                    gate.wait();
                }
                None
            })
        })
        .collect();
    let (told, hears) = mpsc::channel();
    let slow_gate = Arc::new(Barrier::new(SLOW + 1));
    let slow: Vec<Number> = (0..SLOW + 3)
        .map(|i| {
            let (gate, calls) = (slow_gate.clone(), AtomicU64::new(0));
            let number = join(crew, move || {
                // First it is served, then it does something slow.
                if calls.fetch_add(1, Ordering::SeqCst) == 1 && i < SLOW {
                    gate.wait();
                }
                None
            });
            crew.later(number);
            number
        })
        .collect();
    let quick = join(crew, move || {
        told.send(()).ok();
        Some(Instant::now() + Duration::from_millis(1))
    });
    for _ in 0..10 {
        hears.recv_timeout(Duration::from_secs(60)).expect("it is served by the others");
    }
    gate.wait();
    slow_gate.wait();
    for number in hanging.into_iter().chain(slow).chain([quick]) {
        crew.leave(number);
    }
    assert!(crew.threads() <= THREADS);
}

/// Twice as many as there are threads, so that there is always one that waits to be served.
#[test]
fn what_takes_long_has_its_share_however_busy_the_others_are() {
    let crew = crew();
    let busy: Vec<Number> = (0..2 * THREADS)
        .map(|_| {
            join(crew, || {
                thread::sleep(Duration::from_millis(1));
                Some(Instant::now())
            })
        })
        .collect();
    while crew.threads() < THREADS {
        thread::yield_now();
    }
    let (told, hears) = mpsc::channel();
    let calls = AtomicU64::new(0);
    let slow = join(crew, move || {
        // First it is served, then it does something slow.
        if calls.fetch_add(1, Ordering::SeqCst) == 1 {
            told.send(()).ok();
        }
        None
    });
    crew.later(slow);
    let done = hears.recv_timeout(Duration::from_secs(10));
    for number in busy.into_iter().chain([slow]) {
        crew.leave(number);
    }
    done.expect("it gets a thread");
}

/// A call may reach a thread that has given up waiting at that very moment. It must not end then,
/// as nobody would look at the timer until another thread is done with something else.
#[test]
fn a_thread_does_not_end_while_nobody_looks_at_the_timers() {
    let crew: &Crew = Box::leak(Box::new(Crew::new(Duration::from_millis(50))));
    let stays = |timer: Option<Instant>| {
        let mut state = crew.lock();
        state.timers.clear();
        // The one that rests, and another that is busy.
        state.threads = 2;
        drop(state);
        thread::scope(|scope| {
            let rests = scope.spawn(|| crew.rest(crew.lock()).is_some());
            loop {
                let mut state = crew.lock();
                if state.idle > 0 {
                    // As if the notification had come too late.
                    state.timers.extend(timer.map(|time| (time, Number(0))));
                    break;
                }
                // It had given up before this thread got to look.
                if rests.is_finished() {
                    return None;
                }
            }
            Some(rests.join().unwrap())
        })
    };
    let stays = |timer| iter::repeat_with(|| stays(timer)).flatten().next();
    assert_eq!(stays(None), Some(false), "there is nothing to do");
    assert_eq!(stays(Some(Instant::now() + IDLE)), Some(true));
}

#[test]
fn who_leaves_is_not_served_any_more() {
    for round in 0..100 {
        let crew = crew();
        // The threads go on after the other one has left.
        let bystander = join(crew, || None);
        let inside = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicU64::new(0));
        let number = {
            let (inside, calls) = (inside.clone(), calls.clone());
            join(crew, move || {
                inside.store(true, Ordering::SeqCst);
                calls.fetch_add(1, Ordering::SeqCst);
                (0..10).for_each(|_| thread::yield_now());
                inside.store(false, Ordering::SeqCst);
                // With a pause, in which the other one gets to leave.
                Some(Instant::now() + Duration::from_micros(100))
            })
        };
        crew.wake(number);
        // Some leave before they were served, some after.
        while calls.load(Ordering::SeqCst) < round % 3 {
            thread::yield_now();
        }
        crew.leave(number);
        assert!(!inside.load(Ordering::SeqCst), "it left while it was served");
        let before = calls.load(Ordering::SeqCst);
        crew.wake(number);
        crew.later(number);
        (0..10).for_each(|_| thread::yield_now());
        crew.leave(bystander);
        assert_eq!(crew.threads(), 0);
        assert_eq!(calls.load(Ordering::SeqCst), before, "it was served after it had left");
    }
}

#[test]
fn a_client_that_panics_or_leaves_itself_takes_no_thread_along() {
    let crew = crew();
    let (told, hears) = mpsc::channel();
    let clumsy = join(crew, || panic!("on purpose"));
    let myself: Arc<OnceNumber> = Arc::default();
    let known = myself.clone();
    let leaving = join(crew, move || {
        if let Some(number) = *known.lock().unwrap() {
            crew.leave(number);
            told.send(()).ok();
        }
        None
    });
    *myself.lock().unwrap() = Some(leaving);
    crew.wake(leaving);
    hears.recv_timeout(Duration::from_secs(60)).expect("to leave itself does not wait for itself");
    crew.leave(clumsy);
    assert_eq!(crew.threads(), 0);
}
