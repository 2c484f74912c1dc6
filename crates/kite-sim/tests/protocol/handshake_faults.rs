//! Faults before a socket is open.

use std::time::Duration;

use kite_sim::{API_KEY, BodyDelivery, Fault, FaultKind, Refusal};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use crate::bare::{Bare, Door, TEXT};

const HOUR: Duration = Duration::from_secs(3_600);

/// Returns what a client reads of a refusal with this delivery.
async fn refused(door: Door, refusal: Refusal, body: BodyDelivery) -> String {
    let sim = door.quiet_sim().await;
    sim.at_next_handshake(API_KEY, Fault::Refuse { refusal: refusal.clone(), body });
    let mut client = Bare::ask(&sim, door).await;
    let (answer, end) = client.rest().await;
    assert_eq!(end, Ok(()), "{door:?}");
    assert_eq!(sim.stats().refused, [(refusal.status(), 1)].into());
    // The fault is used up.
    assert_eq!(Bare::status(&sim, door).await, 101);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_refusal_arrives_whole_by_every_delivery_that_ends() {
    for &door in Door::ALL {
        let refusal = Refusal::kite(429, "Too many requests").retry_after("3");
        let at_once = refused(door, refusal.clone(), BodyDelivery::AtOnce).await;
        assert!(at_once.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{at_once}");
        assert!(at_once.contains("\r\nRetry-After: 3\r\n"), "{at_once}");
        assert!(at_once.ends_with(refusal.body()));
        let delay = Duration::from_millis(1);
        assert_eq!(refused(door, refusal.clone(), BodyDelivery::Later(delay)).await, at_once);
        let chunked = refused(door, refusal, BodyDelivery::Chunked).await;
        assert!(chunked.contains("Transfer-Encoding: chunked"), "{chunked}");
        assert!(chunked.ends_with("\r\n0\r\n\r\n"), "{chunked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_body_arrives_separately_and_an_unfinished_one_stays_open() {
    let sim = Door::Memory.quiet_sim().await;
    let delay = Duration::from_secs(7);
    let body = BodyDelivery::Later(delay);
    sim.at_next_handshake(API_KEY, Fault::Refuse { refusal: Refusal::auth(), body });
    let mut client = Bare::ask(&sim, Door::Memory).await;
    client.head().await;
    let (begun, mut buffer) = (Instant::now(), [0; 512]);
    let length = client.stream.read(&mut buffer).await.unwrap();
    assert_eq!(begun.elapsed(), delay);
    assert_eq!(&buffer[..length], Refusal::auth().body().as_bytes());

    let body = BodyDelivery::Never;
    sim.at_next_handshake(API_KEY, Fault::Refuse { refusal: Refusal::auth(), body });
    let mut client = Bare::ask(&sim, Door::Memory).await;
    client.head().await;
    let half = Refusal::auth().body().len() / 2;
    client.stream.read_exact(&mut buffer[..half]).await.unwrap();
    assert!(timeout(HOUR, client.stream.read_u8()).await.is_err(), "the body continues");
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_is_answered_late_and_then_accepted_or_refused() {
    let sim = Door::Memory.quiet_sim().await;
    let delay = Duration::from_secs(9);
    for status in [101, 403] {
        sim.at_next_handshake(API_KEY, Fault::SlowHandshake { delay });
        let begun = Instant::now();
        assert_eq!(Bare::status(&sim, Door::Memory).await, status);
        assert_eq!(begun.elapsed(), delay);
        sim.revoke_token(API_KEY);
    }
    assert_eq!(sim.stats().faults, [(FaultKind::SlowHandshake, 2)].into());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_handshake_is_not_answered_for_hours() {
    let sim = Door::Memory.quiet_sim().await;
    for fault in [Fault::HangingHandshake, Fault::HangingTls] {
        sim.at_next_handshake(API_KEY, fault);
        let mut client = Bare::ask(&sim, Door::Memory).await;
        assert!(timeout(HOUR, client.stream.read_u8()).await.is_err(), "it was answered");
    }
    assert_eq!(sim.stats().connections_total, 0);
}

#[tokio::test]
async fn a_wrong_accept_key_is_sent_with_101() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        sim.at_next_handshake(API_KEY, Fault::WrongAcceptKey);
        let mut client = Bare::ask(&sim, door).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Sec-WebSocket-Accept: "));
        assert!(!head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert_eq!(sim.stats().connections_total, 0);
    }
}

#[tokio::test]
async fn a_handshake_can_be_reset_or_ended() {
    for &door in Door::ALL {
        let sim = door.quiet_sim().await;
        sim.at_next_handshake(API_KEY, Fault::HandshakeReset);
        let reset = Bare::ask(&sim, door).await.rest().await;
        assert_eq!(reset, (Vec::new(), door.reset_end()), "{door:?}");

        sim.at_next_handshake(API_KEY, Fault::HandshakeEnd);
        let (bytes, end) = Bare::ask(&sim, door).await.rest().await;
        assert_eq!((bytes.len(), end), (0, door.abrupt_end()), "{door:?}");
    }
}

#[tokio::test]
async fn without_tls_garbage_replaces_the_response() {
    let sim = Door::Tcp.quiet_sim().await;
    sim.at_next_handshake(API_KEY, Fault::GarbageTls);
    let (bytes, end) = Bare::ask(&sim, Door::Tcp).await.rest().await;
    assert!(!bytes.is_empty() && !bytes.starts_with(b"HTTP"));
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn each_handshake_takes_one_fault_in_order() {
    let sim = Door::Tcp.quiet_sim().await;
    for status in [502, 401, 503] {
        sim.at_next_handshake(API_KEY, Fault::refuse(Refusal::new(status, "<html>")));
    }
    sim.at_next_handshake("another", Fault::refuse(Refusal::new(599, "")));
    for status in [502, 401, 503, 101] {
        assert_eq!(Bare::status(&sim, Door::Tcp).await, status);
    }
    assert_eq!(sim.stats().faults, [(FaultKind::Refusal, 3)].into());
}

#[tokio::test]
async fn a_socket_fault_strikes_the_first_admitted_socket() {
    let sim = Door::Tcp.quiet_sim().await;
    sim.at_next_handshake(API_KEY, Fault::UnknownText);
    sim.refuse_with(Some(Refusal::new(500, "")));
    assert_eq!(Bare::status(&sim, Door::Tcp).await, 500);
    sim.refuse_with(None);
    let mut struck = Bare::connect(&sim, Door::Tcp).await;
    assert!(struck.text().await.contains("sim_unknown"));
    let mut whole = Bare::connect(&sim, Door::Tcp).await;
    sim.send_text("first of all");
    assert_eq!(whole.text().await, "first of all");
    struck.say(TEXT, b"{}").await;
}
