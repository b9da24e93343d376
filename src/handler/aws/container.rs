//! The credentials endpoint that `AWS_CONTAINER_CREDENTIALS_FULL_URI` names: one GET by HTTP/1.0, whose
//! answers are never in chunks (RFC 9112 section 7.1), over a plain socket with blocking calls. Not an
//! HTTP client for anything else.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};
use zeroize::Zeroizing;

/// The whole exchange. The SDK gives a provider 5 seconds, and its own error says less than ours.
const TIME_OUT: Duration = Duration::from_secs(4);
/// The longest answer that is read, in bytes. A real one has some 1,500.
const LONGEST: usize = 64 * 1024;
/// Pod identity credentials of EKS over IPv6.
const EKS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);

/// Why the endpoint gave no credentials. None of them repeats what it answered: that may be a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not usable: {0}; expected http://ADDRESS:PORT/PATH with a loopback or link-local address",
        reason
    )]
    Uri { reason: &'static str },
    #[error(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a byte that no HTTP header may hold; it must be visible ASCII"
    )]
    Token,
    #[error(
        "the credentials endpoint {address} cannot be reached: {source}; [network] allow in guard.toml must name {address} exactly"
    )]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the credentials endpoint {address} broke off, or did not answer within 4 seconds: {source}")]
    Exchange { address: SocketAddr, source: io::Error },
    #[error(
        "the credentials endpoint {address} answered with status {status} where 200 was expected; 401, 403 and 404 mean that it refused AWS_CONTAINER_AUTHORIZATION_TOKEN or the path"
    )]
    Status { address: SocketAddr, status: u16 },
    #[error("the credentials endpoint {address} gave no usable answer: {reason}")]
    Answer { address: SocketAddr, reason: &'static str },
}

/// Where credentials are to be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    address: SocketAddr,
    /// The URI's host and port, as it has them.
    authority: String,
    /// Its path and query.
    target: String,
}

/// What the endpoint gave.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: SecretString,
    pub(super) session_token: SecretString,
    pub(super) expiration: SystemTime,
}

/// The members of the answer that matter: AWS SDKs and Tools Reference Guide, "Container credential
/// provider".
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: SecretText,
    token: SecretText,
    expiration: String,
}

/// A text that is wiped when dropped, also when a later member is wrong.
struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        String::deserialize(deserializer).map(|text| SecretText(text.into()))
    }
}

