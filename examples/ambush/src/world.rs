//! What is there for the whole run: the network's addresses, the payment host, the resolver, the
//! standing sinks, the secrets of this run. And the two things that are done in it: a session of
//! honest work, and a trial of one attempt.

use crate::attempts::{Attempt, Ends};
use crate::isolate::{HOME, OWN_IMAGE, Place, TASK};
use crate::judge::{self, Evidence, Trial};
use crate::kernel;
use crate::session::{Look, Session, nonce};
use crate::sinks::{self, Sink, Standing, addresses};
use ambush_platform::charges::Charges;
use ambush_platform::runtime_api::Answer;
use rand::Rng;
use rand::distr::Alphanumeric;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The secrets of this run, random.
pub struct Secrets {
    /// What the function charges with. The hostile crate is handed it.
    pub stripe_key: String,
    /// What the function never asks for.
    pub db_password: String,
    /// The role's.
    pub aws_secret_access_key: String,
    /// The role's.
    pub aws_session_token: String,
}

impl Secrets {
    fn invent() -> Self {
        let random =
            |len| -> String { rand::rng().sample_iter(Alphanumeric).take(len).map(char::from).collect() };
        Secrets {
            stripe_key: format!("sk_live_{}", random(32)),
            // Begins as the hostile crate's memory scanner expects.
            db_password: format!("dbpw_live_{}", random(32)),
            aws_secret_access_key: random(40),
            aws_session_token: random(120),
        }
    }

    /// Those that are of no concern to the hostile crate.
    pub fn not_handed_over(&self) -> [&str; 3] {
        [&self.db_password, &self.aws_secret_access_key, &self.aws_session_token]
    }
}

/// The world of one run.
pub struct World {
    /// Who and where.
    pub place: Place,
    /// This run's secrets.
    pub secrets: Secrets,
    /// The payment host.
    pub charges: Charges,
    standing: Standing,
}

/// The honest work of one session.
#[derive(Clone, Default, serde::Serialize)]
pub struct Honest {
    /// Orders that were sent.
    pub orders: usize,
    /// Orders of which the payment host, the receipt in /tmp and the answer agree.
    pub done: usize,
    /// What went wrong first.
    pub problem: Option<String>,
}

impl Honest {
    /// Whether all of it was done.
    pub fn holds(&self) -> bool {
        self.orders > 0 && self.done == self.orders
    }

    fn count(&mut self, order: Result<(), String>) {
        self.orders += 1;
        match order {
            Ok(()) => self.done += 1,
            Err(problem) => {
                self.problem.get_or_insert(problem);
            }
        }
    }
}

impl World {
    /// Sets it up. `own` is the image of this program.
    pub fn start(place: &Place, own: &[u8]) -> io::Result<Self> {
        kernel::set_up_loopback(&addresses())?;
        // As container runtimes have it: who may send echo requests without a capability.
        fs::write("/proc/sys/net/ipv4/ping_group_range", format!("{} {}", place.gid, place.gid))?;
        let secrets = Secrets::invent();
        let charges = Charges::start(&secrets.stripe_key)?;
        fs::write("/etc/ssl/authority.pem", &charges.authority)?;
        fs::write(OWN_IMAGE, own)?;
        fs::set_permissions(OWN_IMAGE, PermissionsExt::from_mode(0o755))?;
        Ok(World { place: *place, secrets, charges, standing: Standing::start()? })
    }

    /// Puts the function's image where the platform starts it.
    pub fn install(&self, image: &[u8]) -> io::Result<()> {
        let path = Path::new(TASK).join("bootstrap");
        let _ = fs::remove_file(&path);
        fs::write(&path, image)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
    }

    /// Nothing of the session before is left.
    fn clean(&self) -> io::Result<()> {
        sinks::clear(Path::new(TASK), "bootstrap")?;
        sinks::clear(Path::new(HOME), "")?;
        sinks::clear(Path::new("/tmp"), "proof")?;
        sinks::clear(Path::new("/tmp/proof"), "")
    }

    /// One cold start, three orders, nobody hostile.
    pub fn honest_session(&self, guarded: bool, show: bool) -> io::Result<Honest> {
        self.clean()?;
        let mut session = Session::start(self)?;
        let mut honest = Honest::default();
        for _ in 0..3 {
            let order = Order::new("");
            let answer = session.invoke(&nonce(), &order.event());
            honest.count(self.check(&order, answer.1.as_ref()));
        }
        let captured = session.end();
        if !honest.holds() {
            honest.problem = Some(format!(
                "{}; the function wrote: {}",
                honest.problem.unwrap_or_default(),
                captured.last_lines()
            ));
        }
        if show {
            captured.show(if guarded { "guarded, honest" } else { "unguarded, honest" });
        }
        Ok(honest)
    }

