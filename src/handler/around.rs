//! A handler's future inside its invocation.
//!
//! Closing an invocation blocks while what it has printed is not out. As a rule it is, and the
//! invocation is closed in place; else that is done on a thread for blocking work where there is a
//! tokio runtime to give one. For that moment the outcome lies in the wrapper's future;
//! if it can't be sent between threads, neither could that future any more, although the handler's
//! own could: then the invocation is closed in place. Method resolution tells the two apart as in
//! `outcome`.

use super::redaction::Payload;
use super::{Invocation, Outcome, Plan};
use crate::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// A handler whose outcome can be sent between threads.
pub trait AroundSent {
    /// Closes off the thread.
    fn way(self) -> Sent;
}

impl<O: Send> AroundSent for &Outcome<O> {
    fn way(self) -> Sent {
        Sent
    }
}

/// A handler whose outcome stays on its thread.
pub trait AroundHere {
    /// Closes in place.
    fn way(self) -> Here;
}

impl<O> AroundHere for Outcome<O> {
    fn way(self) -> Here {
        Here
    }
}

/// An invocation that is closed off the thread.
#[derive(Debug)]
pub struct Sent;

impl Sent {
    /// Runs a handler's future inside its invocation.
    pub async fn around<F: Future>(
        self,
        invocation: Invocation,
        future: F,
        plan: Plan<F::Output>,
    ) -> F::Output {
        if let Some(reason) = invocation.refusal() {
            return plan.fail(reason.to_owned());
        }
        if invocation.is_unarmed() {
            return future.await;
        }
        let end = invocation.redact(run(future).await, &plan);
        invocation.emit_violations();
        let closed = match invocation.close_soon() {
            Ok(closed) => closed,
            Err(invocation) => close_off_thread(invocation).await,
        };
        plan.settle(end, closed)
    }
}

/// An invocation that is closed in place.
#[derive(Debug)]
pub struct Here;

impl Here {
    /// Runs a handler's future inside its invocation.
    pub async fn around<F: Future>(
        self,
        invocation: Invocation,
        future: F,
        plan: Plan<F::Output>,
    ) -> F::Output {
        if let Some(reason) = invocation.refusal() {
            return plan.fail(reason.to_owned());
        }
        if invocation.is_unarmed() {
            return future.await;
        }
        let end = invocation.redact(run(future).await, &plan);
        invocation.emit_violations();
        let closed = invocation.close();
        plan.settle(end, closed)
    }
}

/// A closure that is called once: as the compiler would otherwise find out too late, it may give
/// away what it holds.
pub const fn once<O, F: FnOnce() -> O>(call: F) -> F {
    call
}

/// Drives a future to its end, a panic included. It is not polled again after one.
async fn run<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(payload) => Poll::Ready(Err(payload)),
        }
    })
    .await
}

#[cfg(feature = "tokio")]
async fn close_off_thread(invocation: Invocation) -> Result<(), Error> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return invocation.close() };
    // The closure is dropped, and with it the invocation closed, where the runtime is shutting down.
    runtime.spawn_blocking(|| invocation.close()).await.unwrap_or(Ok(()))
}

#[cfg(not(feature = "tokio"))]
async fn close_off_thread(invocation: Invocation) -> Result<(), Error> {
    invocation.close()
}