impl Endpoint {
    /// Reads the URI. The address must be one that only this machine can hold, for the token is sent
    /// there in the clear: loopback, link-local, or EKS's. Names are not looked up, but for `localhost`.
    pub(super) fn parse(uri: &str) -> Result<Endpoint, EndpointError> {
        let unusable = |reason| EndpointError::Uri { reason };
        if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("it holds a space, a control character or no ASCII"));
        }
        let rest = match uri.split_at_checked("http://".len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => rest,
            _ => return Err(unusable("its scheme is not http")),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let address = address(authority).ok_or(unusable("its host is no IP address with a port"))?;
        let local = match address.ip() {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6 == EKS,
        };
        if !local {
            return Err(unusable("its address is neither loopback nor link-local"));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Endpoint { address, authority: authority.to_owned(), target: format!("{slash}{target}") })
    }

    /// Asks for credentials, and blocks for at most [`TIME_OUT`].
    pub(super) fn fetch(&self, authorization: &SecretString) -> Result<Fetched, EndpointError> {
        self.fetch_within(authorization, TIME_OUT)
    }

    fn fetch_within(&self, authorization: &SecretString, limit: Duration) -> Result<Fetched, EndpointError> {
        let token = authorization.expose_secret();
        if !token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(EndpointError::Token);
        }
        let deadline = Instant::now() + limit;
        let mut stream = TcpStream::connect_timeout(&self.address, limit)
            .map_err(|source| EndpointError::Connect { address: self.address, source })?;
        let answer = self
            .exchange(&mut stream, token, deadline)
            .map_err(|source| EndpointError::Exchange { address: self.address, source })?;
        if answer.len() > LONGEST {
            return Err(self.unusable("it is longer than 64 KiB"));
        }
        self.read(&answer)
    }

    /// Sends the request, and reads until the peer closes or [`LONGEST`] is passed.
    fn exchange(
        &self,
        stream: &mut TcpStream,
        token: &str,
        deadline: Instant,
    ) -> io::Result<Zeroizing<Vec<u8>>> {
        let request = Zeroizing::new(format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n",
            self.target, self.authority
        ));
        stream.set_write_timeout(Some(remaining(deadline)?))?;
        stream.write_all(request.as_bytes())?;
        // All of it at once: a vector that grew would leave copies of the secret behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        let mut part = Zeroizing::new([0u8; 4096]);
        while answer.len() <= LONGEST {
            stream.set_read_timeout(Some(remaining(deadline)?))?;
            let room = (LONGEST + 1 - answer.len()).min(part.len());
            match stream.read(part.get_mut(..room).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if is_whole(&answer) {
                break;
            }
        }
        Ok(answer)
    }

    fn unusable(&self, reason: &'static str) -> EndpointError {
        EndpointError::Answer { address: self.address, reason }
    }

    fn read(&self, answer: &[u8]) -> Result<Fetched, EndpointError> {
        let (head, body) = split(answer).ok_or(self.unusable("its head has no end"))?;
        let status = status(head).ok_or(self.unusable("it is not HTTP"))?;
        if status != 200 {
            return Err(EndpointError::Status { address: self.address, status });
        }
        if header(head, "transfer-encoding").is_some() {
            return Err(self.unusable("it has a transfer encoding, which HTTP/1.0 has not"));
        }
        let body = match length(head) {
            None => body,
            Some(length) => body.get(..length).ok_or(self.unusable("its body is shorter than it says"))?,
        };
        // The reason is left out: serde_json's own may quote what it read.
        let document: Document = serde_json::from_slice(body).map_err(|_| {
            self.unusable("its body is no JSON object with the texts AccessKeyId, SecretAccessKey, Token and Expiration")
        })?;
        let expiration = DateTime::from_str(&document.expiration, Format::DateTimeWithOffset)
            .ok()
            .and_then(|time| SystemTime::try_from(time).ok())
            .ok_or(self.unusable("its Expiration is no time of RFC 3339"))?;
        Ok(Fetched {
            access_key_id: document.access_key_id,
            secret_access_key: document.secret_access_key.0,
            session_token: document.token.0,
            expiration,
        })
    }
}

/// The address that `host` or `host:port` names.
fn address(authority: &str) -> Option<SocketAddr> {
    if let Ok(address) = authority.parse() {
        return Some(address);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let ip = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => IpAddr::V6(host.parse().ok()?),
        None if host.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None => IpAddr::V4(host.parse().ok()?),
    };
    Some(SocketAddr::new(ip, port))
}

/// What is left until then; a time-out where nothing is, since a limit of zero means none.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Whether a body of the length that the head states is there: a peer need not close.
fn is_whole(answer: &[u8]) -> bool {
    split(answer).is_some_and(|(head, body)| length(head).is_some_and(|length| body.len() >= length))
}

/// The status line with the header fields, and the body.
fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?))
}

