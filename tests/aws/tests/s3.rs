//! A guarded function with a real AWS client, against an S3 that checks signatures and session tokens
//! (moto, in a Python environment of its own): credentials in both forms that Lambda gives them.
#![allow(clippy::unwrap_used)] // A test says by its panic what went wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The version that these tests were written with.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

const TRUST: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}"#;
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

/// Credentials of a role, which S3 knows.
#[derive(Clone)]
struct Session {
    id: String,
    key: String,
    token: String,
}

/// A running S3 with a bucket named `orders`.
struct S3 {
    server: Child,
    address: SocketAddr,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl S3 {
    /// Starts it, and takes as many sessions from it as are asked for. From then on it checks.
    fn start<const N: usize>() -> (S3, [Session; N]) {
        let mut server = Command::new(moto().join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server starts");
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("Running on http://")?.1.trim().parse().ok())
            .expect("moto_server says where it listens");
        // It blocks when nobody reads its log.
        thread::spawn(move || lines.for_each(drop));
        let s3 = S3 { server, address };

        s3.ask(
            "iam",
            "POST",
            "/",
            &[("Action", "CreateRole"), ("RoleName", "f"), ("AssumeRolePolicyDocument", TRUST)],
        );
        s3.ask(
            "iam",
            "POST",
            "/",
            &[
                ("Action", "PutRolePolicy"),
                ("RoleName", "f"),
                ("PolicyName", "p"),
                ("PolicyDocument", POLICY),
            ],
        );
        s3.ask("s3", "PUT", "/orders", &[]);
        let role = "arn:aws:iam::123456789012:role/f";
        let sessions = std::array::from_fn(|_| {
            let answer = s3.ask(
                "sts",
                "POST",
                "/",
                &[
                    ("Action", "AssumeRole"),
                    ("RoleArn", role),
                    ("RoleSessionName", "f"),
                    ("Version", "2011-06-15"),
                ],
            );
            let element = |name: &str| {
                let rest = answer.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{answer}")).1;
                rest.split_once('<').unwrap().0.to_owned()
            };
            Session {
                id: element("AccessKeyId"),
                key: element("SecretAccessKey"),
                token: element("SessionToken"),
            }
        });
        // No further request goes unchecked.
        s3.send("POST", "/moto-api/reset-auth", "", "0");
        (s3, sessions)
    }

    /// A request of an AWS service, signed by nobody, with its parameters in the body.
    fn ask(&self, service: &str, method: &str, path: &str, parameters: &[(&str, &str)]) -> String {
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect()
        };
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let header = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=none\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n"
        );
        self.send(method, path, &header, &pairs.join("&"))
    }

    fn send(&self, method: &str, path: &str, header: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let address = self.address;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{header}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.split(' ').nth(1) == Some("200"), "{method} {path} {body}: {answer}");
        answer
    }

    fn run(&self, source: &str, environment: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_fnguard-aws-tests"))
            .args([source, &format!("http://{}", self.address)])
            .env_clear()
            // A home without profiles, so that none of this machine's answers.
            .env("HOME", env!("CARGO_TARGET_TMPDIR"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let said = Said(output);
        assert!(said.0.status.success(), "{:?}", said.0);
        assert_eq!(said.line("armed"), "true", "{:?}", said.0);
        assert_eq!(said.line("left in std::env"), "[]");
        said
    }
}

/// What the function said.
struct Said(Output);

impl Said {
    fn line(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(&self.0.stdout);
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no line {name}: {:?}", self.0)).to_owned()
    }

    fn holds(&self, text: &str) -> bool {
        [&self.0.stdout, &self.0.stderr].iter().any(|stream| String::from_utf8_lossy(stream).contains(text))
    }

    /// How many records say that a connection to an address was refused.
    fn records_of(&self, address: &str) -> usize {
        String::from_utf8_lossy(&self.0.stderr)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|record| record["fnguard"] == "violation" && record["action"] == "blocked")
            .filter(|record| record["syscall"] == "connect" && record["address"] == address)
            .count()
    }
}

/// The Python environment with moto, made the first time.
fn moto() -> PathBuf {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let complete = directory.join("complete");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        return directory;
    }
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| {
            panic!("these tests need Python 3 with venv and pip: {program:?}: {error}")
        });
        assert!(
            output.status.success(),
            "{program:?} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", directory.to_str().unwrap()]);
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(&directory.join("bin/python"), &[&pip[..], &PACKAGES].concat());
    std::fs::write(complete, wanted).unwrap();
    directory
}