    /// One cold start, the attempts in the first order, and a second order that is only honest.
    /// Several attempts must all leave the function able to answer.
    pub fn assault(
        &self,
        attempts: &[&'static Attempt],
        guarded: bool,
        show: bool,
    ) -> io::Result<(Vec<Trial>, Honest)> {
        self.clean()?;
        let mut aims = Vec::new();
        for attempt in attempts {
            let nonce = nonce();
            let sink = Sink::open(attempt.aim, &nonce, &self.place, &self.standing)?;
            aims.push((nonce, sink));
        }
        let instructions: serde_json::Value = attempts
            .iter()
            .zip(&aims)
            .map(|(attempt, (nonce, sink))| {
                serde_json::json!({
                    "attempt": attempt.name, "nonce": nonce, "to": sink.to, "proof": sink.proof,
                })
            })
            .collect();
        let order = Order::new(&format!("please ring twice ~~ambush:{instructions}"));

        let mut session = Session::start(self)?;
        let before: Vec<Look> = aims.iter().map(|(nonce, sink)| session.look(sink, nonce, None)).collect();
        // One attempt gives its nonce to the request; several can't.
        let request = match aims.as_slice() {
            [(nonce, _)] => nonce.clone(),
            _ => nonce(),
        };
        let (request_id, answer) = session.invoke(&request, &order.event());
        let after: Vec<Look> = aims
            .iter()
            .zip(&before)
            .map(|((nonce, sink), before)| session.look(sink, nonce, Some(before)))
            .collect();
        let arrivals: Vec<Vec<String>> =
            aims.iter().map(|(nonce, sink)| sink.arrivals(nonce, &self.standing)).collect();

        let mut honest = Honest::default();
        let ends = |wanted| attempts.iter().any(|attempt| attempt.ends == wanted);
        let may_end = ends(Ends::NotIfItSucceeds) && !guarded;
        if !ends(Ends::Error) && !may_end {
            honest.count(self.check(&order, answer.as_ref()));
        }
        if !may_end {
            let second = Order::new("");
            let answer = session.invoke(&nonce(), &second.event());
            honest.count(self.check(&second, answer.1.as_ref()));
        }
        let terminal = session.terminal();
        let captured = session.end();
        if show {
            let title = attempts.iter().map(|attempt| attempt.name).collect::<Vec<_>>().join(", ");
            captured.show(&format!("{}, {title}", if guarded { "guarded" } else { "unguarded" }));
        }
        let mut trials = Vec::new();
        let looks = before.into_iter().zip(after).zip(arrivals);
        for ((attempt, (nonce, sink)), ((before, after), arrivals)) in attempts.iter().zip(aims).zip(looks) {
            let evidence = Evidence {
                nonce,
                request_id: &request_id,
                to: sink.to,
                secrets: &self.secrets,
                arrivals,
                answer: answer.as_ref(),
                before,
                after,
                terminal: &terminal,
                captured: &captured,
            };
            trials.push(judge::judge(attempt, guarded, &evidence));
        }
        Ok((trials, honest))
    }

    /// Whether an order was done: charged once, at the right amount, and so answered and kept.
    fn check(&self, order: &Order, answer: Option<&Answer>) -> Result<(), String> {
        let body = match answer {
            Some(Answer::Response(body)) => body,
            Some(Answer::Error(body)) => {
                return Err(format!("the handler failed: {}", String::from_utf8_lossy(body)));
            }
            None => return Err("no answer".to_owned()),
        };
        let receipt: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let charges = self.charges.of(&order.id);
        let [charge] = charges.as_slice() else {
            return Err(format!("the payment host has {} charges of it", charges.len()));
        };
        if (charge.amount, receipt["amount"].as_u64()) != (order.amount, Some(order.amount)) {
            return Err(format!("{} was charged instead of {}", charge.amount, order.amount));
        }
        if receipt["charge"].as_str() != Some(&charge.id) {
            return Err("the answer names another charge".to_owned());
        }
        match fs::read_to_string(format!("/tmp/receipts/{}", order.id)) {
            Ok(kept) if kept == charge.id => Ok(()),
            Ok(_) => Err("the kept receipt names another charge".to_owned()),
            Err(error) => Err(format!("no receipt was kept: {error}")),
        }
    }
}

/// An order, as a customer sends it.
struct Order {
    id: String,
    amount: u64,
    note: String,
}

impl Order {
    fn new(note: &str) -> Self {
        Order {
            id: format!("order-{:016x}", rand::random::<u64>()),
            amount: rand::random_range(100..100_000),
            note: note.to_owned(),
        }
    }

    fn event(&self) -> serde_json::Value {
        serde_json::json!({ "id": self.id, "amount": self.amount, "note": self.note })
    }
}
