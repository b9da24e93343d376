//! Every signature that `service_fn` takes, and some that it takes through a closure, compiles under
//! `#[guarded]` as it does without, in a crate that forbids unsafe code and allows no warning; and the
//! guarded function answers as the plain one does.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]
// What pedantic clippy says of the handlers themselves, which are as people write them.
#![allow(
    clippy::unused_async,
    clippy::needless_pass_by_value,
    clippy::missing_errors_doc,
    clippy::must_use_candidate
)]

use fnguard::guarded;
use futures::future::BoxFuture;
use lambda_http::{Body, IntoResponse, Request, RequestExt, Response};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, Service, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Deserialize)]
struct Order {
    amount: u32,
}

#[derive(Debug, Serialize, PartialEq)]
struct Receipt {
    amount: u32,
}

fn event<T>(payload: T) -> LambdaEvent<T> {
    let mut context = Context::default();
    "8476a536-e9f4-11e8-9739-2dfe598c3fcd".clone_into(&mut context.request_id);
    LambdaEvent::new(payload, context)
}

fn order() -> LambdaEvent<Order> {
    event(Order { amount: 7 })
}

/// Calls a handler as `lambda_runtime` does.
async fn serve<H, F, A, R, E>(handler: H, payload: A) -> Result<R, E>
where
    H: FnMut(LambdaEvent<A>) -> F,
    F: Future<Output = Result<R, E>>,
{
    let mut service = service_fn(handler);
    Service::call(&mut service, event(payload)).await
}

#[guarded]
async fn plain(event: LambdaEvent<Order>) -> Result<Receipt, Error> {
    Ok(Receipt { amount: event.payload.amount })
}

#[guarded]
async fn value(event: LambdaEvent<Value>) -> Result<Value, Error> {
    Ok(json!({ "echo": event.payload }))
}

#[guarded]
async fn mutable(mut event: lambda_runtime::LambdaEvent<Order>) -> Result<Receipt, Error> {
    event.payload.amount += 1;
    Ok(Receipt { amount: event.payload.amount })
}

#[guarded]
async fn destructured(LambdaEvent { payload, context }: LambdaEvent<Order>) -> Result<(u32, String), Error> {
    Ok((payload.amount, context.request_id))
}

#[guarded]
async fn nested_pattern(
    LambdaEvent { payload: Order { mut amount }, .. }: LambdaEvent<Order>,
) -> Result<u32, Error> {
    amount += 2;
    Ok(amount)
}

#[guarded]
async fn bound(event @ LambdaEvent { .. }: LambdaEvent<Order>) -> Result<u32, Error> {
    Ok(event.payload.amount)
}

#[guarded]
async fn ignored(_: LambdaEvent<Order>) -> Result<(), Error> {
    Ok(())
}

#[guarded]
async fn underscored(_event: LambdaEvent<Order>) -> Result<(), Error> {
    Ok(())
}

#[guarded]
async fn nothing() -> Result<(), Error> {
    Ok(())
}

#[guarded]
async fn no_result(event: LambdaEvent<u32>) -> u32 {
    event.payload
}

#[guarded]
async fn no_output(_count: &AtomicU32) {}

#[guarded]
async fn generic<T, R>(event: LambdaEvent<T>) -> Result<R, Error>
where
    T: Into<R> + Send,
    R: Serialize,
{
    Ok(event.payload.into())
}

#[guarded]
async fn constant_generic<const N: usize>(event: LambdaEvent<[u32; N]>) -> Result<usize, Error> {
    Ok(event.payload.len() + N)
}

#[guarded]
async fn generic_error<E>(event: LambdaEvent<E>) -> Result<(), E>
where
    E: Into<Diagnostic> + Debug,
{
    Err(event.payload)
}

#[guarded]
async fn opaque_argument(state: &impl Display, event: LambdaEvent<Order>) -> Result<String, Error> {
    Ok(format!("{state}{}", event.payload.amount))
}

