//! Futures that are waited for side by side, and those that perhaps need not be waited for.

use crate::list::List as _;
use futures_util::task::AtomicWaker;
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

/// Waits for all of them, side by side, and gives what comes of them in their order.
pub async fn all<F: Future>(wanted: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Result<F::Output, Pin<Box<F>>>> = Vec::new();
    waiting.extend(wanted.into_iter().map(|future| Err(Box::pin(future))));
    poll_fn(|cx| {
        let mut all = true;
        for one in &mut waiting {
            if let Err(future) = one {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *one = Ok(output),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(Result::ok).list()
}

/// Wakes whoever waits by now: a future may know no waker but its first.
#[derive(Default)]
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// Runs a future as far as it goes by itself, and gives what came of it, or what is left to wait for. In a box, so that one
/// function does it for all.
pub fn begin<T>(mut future: Pin<Box<dyn Future<Output = T>>>) -> Result<T, impl Future<Output = T>> {
    let relay = Arc::new(Relay::default());
    let waker = Waker::from(Arc::clone(&relay));
    match future.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(poll_fn(move |cx| {
            relay.0.register(cx.waker());
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::{Cell, RefCell},
        future::ready,
        rc::Rc,
        sync::atomic::{AtomicUsize, Ordering},
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_waits_for_nobody_is_there_at_once() {
        assert_eq!(begin(Box::pin(ready(7))).ok(), Some(7));
        assert_eq!(begin(Box::pin(all([ready(1), ready(2)]))).ok(), Some(vec![1, 2]));
    }

    #[test]
    fn what_waits_wakes_who_waits_now_though_it_knows_its_first_waker_alone() {
        let (rings, first) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None::<Waker>)));
        let (rung, kept) = (Rc::clone(&rings), Rc::clone(&first));
        // As the runtime's timers are.
        let timer = poll_fn(move |cx| {
            kept.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            if rung.get() { Poll::Ready("rung") } else { Poll::Pending }
        });
        let Err(rest) = begin(Box::pin(timer)) else { panic!("it waits") };
        let mut rest = Box::pin(rest);
        for turn in 1..=2 {
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            assert!(rest.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            first.borrow().as_ref().unwrap().wake_by_ref();
            assert_eq!(count.0.load(Ordering::SeqCst), 1, "turn {turn}");
        }
        rings.set(true);
        assert_eq!(rest.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready("rung"));
    }
}
