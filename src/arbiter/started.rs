//! Something that is started at its first use, and tried again later where that failed. Not a
//! cache: once started, it stays.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long after a failure nothing is tried: each caller in between is refused at once.
const REST: Duration = Duration::from_secs(1);

/// What is started at its first use.
#[derive(Debug)]
pub(super) struct Started<T> {
    value: OnceLock<T>,
    failed: Mutex<Option<Instant>>,
}

impl<T> Started<T> {
    pub(super) fn new() -> Self {
        Started { value: OnceLock::new(), failed: Mutex::new(None) }
    }

    /// It, where it has been started.
    pub(super) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// It, started if need be; `None` where that fails, which is told, or has failed a moment ago.
    pub(super) fn get_or_start<E>(
        &self,
        now: Instant,
        start: impl FnOnce() -> Result<T, E>,
        tell: impl FnOnce(E),
    ) -> Option<&T> {
        if let Some(value) = self.value.get() {
            return Some(value);
        }
        // Held while it starts: others wait for the one.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.value.get().is_none() {
            if failed.is_some_and(|at| now.saturating_duration_since(at) < REST) {
                return None;
            }
            match start() {
                Ok(value) => {
                    let _ = self.value.set(value);
                }
                Err(error) => {
                    *failed = Some(now);
                    tell(error);
                }
            }
        }
        self.value.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_tried_again_after_a_rest() {
        let started = Started::new();
        let now = Instant::now();
        let mut told = 0;
        let fail = || Err::<i32, &str>("no thread");
        assert_eq!(started.get_or_start(now, fail, |_| told += 1), None);
        let never = || -> Result<i32, &str> { panic!("it must rest") };
        assert_eq!(started.get_or_start(now + REST / 2, never, |_| told += 1), None);
        assert_eq!((told, started.get()), (1, None));
        assert_eq!(started.get_or_start(now + REST, || Ok::<_, &str>(7), |_| told += 1), Some(&7));
        assert_eq!(started.get_or_start(now + REST, never, |_| told += 1), Some(&7));
        assert_eq!((told, started.get()), (1, Some(&7)));
    }
}
