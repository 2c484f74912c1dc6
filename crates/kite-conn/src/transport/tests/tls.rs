//! Connections to TLS servers with generated certificates.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// A self-signed server certificate and the acceptor that presents it.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) acceptor: TlsAcceptor,
}

pub(super) fn identity(name: &str) -> Identity {
    identity_with(name, |_| {})
}

fn identity_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.clone())], key)
        .unwrap();
    Identity { certificate, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

/// Serves one connection: TLS, the handshake, one frame. Returns the client's request and whether
/// the TLS session was resumed.
pub(super) async fn serve(identity: &Identity, tcp: TcpStream) -> io::Result<(String, bool)> {
    let mut stream = identity.acceptor.accept(tcp).await?;
    let request = read_request(&mut stream).await;
    stream.write_all(switch(&request).as_bytes()).await?;
    stream.write_all(&[0x82, 0x01, 7]).await?;
    stream.flush().await?;
    let resumed = matches!(
        stream.get_ref().1.handshake_kind(),
        Some(tokio_rustls::rustls::HandshakeKind::Resumed)
    );
    // Until the client hangs up.
    let _ = stream.read(&mut [0; 64]).await;
    Ok((request, resumed))
}

pub(super) fn dialer(host: &str, port: u16, tls: Tls, proxy: Option<Proxy>) -> Dialer {
    let endpoint = Endpoint::parse(&format!("wss://{host}:{port}/?user_id=AB12")).unwrap();
    Dialer::new(endpoint, Transport { tls, proxy, ..options(LONG) })
}

/// Connects a client that trusts `tls` to a server that presents `identity`.
async fn connect(identity: &Identity, tls: Tls) -> Result<(), OpenError> {
    let (listener, address) = listen().await;
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        serve(identity, tcp).await
    };
    let client = async {
        let dialer = dialer("localhost", address.port(), tls, None);
        let mut socket = open_through(&dialer, &[address]).await?;
        assert!(matches!(socket.get_ref(), Stream::Tls(_)));
        assert_eq!(socket.next().await.unwrap(), Message::binary(vec![7]));
        Ok(())
    };
    tokio::join!(client, server).0
}

fn fault(error: OpenError) -> TlsFault {
    assert!(error.is_retryable() && !error.is_auth());
    match error {
        OpenError::Tls { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_given_root_is_trusted_alone_and_beside_others() {
    let identity = identity("localhost");
    connect(&identity, Tls::only([&identity.certificate]).unwrap()).await.unwrap();
    connect(&identity, Tls::web_pki().and([&identity.certificate]).unwrap()).await.unwrap();
    let given = Tls::only([&identity.certificate]).unwrap().build().await.unwrap();
    connect(&identity, Tls::client_config(given)).await.unwrap();
}

#[tokio::test]
async fn an_unknown_issuer_is_rejected() {
    let stranger = identity("localhost");
    assert_eq!(
        fault(connect(&stranger, Tls::default()).await.unwrap_err()),
        TlsFault::UnknownIssuer
    );
    // Another root, and one that only has the issuer's name.
    for (name, expected) in
        [("elsewhere", TlsFault::UnknownIssuer), ("localhost", TlsFault::Certificate)]
    {
        let other = Tls::only([identity(name).certificate]).unwrap();
        assert_eq!(fault(connect(&stranger, other).await.unwrap_err()), expected, "{name}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_rejected() {
    let identity = identity("ws.kite.trade");
    let error = connect(&identity, Tls::only([&identity.certificate]).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("failed: the certificate is for another name: "), "{error}");
    assert_eq!(fault(error), TlsFault::WrongName);
}

#[tokio::test]
async fn certificates_out_of_their_time_and_of_authorities_have_their_own_errors() {
    let in_year = |from, to| {
        identity_with("localhost", |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        })
    };
    let authority = identity_with("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    for (identity, expected) in [
        (in_year(2020, 2021), TlsFault::Expired),
        (in_year(2090, 2091), TlsFault::NotYetValid),
        (authority, TlsFault::AuthorityAsServer),
    ] {
        let trusting = Tls::only([&identity.certificate]).unwrap();
        assert_eq!(fault(connect(&identity, trusting).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn an_aborted_handshake_is_distinguished_from_a_server_without_tls() {
    for (answer, expected) in [
        (b"".as_slice(), TlsFault::Broken),
        (b"SSH-2.0-OpenSSH\r\n", TlsFault::NotTls),
        // A fatal alert, handshake_failure (RFC 8446, section 6).
        (&[21, 3, 3, 0, 2, 2, 40], TlsFault::Alert),
    ] {
        let (listener, address) = listen().await;
        let server = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            // A close with bytes unread would be a reset.
            assert!(tcp.read(&mut [0; 4096]).await.unwrap() > 0);
            tcp.write_all(answer).await.unwrap();
        };
        let dialer = dialer("localhost", address.port(), Tls::default(), None);
        let addresses = [address];
        let (opened, ()) = tokio::join!(open_through(&dialer, &addresses), server);
        assert_eq!(fault(opened.unwrap_err()), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn reconnects_resume_the_tls_session() {
    let identity = identity("localhost");
    let (listener, address) = listen().await;
    let tls = Tls::only([&identity.certificate]).unwrap();
    let dialer = dialer("localhost", address.port(), tls, None);
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            serve(&identity, tcp).await.unwrap()
        };
        let client = async {
            let mut socket = open_through(&dialer, &[address]).await.unwrap();
            // The ticket arrives before the first frame.
            socket.next().await.unwrap();
        };
        let ((), (request, was_resumed)) = tokio::join!(client, server);
        assert_eq!(
            header(&request, "Host"),
            Some(format!("localhost:{}", address.port()).as_str())
        );
        resumed.push(was_resumed);
    }
    assert_eq!(resumed, [false, true]);
}

#[tokio::test]
async fn a_whole_connection_opens_over_tls_by_its_name() {
    let identity = identity("localhost");
    let (listener, address) = listen().await;
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        serve(&identity, tcp).await
    };
    let tls = Tls::only([&identity.certificate]).unwrap();
    let dialer = dialer("localhost", address.port(), tls, None);
    let client = async { dialer.open(&credentials(), no_secrets()).await.map(drop) };
    let (opened, served) = tokio::join!(client, server);
    opened.unwrap();
    assert!(served.unwrap().0.starts_with("GET /?api_key="));
}