/// A credentials endpoint that gives the sessions in turn, and the last one from then on. It ends with the
/// test.
struct Credentials {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Credentials {
    fn serve(host: &str, sessions: Vec<Session>) -> Credentials {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for (turn, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                seen.lock().unwrap().push(head.join("\n"));
                let session = &sessions[turn.min(sessions.len() - 1)];
                let document = serde_json::json!({
                    "AccessKeyId": session.id, "SecretAccessKey": session.key, "Token": session.token,
                    "Expiration": "2100-01-01T00:00:00Z",
                });
                let body = document.to_string();
                let length = body.len();
                write!(&stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            }
        });
        Credentials { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn keys(session: &Session) -> [(&str, &str); 3] {
    [
        ("AWS_ACCESS_KEY_ID", &session.id),
        ("AWS_SECRET_ACCESS_KEY", &session.key),
        ("AWS_SESSION_TOKEN", &session.token),
    ]
}

#[test]
fn captured_keys_serve_again_and_again() {
    let (s3, [session]) = S3::start();
    let said = s3.run("fnguard", &keys(&session));
    assert_eq!(said.line("first"), "kept");
    assert_eq!(said.line("again"), "kept");
    assert_eq!(said.line("expires"), "false");
    assert_eq!(said.line("session token"), format!("{} bytes", session.token.len()));
    assert_eq!(said.line("in the environment's memory"), "false");
    assert_eq!(said.line("key"), "[redacted:AWS_SECRET_ACCESS_KEY]");
    assert_eq!(said.line("token"), "[redacted:AWS_SESSION_TOKEN]");
    assert!(!said.holds(&session.key) && !said.holds(&session.token));
}

/// S3 really checks: what the tests above call success can fail.
#[test]
fn wrong_keys_are_refused() {
    let (s3, [session]) = S3::start();
    let wrong = Session { key: session.key.chars().rev().collect(), ..session };
    let said = s3.run("fnguard", &keys(&wrong));
    assert!(said.line("first").contains("SignatureDoesNotMatch"), "{}", said.line("first"));
}

#[test]
fn the_endpoint_is_asked_each_time_and_what_it_gives_is_redacted() {
    let (s3, [first, second]) = S3::start();
    let credentials = Credentials::serve("127.0.0.1", vec![first.clone(), second.clone()]);
    let uri = format!("http://{}/2021-04-23/credentials", credentials.address);
    let authorization = "Q7f9sKx2mW4vTz8rLpYc";
    let said = s3.run(
        "fnguard",
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", authorization)],
    );
    assert_eq!(said.line("first"), "kept");
    assert_eq!(said.line("again"), "kept");
    assert_eq!(said.line("expires"), "true");
    assert_eq!(said.line("key"), "[redacted:AWS_SECRET_ACCESS_KEY]");
    assert_eq!(said.line("token"), "[redacted:AWS_SESSION_TOKEN]");
    assert!(!said.holds(&second.key) && !said.holds(&second.token));
    let requests = credentials.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert!(request.starts_with("GET /2021-04-23/credentials HTTP/1.0\n"), "{request}");
        assert!(request.contains(&format!("\nAuthorization: {authorization}\n")), "{request}");
    }
}

#[test]
fn an_endpoint_that_the_policy_does_not_name_is_not_asked() {
    let (s3, [session]) = S3::start();
    // Loopback as well, but not the address that the policy allows.
    let credentials = Credentials::serve("127.0.0.2", vec![session]);
    let address = credentials.address.to_string();
    let uri = format!("http://{address}/");
    let said = s3.run(
        "fnguard",
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Q7f9sKx2mW4vTz8rLpYc"),
        ],
    );
    let hint = format!("[network] allow in guard.toml must name {address} exactly");
    assert!(said.line("first").contains(&hint), "{}", said.line("first"));
    assert!(said.records_of(&address) > 0, "{:?}", said.0);
    assert!(credentials.requests().is_empty());
}

#[test]
fn without_credentials_the_missing_variables_are_named() {
    let (s3, []) = S3::start();
    let said = s3.run("fnguard", &[]);
    assert!(
        said.line("first").contains("neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor"),
        "{:?}",
        said.0
    );
    let said = s3.run("fnguard", &[("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENGbPxRfiCY")]);
    assert!(said.line("again").contains("AWS_ACCESS_KEY_ID is neither captured nor set"), "{:?}", said.0);
}

/// Why the provider is there: the SDK's own chain finds nothing, and looks for more where it may not.
#[test]
fn the_default_chain_fails() {
    let (s3, [session]) = S3::start();
    let said = s3.run("chain", &keys(&session));
    let failure = said.line("chain");
    assert!(failure.starts_with("put failed: ") && failure.contains("credential"), "{failure}");
    assert!(said.records_of("169.254.169.254:80") > 0, "{:?}", said.0);
}
