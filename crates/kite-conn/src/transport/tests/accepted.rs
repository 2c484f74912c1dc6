//! What a program receives of a server's answer.

use std::sync::Mutex;

use super::*;

#[derive(Debug, Default)]
struct Answers(Mutex<Vec<Accepted>>);

impl OnAccepted for Answers {
    fn on_accepted(&self, accepted: Accepted) {
        self.0.lock().unwrap().push(accepted);
    }
}

#[tokio::test]
async fn the_address_and_the_headers_are_handed_out_without_the_token() {
    let (listener, address) = listen().await;
    let answers = Arc::new(Answers::default());
    let options = Transport { on_accepted: Some(Arc::clone(&answers) as Arc<_>), ..options(LONG) };
    let endpoint = Endpoint::parse(&format!("ws://localhost:{}", address.port())).unwrap();
    let server = async {
        // A refusal is none of it.
        let (mut refused, _) = listener.accept().await.unwrap();
        read_request(&mut refused).await;
        refused
            .write_all(b"HTTP/1.1 503 No\r\nServer: x\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        let request = read_request(&mut accepted).await;
        let line = request.lines().next().unwrap();
        let more = format!("\r\nX-Echo: {line}\r\nSERVER: a\tb\r\nserver: c\r\n\r\n");
        let answer = switch(&request).replace("\r\n\r\n", &more);
        accepted.write_all(answer.as_bytes()).await.unwrap();
    };
    let client = async {
        let credentials = credentials();
        assert!(open(&endpoint, &credentials, &options).await.is_err());
        open(&endpoint, &credentials, &options).await.unwrap()
    };
    let (_socket, ()) = in_time(client, server).await;
    let answers = answers.0.lock().unwrap();
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(answer.peer, address);
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers[..2], [("upgrade", "websocket"), ("connection", "Upgrade")]);
    assert_eq!(headers[2].0, "sec-websocket-accept");
    let (echo, echoed) = headers[3];
    assert!(echo == "x-echo" && echoed.contains("[redacted]"), "{echoed}");
    assert_eq!(headers[4..], [("server", "a\tb"), ("server", "c")]);
    let printed = format!("{answers:?}");
    assert!(!printed.contains(TOKEN), "{printed}");
}