#[guarded]
async fn opaque_output(event: LambdaEvent<Order>) -> Result<impl Serialize, Error> {
    if event.payload.amount == 0 {
        return Err("nothing ordered".into());
    }
    Ok(Receipt { amount: event.payload.amount })
}

#[guarded]
async fn opaque_integer(_: LambdaEvent<Order>) -> Result<impl Serialize + PartialEq<i32> + Debug, Error> {
    Ok(7)
}

#[guarded]
async fn borrowed<'a>(state: &'a str, event: &LambdaEvent<Order>) -> Result<&'a str, Error> {
    assert_eq!(event.payload.amount, 7);
    Ok(state)
}

#[guarded]
async fn dynamic(event: LambdaEvent<Order>) -> Result<Box<dyn Display + Send>, Error> {
    if event.payload.amount == 7 { Ok(Box::new("seven")) } else { Ok(Box::new(event.payload.amount)) }
}

#[guarded]
async fn questioned(event: LambdaEvent<Value>) -> Result<u32, Error> {
    let amount: u32 = event.payload["amount"].as_str().ok_or("no amount")?.parse()?;
    let doubled = async { amount.checked_mul(2).ok_or("too much") }.await?;
    Ok(doubled)
}

#[guarded]
async fn not_sendable(_: LambdaEvent<Order>) -> Result<(), Box<dyn std::error::Error>> {
    Err("stays here".into())
}

#[guarded]
async fn text_error(_: LambdaEvent<Order>) -> Result<(), String> {
    Err("a text".to_owned())
}

#[guarded]
async fn str_error(_: LambdaEvent<Order>) -> Result<(), &'static str> {
    Err("a text")
}

#[guarded]
async fn io_error(_: LambdaEvent<Order>) -> Result<(), std::io::Error> {
    Err(std::io::ErrorKind::NotFound.into())
}

#[guarded]
async fn infallible(_: LambdaEvent<Order>) -> Result<u32, std::convert::Infallible> {
    Ok(1)
}

#[guarded]
async fn anyhow_error(_: LambdaEvent<Order>) -> anyhow::Result<()> {
    Err(anyhow::anyhow!("inner").context("outer"))
}

#[guarded]
async fn diagnostic(_: LambdaEvent<Order>) -> Result<(), Diagnostic> {
    Err(Diagnostic { error_type: "Own".to_owned(), error_message: "of our own".to_owned() })
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("payment refused")]
    Refused(#[source] std::io::Error),
}

#[guarded]
async fn own_error(_: LambdaEvent<Order>) -> Result<(), Failure> {
    Err(Failure::Refused(std::io::ErrorKind::NotFound.into()))
}

/// An error that does not print itself at all.
struct Silent;

#[guarded]
async fn silent_error(_: LambdaEvent<Order>) -> Result<(), Silent> {
    Err(Silent)
}

#[guarded]
fn future(event: LambdaEvent<Order>) -> impl Future<Output = Result<u32, Error>> + Send {
    let amount = event.payload.amount;
    async move { Ok(amount) }
}

#[guarded]
fn ready(event: LambdaEvent<Order>) -> impl Future<Output = Result<u32, Error>> {
    std::future::ready(Ok(event.payload.amount))
}

#[guarded]
fn boxed(event: LambdaEvent<Order>) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    Box::pin(async move { Ok(event.payload.amount) })
}

#[guarded]
fn boxed_by_name<'a>(state: &'a AtomicU32, event: LambdaEvent<Order>) -> BoxFuture<'a, Result<u32, Error>> {
    Box::pin(async move { Ok(state.load(Ordering::Relaxed) + event.payload.amount) })
}

#[guarded]
fn blocking(event: LambdaEvent<Order>) -> Result<u32, Error> {
    if event.payload.amount == 0 {
        return Err("nothing ordered".into());
    }
    Ok(event.payload.amount)
}

#[guarded]
fn blocking_opaque(event: LambdaEvent<Order>) -> Result<impl Serialize + Debug, Error> {
    Ok(event.payload.amount)
}

