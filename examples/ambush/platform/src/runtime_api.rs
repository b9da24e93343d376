//! A local Lambda runtime API for one cold start: events out, answers in ("Using the Lambda runtime
//! API" in the Lambda developer guide). An event goes to whoever asks first: as many are out at once
//! as the function asks for.

use crate::http::{self, Request, Response};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The address at which the platform has its runtime API today: link-local.
pub const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 100, 1);

/// How an invocation, or the start, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The handler's response.
    Response(Vec<u8>),
    /// The handler's error, with its headers' error type.
    Error(Vec<u8>),
}

/// The trace of an event that has none of its own.
const TRACE: &str = "Root=1-65500000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0";

#[derive(Debug)]
struct Event {
    request_id: String,
    trace_id: String,
    body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// How many have asked for an event and wait.
    waiting: usize,
    events: VecDeque<Event>,
    answers: Vec<(String, Answer)>,
    init_error: Option<Vec<u8>>,
}

/// What is done when an answer has arrived, before the function is told that it has.
pub type OnAnswer = Arc<dyn Fn(&str, &Answer) + Send + Sync>;

/// The API. It ends when it is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RuntimeApi {
    /// Starts it at the platform's address, on a port of its own.
    ///
    /// # Errors
    ///
    /// Where that address can't be listened on.
    pub fn start() -> io::Result<Self> {
        Self::start_at((HOST, 0).into(), Arc::new(|_, _| ()))
    }

    /// Starts it at an address. `on_answer` is called with each answer and its request's id before the
    /// function hears that it has arrived: what it sees is what is there when the platform freezes
    /// the function.
    ///
    /// # Errors
    ///
    /// Where that address can't be listened on.
    pub fn start_at(address: SocketAddr, on_answer: OnAnswer) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::<(Mutex<State>, Condvar)>::default();
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if lock(&served.0).closed {
                    return;
                }
                let (shared, on_answer) = (Arc::clone(&served), Arc::clone(&on_answer));
                std::thread::spawn(move || {
                    http::serve(stream, |request| answer(&shared, &*on_answer, request))
                });
            }
        });
        Ok(RuntimeApi { address, shared })
    }

    /// Gives the function an event.
    pub fn send(&self, request_id: &str, event: &serde_json::Value) {
        self.send_traced(request_id, TRACE, event);
    }

    /// Gives the function an event that belongs to a trace.
    pub fn send_traced(&self, request_id: &str, trace_id: &str, event: &serde_json::Value) {
        lock(&self.shared.0).events.push_back(Event {
            request_id: request_id.to_owned(),
            trace_id: trace_id.to_owned(),
            body: event.to_string().into_bytes(),
        });
        self.shared.1.notify_all();
    }

    /// Waits until the function asks for its first event.
    pub fn await_ready(&self, patience: Duration, given_up: &dyn Fn() -> bool) -> bool {
        self.wait(patience, given_up, |state| (state.waiting > 0).then_some(())).is_some()
    }

    /// Waits for the answer to an event and for the function to ask for the next one.
    pub fn await_answer(
        &self,
        request_id: &str,
        patience: Duration,
        given_up: &dyn Fn() -> bool,
    ) -> Option<Answer> {
        self.wait(patience, given_up, |state| {
            let (_, answer) = state.answers.iter().find(|(id, _)| id == request_id)?;
            (state.waiting > 0).then(|| answer.clone())
        })
    }

    /// What the function reported as the error of its start.
    pub fn init_error(&self) -> Option<Vec<u8>> {
        lock(&self.shared.0).init_error.clone()
    }

    /// Waits for something in the state. `given_up` says whether the function is gone; nothing
    /// notifies of that, so it is asked now and then.
    fn wait<T>(
        &self,
        patience: Duration,
        given_up: &dyn Fn() -> bool,
        mut found: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        const NOW_AND_THEN: Duration = Duration::from_millis(50);
        let deadline = std::time::Instant::now() + patience;
        let mut state = lock(&self.shared.0);
        loop {
            if let Some(found) = found(&state) {
                return Some(found);
            }
            if std::time::Instant::now() >= deadline || given_up() {
                // It may have answered just before it went.
                return found(&state);
            }
            state = match self.shared.1.wait_timeout(state, NOW_AND_THEN) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        lock(&self.shared.0).closed = true;
        self.shared.1.notify_all();
        // The accepting thread looks at `closed` when somebody calls.
        let _ = std::net::TcpStream::connect(self.address);
    }
}

fn answer(
    shared: &(Mutex<State>, Condvar),
    on_answer: &dyn Fn(&str, &Answer),
    request: Request,
) -> Option<Response> {
    let path = request.target.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
    let accepted = || Some(Response::json(202, &serde_json::json!({ "status": "OK" })));
    match (request.method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["invocation", "next"]) => next(shared),
        ("POST", ["invocation", id, kind @ ("response" | "error")]) => {
            let answer = match *kind {
                "response" => Answer::Response(request.body),
                _ => Answer::Error(request.body),
            };
            on_answer(id, &answer);
            lock(&shared.0).answers.push(((*id).to_owned(), answer));
            shared.1.notify_all();
            accepted()
        }
        ("POST", ["init", "error"]) => {
            lock(&shared.0).init_error = Some(request.body);
            shared.1.notify_all();
            accepted()
        }
        _ => Some(Response::json(404, &serde_json::json!({ "errorType": "NotFound" }))),
    }
}

/// Waits for an event, as the platform freezes a function until it has one.
fn next(shared: &(Mutex<State>, Condvar)) -> Option<Response> {
    let mut state = lock(&shared.0);
    state.waiting += 1;
    shared.1.notify_all();
    let event = loop {
        if state.closed {
            return None;
        }
        match state.events.pop_front() {
            Some(event) => break event,
            None => state = shared.1.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    };
    state.waiting -= 1;
    drop(state);
    let in_a_minute = SystemTime::now() + Duration::from_secs(60);
    let deadline = in_a_minute.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Some(Response {
        status: 200,
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("lambda-runtime-aws-request-id".into(), event.request_id),
            ("lambda-runtime-deadline-ms".into(), deadline.to_string()),
            (
                "lambda-runtime-invoked-function-arn".into(),
                "arn:aws:lambda:eu-west-1:123456789012:function:orders".into(),
            ),
            ("lambda-runtime-trace-id".into(), event.trace_id),
        ],
        body: event.body,
    })
}
