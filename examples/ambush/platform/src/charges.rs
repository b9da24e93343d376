//! The payment host: HTTPS at the name and port that the policy allows. It keeps its own books, and
//! they, not the function's answer, say whether an order was charged.

use crate::http::{self, Request, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// The host's name, as in the function's `guard.toml`.
pub const NAME: &str = "api.stripe.test";
/// Its address.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

/// A line in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The order.
    pub order: String,
    /// In cents.
    pub amount: u64,
    /// What the host calls it.
    pub id: String,
}

/// The host.
#[derive(Debug)]
pub struct Charges {
    books: Arc<Mutex<Vec<Charge>>>,
    /// The certificate of the authority that vouches for it, in PEM.
    pub authority: String,
}

impl Charges {
    /// Starts it. `key` is what a caller has to show.
    ///
    /// # Errors
    ///
    /// Where its address can't be listened on, or no certificate can be made.
    pub fn start(key: &str) -> io::Result<Self> {
        let (config, authority) = tls()?;
        let listener = TcpListener::bind(SocketAddr::from((ADDRESS, 443)))?;
        let books = Arc::<Mutex<Vec<Charge>>>::default();
        let (kept, expected) = (Arc::clone(&books), format!("Bearer {key}"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, books, expected) = (Arc::clone(&config), Arc::clone(&kept), expected.clone());
                std::thread::spawn(move || -> io::Result<()> {
                    let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
                    let stream = rustls::StreamOwned::new(connection, stream);
                    http::serve(stream, |request| Some(charge(&request, &expected, &books)))
                });
            }
        });
        Ok(Charges { books, authority })
    }

    /// What was charged for an order; more than one line means twice.
    pub fn of(&self, order: &str) -> Vec<Charge> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.iter().filter(|charge| charge.order == order).cloned().collect()
    }
}

fn charge(request: &Request, expected: &str, books: &Mutex<Vec<Charge>>) -> Response {
    let refuse = |status, why| Response::json(status, &serde_json::json!({ "error": why }));
    if (request.method.as_str(), request.target.as_str()) != ("POST", "/v1/charges") {
        return refuse(404, "no such thing here");
    }
    if request.header("authorization") != Some(expected) {
        return refuse(401, "not the key");
    }
    let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (Some(order), Some(amount)) = (asked["order"].as_str(), asked["amount"].as_u64()) else {
        return refuse(400, "no order or no amount");
    };
    let id = format!("ch_{:016x}", rand::random::<u64>());
    let line = Charge { order: order.to_owned(), amount, id: id.clone() };
    books.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    Response::json(200, &serde_json::json!({ "id": id, "amount": amount }))
}

/// A certificate for the name, from an authority that exists for this run only.
fn tls() -> io::Result<(Arc<rustls::ServerConfig>, String)> {
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    let mut parameters = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).map_err(io::Error::other)?;
    let issuer = Issuer::new(parameters, authority_key);

    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = CertificateParams::new([NAME.to_owned()])
        .and_then(|parameters| parameters.signed_by(&key, &issuer))
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(io::Error::other)?;
    Ok((Arc::new(config), authority.pem()))
}