/// The number in `HTTP/1.x NNN reason`.
fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim_end().get(..3)?.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn length(head: &str) -> Option<usize> {
    header(head, "content-length")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    const DOCUMENT: &str = r#"{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"wJalr\/XUtnFEMI","Token":"IQoJb3JpZ2lu","Expiration":"2031-02-25T06:03:31Z","Code":"Success"}"#;

    /// What the endpoint makes of an answer, and what it asked.
    fn ask(answer: &[u8]) -> (Result<Fetched, EndpointError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}/v?a=b", listener.local_addr().unwrap())).unwrap();
        thread::scope(|scope| {
            let asked = scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                // A client that has read enough may have gone.
                let _ = stream.write_all(answer);
                String::from_utf8(request).unwrap()
            });
            let result = endpoint.fetch(&"the token".into());
            (result, asked.join().unwrap())
        })
    }

    fn message(answer: &[u8]) -> String {
        ask(answer).0.unwrap_err().to_string()
    }

    #[test]
    fn credentials_are_read() {
        let stated =
            format!("HTTP/1.1 200 OK\r\ncontent-LENGTH: {}\r\n\r\n{DOCUMENT} and more", DOCUMENT.len());
        let unstated = format!("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n{DOCUMENT}");
        for answer in [stated, unstated] {
            let (fetched, request) = ask(answer.as_bytes());
            let fetched = fetched.unwrap();
            assert_eq!(fetched.access_key_id, "ASIAEXAMPLE");
            assert_eq!(fetched.secret_access_key.expose_secret(), "wJalr/XUtnFEMI");
            assert_eq!(fetched.session_token.expose_secret(), "IQoJb3JpZ2lu");
            assert_eq!(fetched.expiration, SystemTime::UNIX_EPOCH + Duration::from_secs(1_929_765_811));
            assert!(request.starts_with("GET /v?a=b HTTP/1.0\r\nHost: 127.0.0.1:"), "{request}");
            assert!(request.contains("\r\nAuthorization: the token\r\n"), "{request}");
        }
    }

    #[test]
    fn answers_that_are_none() {
        assert!(message(b"HTTP/1.1 404 Not Found\r\n\r\n").contains("status 404 where 200"));
        assert!(message(b"").contains("its head has no end"));
        assert!(message(b"SSH-2.0-OpenSSH\r\n\r\n").contains("it is not HTTP"));
        assert!(message(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}").contains("shorter than it says"));
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{DOCUMENT}");
        assert!(message(chunked.as_bytes()).contains("transfer encoding"));
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 2 * LONGEST]].concat();
        assert!(message(&endless).contains("longer than 64 KiB"));
        for (from, to) in [("Token", "Other"), ("2031-02-25T", "2031-02-30T"), ("\"IQoJb3JpZ2lu\"", "7")] {
            let text = message(format!("HTTP/1.1 200 OK\r\n\r\n{}", DOCUMENT.replace(from, to)).as_bytes());
            assert!(text.contains("gave no usable answer") && !text.contains("wJalr"), "{text}");
        }
    }

    #[test]
    fn a_silent_endpoint_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let error = endpoint.fetch_within(&"token".into(), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, EndpointError::Exchange { .. }), "{error}");
    }

    #[test]
    fn an_endpoint_that_is_not_there() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error =
            Endpoint::parse(&format!("http://{address}")).unwrap().fetch(&"token".into()).unwrap_err();
        assert!(error.to_string().ends_with(&format!("must name {address} exactly")), "{error}");
    }

    #[test]
    fn the_token_can_add_no_header() {
        let endpoint = Endpoint::parse("http://127.0.0.1:9/").unwrap();
        let error = endpoint.fetch(&"token\r\nX-Other: 1".into()).unwrap_err();
        assert!(matches!(error, EndpointError::Token), "{error}");
    }

    #[test]
    fn uris() {
        let parsed =
            |uri| Endpoint::parse(uri).map(|endpoint| (endpoint.address.to_string(), endpoint.target));
        for (uri, address, target) in [
            ("http://127.0.0.1:9001/2021-04-23/credentials", "127.0.0.1:9001", "/2021-04-23/credentials"),
            ("HTTP://LocalHost/a?b=c#d", "127.0.0.1:80", "/a?b=c"),
            ("http://169.254.170.23/v1/credentials", "169.254.170.23:80", "/v1/credentials"),
            ("http://169.254.100.1:9001?x", "169.254.100.1:9001", "/?x"),
            ("http://[::1]:8080", "[::1]:8080", "/"),
            ("http://[fd00:ec2::23]/v1", "[fd00:ec2::23]:80", "/v1"),
        ] {
            assert_eq!(parsed(uri).unwrap(), (address.to_owned(), target.to_owned()), "{uri}");
        }
        for uri in [
            "",
            "http://",
            "https://127.0.0.1/",
            "127.0.0.1:80/",
            "http://203.0.113.9/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://metadata.example/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1:80:80/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:/",
            "http://127.0.0.1/ HTTP/1.1\r\nX: y",
            "http://127.0.0.1/\u{e9}",
        ] {
            assert!(matches!(Endpoint::parse(uri), Err(EndpointError::Uri { .. })), "{uri}");
        }
    }
}
