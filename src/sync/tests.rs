//! What waiting promises whatever the threads of the system do: nobody sleeps through a change.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Event, Events, Monitor, Patience, Readiness, Stalled, Wake};

/// Long enough for any thread to get its turn; reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough to be measured, short enough to wait for.
const SHORT: Duration = Duration::from_millis(20);

/// Returns once so many threads wait.
fn await_waiters<S>(monitor: &Monitor<S>, count: u32) {
    let deadline = Instant::now() + DEADLINE;
    while super::primitives::lock(&monitor.inner).waiting < count {
        assert!(Instant::now() < deadline, "they do not wait");
        thread::yield_now();
    }
}

/// Takes one, if there is one.
fn take(count: &mut u32) -> Option<((), Wake)> {
    *count = count.checked_sub(1)?;
    Some(((), Wake::Nobody))
}

#[test]
fn two_threads_that_wake_each_other_never_miss_a_turn() {
    const TURNS: u32 = 5_000;
    let there = Arc::new(Monitor::new(0));
    let back = Arc::new(Monitor::new(0));
    let echo = thread::spawn({
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        move || {
            for _ in 0..TURNS {
                there.wait(Patience::For(DEADLINE), take).unwrap();
                back.update(|count| (*count += 1, Wake::One));
            }
        }
    });
    for _ in 0..TURNS {
        there.update(|count| (*count += 1, Wake::One));
        back.wait(Patience::For(DEADLINE), take).unwrap();
    }
    echo.join().unwrap();
}

#[test]
fn each_of_many_waiters_gets_what_was_meant_for_one() {
    const WAITERS: u32 = 16;
    const ROUNDS: u32 = 200;
    let given = Arc::new(Monitor::new(0));
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let given = Arc::clone(&given);
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    given.wait(Patience::For(DEADLINE), take).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..WAITERS * ROUNDS {
        given.update(|count| (*count += 1, Wake::One));
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(given.read(|count| *count), 0);
}

#[test]
fn all_are_woken_where_all_are_concerned() {
    const WAITERS: u32 = 16;
    let open = Arc::new(Monitor::new(false));
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let open = Arc::clone(&open);
            thread::spawn(move || {
                let patience = Patience::For(DEADLINE);
                open.wait(patience, |open| open.then_some(((), Wake::Nobody)))
            })
        })
        .collect();
    await_waiters(&open, WAITERS);
    open.update(|open| (*open = true, Wake::All));
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
}

#[test]
fn waiting_ends_when_its_time_is_over_and_not_before() {
    let never = Monitor::new(0);
    let started = Instant::now();
    let stalled = never.wait(Patience::For(SHORT), take).unwrap_err();
    assert_eq!(stalled, Stalled::TimedOut);
    assert!(started.elapsed() >= SHORT);
}

#[test]
fn a_change_of_the_options_reaches_those_who_wait_already() {
    let never = Arc::new(Monitor::new(0));
    let waiter = thread::spawn({
        let never = Arc::clone(&never);
        move || never.wait(Patience::AsSet, take)
    });
    await_waiters(&never, 1);
    never.set_nonblocking(true);
    assert_eq!(waiter.join().unwrap().unwrap_err(), Stalled::WouldBlock);
}

/// Nothing is lost between many who tell and the one who takes, however they meet.
#[test]
fn every_change_of_many_states_is_told_to_who_watches_them() {
    const STATES: usize = 8;
    const TURNS: u32 = 2_000;
    let events = Arc::<Events>::default();
    let states: Arc<[Monitor<u32>]> = (0..STATES).map(|_| Monitor::new(0)).collect();
    let watch = |key: usize| {
        let event = Event::new(key, Readiness::Readable);
        states[key].watch(&events, event, |&count| count > 0);
    };
    (0..STATES).for_each(watch);
    let writers: Vec<_> = (0..STATES)
        .map(|key| {
            let states = Arc::clone(&states);
            thread::spawn(move || {
                for _ in 0..TURNS {
                    states[key].update(|count| (*count += 1, Wake::One));
                }
            })
        })
        .collect();
    let (mut taken, mut total) = (Vec::new(), 0);
    while total < STATES as u32 * TURNS {
        events.take(Some(DEADLINE), &mut taken);
        assert!(!taken.is_empty(), "{total} were told");
        for event in taken.drain(..) {
            total += states[event.key].update(|count| (std::mem::take(count), Wake::Nobody));
            watch(event.key);
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn options_are_no_news_to_who_watches() {
    let events = Arc::<Events>::default();
    let state = Monitor::new(0);
    state.watch(&events, Event::new(1, Readiness::Readable), |_| false);
    state.set_timeout(Some(SHORT));
    state.set_nonblocking(true);
    state.update(|_| ((), Wake::Nobody));
    let mut taken = Vec::new();
    events.take(Some(Duration::ZERO), &mut taken);
    assert_eq!(taken, []);
    assert_eq!(state.timeout(), Some(SHORT));
    state.update(|_| ((), Wake::One));
    events.take(Some(DEADLINE), &mut taken);
    assert_eq!(taken, [Event::new(1, Readiness::Readable)]);
}

#[test]
fn a_list_goes_with_who_takes_from_it() {
    let events = Arc::<Events>::default();
    let state = Monitor::new(0);
    let watch =
        |events: &Arc<Events>| state.watch(events, Event::new(1, Readiness::Readable), |_| true);
    watch(&events);
    let gone = Arc::downgrade(&events);
    drop(events);
    assert!(gone.upgrade().is_none(), "what was told keeps it");
    state.update(|_| ((), Wake::One));
    let events = Arc::default();
    watch(&events);
    let mut taken = Vec::new();
    events.take(Some(DEADLINE), &mut taken);
    assert_eq!(taken.len(), 1);
}

#[test]
fn a_list_that_nobody_takes_from_holds_no_more_than_is_watched() {
    let events = Arc::<Events>::default();
    let states: Vec<_> = (0..1000).map(|_| Monitor::new(0)).collect();
    let watch = |state: &Monitor<u32>, key| {
        state.watch(&events, Event::new(key, Readiness::Readable), |_| true);
    };
    for turn in 0..100 {
        for (number, state) in states.iter().enumerate() {
            watch(state, turn * states.len() + number);
            assert!(events.kept() <= 2 * states.len(), "{}", events.kept());
        }
    }
    for state in &states[1..] {
        state.unwatch(None);
    }
    for key in 0..100_000 {
        watch(&states[0], key);
    }
    assert!(events.kept() <= 2 * states.len(), "{}", events.kept());
    let mut taken = Vec::new();
    events.take(Some(DEADLINE), &mut taken);
    assert_eq!(taken, [Event::new(99_999, Readiness::Readable)]);
}
