//! A future that shares a task with others and is polled only if it was woken itself.
//!
//! The message thread's loops, its clock and its orders are one task. Without this each wake-up of a socket would poll all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// One of the futures of a task.
pub(super) struct Apart<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    /// `None`: it has not been polled yet.
    woken: Option<(Arc<Woken>, Waker)>,
}

/// Whether it was woken, and its task.
struct Woken {
    is: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<T> Apart<T> {
    /// A future that is polled at its first turn.
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), woken: None }
    }

    /// Polls it, if it was woken since its last turn.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        if let Some((woken, waker)) = &self.woken
            && woken.task.will_wake(cx.waker())
        {
            if !woken.is.swap(false, Ordering::AcqRel) {
                return Poll::Pending;
            }
            return self.future.as_mut().poll(&mut Context::from_waker(waker));
        }
        let woken = Arc::new(Woken { is: AtomicBool::new(false), task: cx.waker().clone() });
        let (_, waker) = self.woken.insert((Arc::clone(&woken), woken.into()));
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_once_for_each_time_that_it_was_woken() {
        let (turns, orders) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
        let (counted, told) = (Rc::clone(&turns), Rc::clone(&orders));
        let mut apart = Apart::new(async move {
            loop {
                counted.set(counted.get() + 1);
                if counted.get() == 3 {
                    return "ended";
                }
                told.notified().await;
            }
        });
        let ended = std::future::poll_fn(|cx| {
            for _ in 0..5 {
                let before = turns.get();
                if let Poll::Ready(said) = apart.poll(cx) {
                    return Poll::Ready(said);
                }
                assert!(apart.poll(cx).is_pending(), "nobody has woken it");
                assert_eq!(turns.get(), before + 1);
                orders.notify_one();
            }
            Poll::Pending
        });
        assert_eq!((ended.await, turns.get()), ("ended", 3));
    }
}
