//! Neither the account's credentials nor a client's are in the log, an error or `Debug` output.

use std::time::Duration;

use kite_manager::Credentials;
use kite_relay::{Relay, RelayClient};

use crate::{Log, ask, started};

const SECRETS: [&str; 4] =
    ["upstream-secret-token", "client-secret-token", "guessed-secret-token", "client-api-key"];

#[tokio::test]
async fn no_credential_is_logged_or_shown() {
    let (log, _logging) = Log::of_this_thread(tracing::Level::TRACE);
    let (_sim, manager) = started(SECRETS[0]).await;
    let client = RelayClient::new("one", Credentials::new(SECRETS[3], SECRETS[1]));
    let builder = Relay::builder().listen("127.0.0.1:0".parse().unwrap()).client(client);
    let mut shown = format!("{builder:?}");
    let relay = builder.start(&manager).await.unwrap();

    let (_socket, accepted) = ask(&relay, SECRETS[3], SECRETS[1]).await;
    let (refusal, refused) = ask(&relay, SECRETS[3], SECRETS[2]).await;
    drop(refusal);
    while !log.text().contains("client refused") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((&accepted[..], &refused[..]), ("HTTP/1.1 101", "HTTP/1.1 403"));
    let same = RelayClient::new("two", Credentials::new(SECRETS[3], SECRETS[2]));
    let twice = [same.clone(), RelayClient::new("one", Credentials::new(SECRETS[3], SECRETS[1]))];
    let error = relay.set_clients(twice).unwrap_err();
    let invalid = RelayClient::new("two", Credentials::new("a b", SECRETS[1]));
    let invalid = relay.set_clients([invalid]).unwrap_err();
    shown += &format!("{error} {error:?} {invalid} {invalid:?} {same:?}");
    shown += &format!("{relay:?} {:?}", relay.stats());
    shown += &format!("{:?}", relay.stop(Duration::ZERO).await);
    manager.stop().await;
    shown += &log.text();
    assert!(shown.contains("relay stopped"), "{shown}");
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
