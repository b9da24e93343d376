//! A local Lambda runtime API for one function, and the function below it ("Using the Lambda
//! runtime API" in the Lambda developer guide). It takes the time of an invocation where the
//! platform would: from the event's leaving to the answer's having arrived.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a function may take for anything before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function with a runtime API of its own.
#[derive(Debug)]
pub struct Invocations {
    child: Child,
    events: Sender<Vec<u8>>,
    answered: Receiver<io::Result<Duration>>,
}

/// An order, as JSON. `upstream` is the port of a [`Service`].
pub fn event(number: usize, upstream: Option<u16>, log: bool) -> Vec<u8> {
    let items: Vec<_> =
        (0..20).map(|n| serde_json::json!({ "price": 100 + n, "count": 2, "note": "gift" })).collect();
    serde_json::json!({ "id": format!("order-{number}"), "items": items, "upstream": upstream, "log": log })
        .to_string()
        .into_bytes()
}

impl Invocations {
    /// Starts a function. What it prints goes nowhere.
    ///
    /// # Errors
    ///
    /// Where it can't be started.
    pub fn start(mut function: Command) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (events, to_send) = channel();
        let (tell, answered) = channel();
        let to_send = Arc::new(Mutex::new(to_send));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (to_send, tell) = (Arc::clone(&to_send), tell.clone());
                std::thread::spawn(move || {
                    if let Err(error) = serve(&stream, &to_send, &tell) {
                        let _ = tell.send(Err(error));
                    }
                });
            }
        });
        let child = function
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "orders")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "1")
            .env("STRIPE_KEY", "sk_live_0123456789abcdefghij")
            .env("DB_PASSWORD", "correct horse battery staple")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Invocations { child, events, answered })
    }

    /// Sends an event and waits for its answer.
    ///
    /// # Errors
    ///
    /// An answer that is an error, a function that is gone, or one that does not answer.
    pub fn invoke(&mut self, event: &[u8]) -> io::Result<Duration> {
        self.events.send(event.to_vec()).map_err(|_| io::Error::other("the runtime API has ended"))?;
        self.answered.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the function does not answer"))?
    }

    /// The process that was started: under the guard, the arbiter.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Invocations {
    fn drop(&mut self) {
        // As the platform ends a function; the guard's takes its function with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves one connection: `next` takes an event, and the answer ends its time.
fn serve(
    stream: &TcpStream,
    events: &Mutex<Receiver<Vec<u8>>>,
    tell: &Sender<io::Result<Duration>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut sent = Instant::now();
    let mut number = 0u64;
    while let Some((target, _body)) = read_request(&mut reader)? {
        if target.ends_with("/invocation/next") {
            let Ok(event) = events.lock().unwrap_or_else(PoisonError::into_inner).recv() else {
                return Ok(());
            };
            number += 1;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{number:012x}\r\n\
                 lambda-runtime-deadline-ms: 32503680000000\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:orders\r\n\
                 lambda-runtime-trace-id: Root=1-65500000-0123456789abcdef01234567;Sampled=0\r\n\r\n",
                event.len()
            );
            let message = [head.as_bytes(), &event].concat();
            sent = Instant::now();
            writer.write_all(&message)?;
        } else {
            let took = sent.elapsed();
            writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
            let result = if target.ends_with("/response") {
                Ok(took)
            } else {
                Err(io::Error::other(format!("the function reported an error at {target}")))
            };
            let _ = tell.send(result);
        }
    }
    Ok(())
}

/// Reads a request, its body of known length or in chunks (RFC 9112); `None` at the end.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut chunked) = (0usize, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        } else if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        } else if header.starts_with("transfer-encoding:") && header.ends_with("chunked") {
            chunked = true;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        // The chunk and its line end; the last chunk has none of its own.
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        chunked = size > 0;
        body.extend_from_slice(chunk.get(..size).unwrap_or_default());
    }
    Ok(Some((target, body)))
}

/// A service on loopback that answers a byte with a byte after two milliseconds.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub port: u16,
}

impl Service {
    /// Starts it; it ends with this process.
    ///
    /// # Errors
    ///
    /// Where it can't listen.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        // What it stands for takes its time; nothing waits for this but the caller.
                        std::thread::sleep(Duration::from_millis(2));
                        if stream.write_all(&byte).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Service { port })
    }
}