#[guarded]
fn blocking_borrowed<'a>(state: &'a mut [u32], event: &LambdaEvent<usize>) -> &'a mut u32 {
    &mut state[event.payload]
}

#[guarded]
async fn http(request: Request) -> Result<impl IntoResponse, lambda_http::Error> {
    Ok(Response::builder().status(200).body(Body::from(request.uri().path()))?)
}

#[guarded]
async fn http_by_path(request: lambda_http::Request) -> Result<Response<Body>, lambda_http::Error> {
    let who = request.query_string_parameters().first("who").unwrap_or("nobody").to_owned();
    Ok(Response::new(who.into()))
}

#[guarded]
async fn http_borrowed(request: &mut &Request) -> Result<String, Error> {
    Ok(request.uri().path().to_owned())
}

#[guarded(policy = "guard.toml")]
async fn policy_by_path(event: LambdaEvent<Order>) -> Result<u32, Error> {
    Ok(event.payload.amount)
}

#[guarded(policy = inline "version = 1\n[network]\nallow = [\"api.stripe.com:443\"]\n")]
async fn policy_inline(event: LambdaEvent<Order>) -> Result<u32, Error> {
    Ok(event.payload.amount)
}

#[guarded(
    policy = inline r#"
        version = 1
        [files]
        write = ["/tmp"]
    "#,
)]
async fn policy_inline_raw(event: LambdaEvent<Order>) -> Result<u32, Error> {
    Ok(event.payload.amount)
}

/// A request of a server of one's own is none of `lambda_http`'s.
mod other {
    pub struct Request(pub u32);
}

mod with_other_request {
    use super::other::Request;
    use super::{Error, guarded};

    #[guarded]
    pub async fn handler(request: Request) -> Result<u32, Error> {
        Ok(request.0)
    }
}

struct Shop {
    sold: AtomicU32,
}

impl Shop {
    /// Names that the expansion uses must not meet the handler's own.
    #[guarded]
    async fn sell(&self, event: LambdaEvent<Order>) -> Result<u32, Error> {
        #![allow(clippy::items_after_statements)]
        trait Texts {
            fn texts(&self) -> u32;
            fn rebuild(&self) -> u32 {
                1
            }
            fn way(&self) -> u32 {
                1
            }
        }
        impl Texts for u32 {
            fn texts(&self) -> u32 {
                *self
            }
        }
        let __fnguard_future = event.payload.amount.texts() * event.payload.amount.rebuild() * 1.way();
        Ok(self.sold.fetch_add(__fnguard_future, Ordering::Relaxed) + __fnguard_future)
    }

    #[guarded]
    async fn close(self: Arc<Self>, _event: LambdaEvent<()>) -> Result<u32, Error> {
        Ok(self.sold.load(Ordering::Relaxed))
    }

    #[guarded]
    async fn take(self) -> Result<u32, Error> {
        Ok(self.sold.into_inner())
    }

    #[guarded]
    async fn reset(&mut self, LambdaEvent { payload, .. }: LambdaEvent<u32>) -> Result<&mut Self, Error> {
        *self.sold.get_mut() = payload;
        Ok(self)
    }

    #[guarded]
    pub(crate) async fn of(event: LambdaEvent<Order>) -> Result<Self, Error> {
        Ok(Self { sold: AtomicU32::new(event.payload.amount) })
    }
}

trait Handle {
    fn handle(&self, event: LambdaEvent<Order>) -> impl Future<Output = Result<u32, Error>> + Send;
}

impl Handle for Shop {
    #[guarded]
    async fn handle(&self, event: LambdaEvent<Order>) -> Result<u32, Error> {
        Ok(event.payload.amount)
    }
}

#[async_trait::async_trait]
trait HandleBoxed {
    async fn handle_boxed(&self, event: LambdaEvent<Order>) -> Result<u32, Error>;
}

