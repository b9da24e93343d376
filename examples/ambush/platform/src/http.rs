//! As much of an HTTP/1.1 server as the local services need (RFC 9112): requests with a body of
//! known length or in chunks, persistent connections, one answer each. Not a client.

use std::io::{self, Read, Write};

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// The path and the query.
    pub target: String,
    headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// `200`.
    pub status: u16,
    /// Headers but for the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }
}

/// What may be wrong with a peer's message; the connection ends.
fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Largest head and body that are read.
const HEAD_MAX: usize = 64 << 10;
const BODY_MAX: usize = 8 << 20;

/// Serves one connection until the peer ends it or `answer` has no answer.
///
/// # Errors
///
/// A request that can't be read, and what the stream says.
pub fn serve(
    mut stream: impl Read + Write,
    mut answer: impl FnMut(Request) -> Option<Response>,
) -> io::Result<()> {
    let mut input = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut input)? {
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let Some(response) = answer(request) else { return Ok(()) };
        let mut head =
            format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", response.status, response.body.len());
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(&[head.as_bytes(), &response.body].concat())?;
        stream.flush()?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads more of the stream; false at its end.
fn fill(stream: &mut impl Read, input: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 8192];
    let read = stream.read(&mut bytes)?;
    input.extend_from_slice(bytes.get(..read).unwrap_or_default());
    Ok(read > 0)
}

fn read_request(stream: &mut impl Read, input: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let (mut request, head) = loop {
        if let Some(found) = parse_head(input)? {
            break found;
        }
        if input.len() > HEAD_MAX {
            return Err(malformed("the head is too long"));
        }
        if !fill(stream, input)? {
            return Ok(None);
        }
    };
    input.drain(..head);
    let chunked =
        request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    request.body = if chunked {
        read_chunks(stream, input)?
    } else {
        let len = match request.header("content-length") {
            Some(text) => text.trim().parse().map_err(|_| malformed("the length is no number"))?,
            None => 0,
        };
        take(stream, input, len)?
    };
    Ok(Some(request))
}

fn parse_head(input: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(input).map_err(io::Error::other)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(len) => Ok(Some((
            Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                target: parsed.path.unwrap_or_default().to_owned(),
                headers: parsed
                    .headers
                    .iter()
                    .map(|header| {
                        (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
                    })
                    .collect(),
                body: Vec::new(),
            },
            len,
        ))),
    }
}

/// Takes `len` bytes off the input.
fn take(stream: &mut impl Read, input: &mut Vec<u8>, len: usize) -> io::Result<Vec<u8>> {
    if len > BODY_MAX {
        return Err(malformed("the body is too long"));
    }
    while input.len() < len {
        if !fill(stream, input)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(input.drain(..len).collect())
}

fn take_line(stream: &mut impl Read, input: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = input.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = input.drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if input.len() > HEAD_MAX || !fill(stream, input)? {
            return Err(malformed("a chunk's line does not end"));
        }
    }
}

fn read_chunks(stream: &mut impl Read, input: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = take_line(stream, input)?;
        let size = line.split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size.trim(), 16).map_err(|_| malformed("a chunk's size is no number"))?;
        if size == 0 {
            while !take_line(stream, input)?.is_empty() {} // trailers
            return Ok(body);
        }
        body.extend(take(stream, input, size)?);
        take(stream, input, 2)?;
        if body.len() > BODY_MAX {
            return Err(malformed("the body is too long"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Response, serve};
    use std::io::{Cursor, Read, Write};

    /// A peer that has said everything already, a byte a read, and keeps what it hears.
    struct Peer(Cursor<Vec<u8>>, Vec<u8>);
    impl Read for Peer {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let one = out.len().min(1);
            self.0.read(&mut out[..one])
        }
    }
    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn requests(said: &str) -> (Vec<Request>, std::io::Result<()>) {
        let mut heard = Vec::new();
        let end = serve(Peer(Cursor::new(said.into()), Vec::new()), |request| {
            heard.push(request);
            Some(Response { status: 200, headers: Vec::new(), body: Vec::new() })
        });
        (heard, end)
    }

    #[test]
    fn one_connection_carries_several_requests() {
        let (heard, end) = requests(concat!(
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "GET /c HTTP/1.1\r\n\r\n",
        ));
        assert!(end.is_ok());
        let seen: Vec<(&str, &[u8])> =
            heard.iter().map(|request| (request.target.as_str(), request.body.as_slice())).collect();
        assert_eq!(seen, [("/a", b"abc".as_slice()), ("/b", b"abcde"), ("/c", b"")]);
    }

    #[test]
    fn a_body_that_is_cut_short_is_an_error() {
        assert!(requests("POST /a HTTP/1.1\r\ncontent-length: 4\r\n\r\nabc").1.is_err());
        assert!(requests("POST /a HTTP/1.1\r\ncontent-length: x\r\n\r\n").1.is_err());
        assert!(requests("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").1.is_err());
    }
}