#[async_trait::async_trait]
impl HandleBoxed for Shop {
    #[guarded]
    async fn handle_boxed(&self, event: LambdaEvent<Order>) -> Result<u32, Error> {
        Ok(event.payload.amount + self.sold.load(Ordering::Relaxed))
    }
}

macro_rules! handler_of {
    ($name:ident, $event:ty, $output:ty, $body:expr) => {
        #[guarded]
        async fn $name(event: LambdaEvent<$event>) -> $output {
            ($body)(event)
        }
    };
}

handler_of!(by_macro, Order, Result<u32, Error>, |event: LambdaEvent<Order>| Ok(event.payload.amount));

macro_rules! handler_of_any {
    ($name:ident($event:ident: $type:ty) $body:block) => {
        #[guarded]
        async fn $name($event: $type) -> Result<u32, Error> $body
    };
}

handler_of_any!(by_other_macro(event: LambdaEvent<Order>) { Ok(event.payload.amount) });

mod entry {
    use super::{Error, guarded};

    /// Above.
    pub mod above {
        use super::{Error, guarded};

        #[guarded]
        #[tokio::main(flavor = "current_thread")]
        pub async fn main() -> Result<(), Error> {
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    /// Below.
    pub mod below {
        use super::{Error, guarded};

        #[tokio::main(flavor = "current_thread")]
        #[guarded]
        pub async fn main() -> Result<(), Error> {
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    #[guarded]
    pub fn main() {}
}

/// Whether a future can be sent between threads, as `run_concurrent` asks.
fn sendable<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn handlers_answer_as_without_the_attribute() -> Result<(), Error> {
    assert_eq!(serve(plain, Order { amount: 7 }).await?.amount, 7);
    assert_eq!(serve(value, json!(1)).await?, json!({ "echo": 1 }));
    assert_eq!(serve(mutable, Order { amount: 7 }).await?.amount, 8);
    assert_eq!(serve(destructured, Order { amount: 7 }).await?.1, order().context.request_id);
    assert_eq!(serve(nested_pattern, Order { amount: 7 }).await?, 9);
    assert_eq!(serve(bound, Order { amount: 7 }).await?, 7);
    serve(ignored, Order { amount: 7 }).await?;
    serve(underscored, Order { amount: 7 }).await?;
    serve(|_: LambdaEvent<()>| nothing(), ()).await?;
    assert_eq!(no_result(event(3)).await, 3);
    no_output(&AtomicU32::new(0)).await;
    assert_eq!(serve(generic::<u8, u32>, 7).await?, 7);
    assert_eq!(serve(constant_generic::<2>, [0; 2]).await?, 4);
    assert_eq!(serve(generic_error::<String>, "e".to_owned()).await, Err("e".to_owned()));
    assert_eq!(serve(|event| async { opaque_argument(&"n", event).await }, Order { amount: 7 }).await?, "n7");
    assert_eq!(
        serde_json::to_value(serve(opaque_output, Order { amount: 7 }).await?)?,
        json!({ "amount": 7 })
    );
    assert_eq!(serve(opaque_integer, Order { amount: 7 }).await?, 7);
    assert_eq!(borrowed("state", &order()).await?, "state");
    assert_eq!(serve(dynamic, Order { amount: 7 }).await?.to_string(), "seven");
    assert_eq!(serve(questioned, json!({ "amount": "4" })).await?, 8);
    assert!(serve(questioned, json!({ "amount": "x" })).await.unwrap_err().is::<std::num::ParseIntError>());
    assert_eq!(serve(future, Order { amount: 7 }).await?, 7);
    assert_eq!(serve(ready, Order { amount: 7 }).await?, 7);
    assert_eq!(serve(boxed, Order { amount: 7 }).await?, 7);
    assert_eq!(boxed_by_name(&AtomicU32::new(1), order()).await?, 8);
    assert_eq!(blocking(order())?, 7);
    assert_eq!(blocking(event(Order { amount: 0 })).unwrap_err().to_string(), "nothing ordered");
    assert_eq!(format!("{:?}", blocking_opaque(order())?), "7");
    let mut state = [1, 2];
    *blocking_borrowed(&mut state, &event(1)) += 1;
    assert_eq!(state, [1, 3]);
    assert_eq!(serve(by_macro, Order { amount: 7 }).await?, 7);
    assert_eq!(serve(by_other_macro, Order { amount: 7 }).await?, 7);
    for amount in [
        serve(policy_by_path, Order { amount: 7 }).await?,
        serve(policy_inline, Order { amount: 7 }).await?,
        serve(policy_inline_raw, Order { amount: 7 }).await?,
    ] {
        assert_eq!(amount, 7);
    }
    Ok(())
}

#[tokio::test]
async fn errors_without_a_secret_arrive_as_they_are() {
    assert_eq!(serve(not_sendable, Order { amount: 7 }).await.unwrap_err().to_string(), "stays here");
    assert_eq!(serve(text_error, Order { amount: 7 }).await.unwrap_err(), "a text");
    assert_eq!(serve(str_error, Order { amount: 7 }).await.unwrap_err(), "a text");
    let error = serve(io_error, Order { amount: 7 }).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(serve(infallible, Order { amount: 7 }).await, Ok(1));
    assert_eq!(format!("{:#}", serve(anyhow_error, Order { amount: 7 }).await.unwrap_err()), "outer: inner");
    assert_eq!(serve(diagnostic, Order { amount: 7 }).await.unwrap_err().error_message, "of our own");
    assert!(matches!(serve(own_error, Order { amount: 7 }).await, Err(Failure::Refused(_))));
    assert!(matches!(serve(silent_error, Order { amount: 7 }).await, Err(Silent)));
}

#[tokio::test]
async fn requests_of_lambda_http_and_others_are_taken() -> Result<(), Error> {
    let request = Request::new(Body::Empty);
    let response = http(request).await?.into_response().await;
    assert_eq!(response.body().as_ref(), b"/");
    let request = Request::new(Body::Empty)
        .with_query_string_parameters(HashMap::from([("who".to_owned(), "me".to_owned())]));
    assert_eq!(http_by_path(request).await?.body().as_ref(), b"me");
    let request = Request::new(Body::Empty).with_lambda_context(order().context);
    assert_eq!(http_borrowed(&mut &request).await?, "/");
    assert_eq!(with_other_request::handler(other::Request(3)).await?, 3);
    Ok(())
}

#[tokio::test]
async fn methods_are_guarded() -> Result<(), Error> {
    let mut shop = Shop::of(order()).await?;
    assert_eq!(shop.sell(order()).await?, 14);
    assert_eq!(shop.handle(order()).await?, 7);
    assert_eq!(shop.handle_boxed(order()).await?, 21);
    shop.reset(event(3)).await?;
    let shop = Arc::new(shop);
    assert_eq!(serve(|event| shop.sell(event), Order { amount: 7 }).await?, 10);
    assert_eq!(Arc::clone(&shop).close(event(())).await?, 10);
    assert_eq!(Arc::into_inner(shop).ok_or("still shared")?.take().await?, 10);
    Ok(())
}

#[test]
fn what_could_be_sent_still_can() {
    drop(sendable(plain(order())));
    drop(sendable(not_sendable(order())));
    drop(sendable(own_error(order())));
    drop(sendable(generic::<u8, u32>(event(1))));
    drop(sendable(future(order())));
    drop(sendable(http(Request::new(Body::Empty))));
}

#[test]
fn a_guarded_main_runs() -> Result<(), Error> {
    entry::main();
    entry::above::main()?;
    entry::below::main()
}

#[tokio::test]
async fn a_panic_stays_a_panic() {
    #[guarded]
    async fn panics(_: LambdaEvent<Order>) -> Result<(), Error> {
        panic!("on purpose")
    }
    let end = tokio::spawn(panics(order())).await.unwrap_err();
    assert_eq!(end.into_panic().downcast_ref(), Some(&"on purpose"));
}
