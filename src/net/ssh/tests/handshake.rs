//! Who comes to a session, and who is refused for what.

use russh::client::AuthResult;
use russh::{Disconnect, MethodKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::queue::Desks;
use super::*;

/// The last octets of a socket whose other end is closed.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = soon(socket.read_to_end(&mut rest)).await;
    rest
}

fn remaining(answer: AuthResult) -> Vec<MethodKind> {
    match answer {
        AuthResult::Failure {
            remaining_methods, ..
        } => remaining_methods.to_vec(),
        AuthResult::Success => unreachable!("logged in"),
    }
}

async fn leave(client: Handle<AnyHost>) {
    let _ = client
        .disconnect(Disconnect::ByApplication, "done", "en")
        .await;
}

#[tokio::test]
async fn a_password_opens_the_subsystem_too() {
    let host = Host::new();
    let (mut client, accepted) = host.client().await;
    let answered = client.authenticate_password("xr", "secret").await;
    assert!(answered.unwrap().success());
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "rpki-rtr").await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Success));
    let (_stream, identity) = soon(accepted).await.unwrap().unwrap();
    assert_eq!(identity, Identity::User("xr".into()));
}

#[tokio::test]
async fn none_is_never_accepted_and_says_at_once_what_is() {
    let host = Host::new();
    let (mut client, accepted) = host.client().await;
    let answered = client.authenticate_none("router").await.unwrap();
    let methods = [MethodKind::PublicKey, MethodKind::Password];
    assert_eq!(remaining(answered), methods);
    leave(client).await;
    assert_eq!(reason(accepted).await, Reason::NoMethod);
}

#[tokio::test]
async fn only_what_is_configured_is_offered_and_taken() {
    let mut host = Host::new();
    host.options.passwords = None;
    let (mut client, accepted) = host.client().await;
    let answered = client.authenticate_password("xr", "secret").await.unwrap();
    assert_eq!(remaining(answered), [MethodKind::PublicKey]);
    leave(client).await;
    assert_eq!(reason(accepted).await, Reason::NoMethod);
}

#[tokio::test]
async fn a_refusal_says_what_failed_last() {
    let host = Host::new();
    let (mut client, accepted) = host.client().await;
    client.authenticate_none("xr").await.unwrap();
    let stranger = PrivateKeyWithHashAlg::new(Arc::new(ed25519()), None);
    let answered = client.authenticate_publickey("xr", stranger).await;
    assert!(!answered.unwrap().success());
    let answered = client.authenticate_password("xr", "guess").await.unwrap();
    // Offered again: a router may try several.
    assert!(remaining(answered).contains(&MethodKind::Password));
    leave(client).await;
    assert_eq!(reason(accepted).await, Reason::Password);

    let (mut client, accepted) = host.client().await;
    let stranger = PrivateKeyWithHashAlg::new(Arc::new(ed25519()), None);
    client
        .authenticate_publickey("router", stranger)
        .await
        .unwrap();
    leave(client).await;
    let refused = soon(accepted).await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::UnknownKey);
    assert!(
        refused
            .detail()
            .contains("user `router`, ssh-ed25519 SHA256:"),
        "{refused}"
    );

    let (mut client, accepted) = host.client().await;
    client
        .authenticate_password("nobody", "secret")
        .await
        .unwrap();
    leave(client).await;
    assert_eq!(reason(accepted).await, Reason::UnknownUser);
}

#[tokio::test]
async fn names_that_would_break_a_log_are_nobodys() {
    let mut host = Host::new();
    host.options.keys = Some(Keys::Any);
    for name in ["a\nb".to_owned(), "x".repeat(129)] {
        let (mut client, accepted) = host.client().await;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&host.key), None);
        let answered = client.authenticate_publickey(name, key).await;
        assert!(!answered.unwrap().success());
        leave(client).await;
        assert_eq!(reason(accepted).await, Reason::UnknownUser);
    }
}

#[tokio::test]
async fn attempts_are_counted() {
    let host = Host::new();
    let (mut client, accepted) = host.client().await;
    client.authenticate_none("router").await.unwrap();
    let mut refusals = 0;
    for _ in 0..100 {
        let stranger = PrivateKeyWithHashAlg::new(Arc::new(ed25519()), None);
        match client.authenticate_publickey("router", stranger).await {
            Ok(answered) if !answered.success() && !client.is_closed() => refusals += 1,
            _ => break,
        }
    }
    assert_eq!(refusals, host.options.auth_attempts);
    assert_eq!(reason(accepted).await, Reason::UnknownKey);
}

#[tokio::test]
async fn an_rsa_key_logs_in_with_sha2_and_not_with_sha1() {
    let mut host = Host::new();
    let rsa = Arc::new(PrivateKey::from_openssh(keys::RSA).unwrap());
    let line = rsa.public_key().to_openssh().unwrap();
    let file = secret(host.folder.path(), "rsa_keys", &format!("{line}\n"));
    host.options.keys = Some(Keys::Authorized(vec![file]));
    let (mut client, accepted) = host.client().await;
    let sha1 = PrivateKeyWithHashAlg::new(Arc::clone(&rsa), None);
    let answered = client.authenticate_publickey("router", sha1).await;
    assert!(!answered.unwrap().success());
    leave(client).await;
    assert_eq!(reason(accepted).await, Reason::WeakKey);

    for hash in [HashAlg::Sha256, HashAlg::Sha512] {
        let (mut client, accepted) = host.client().await;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&rsa), Some(hash));
        let answered = soon(client.authenticate_publickey("router", key)).await;
        assert!(answered.unwrap().success());
        leave(client).await;
        assert_eq!(reason(accepted).await, Reason::Subsystem);
    }
}

#[tokio::test]
async fn everything_else_is_refused() {
    let host = Host::new();
    let (client, accepted) = host.router().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel
        .request_pty(true, "vt100", 80, 24, 0, 0, &[])
        .await
        .unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel.set_env(true, "LANG", "C").await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel
        .request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0)
        .await
        .unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel.agent_forward(true).await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel.request_shell(true).await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel.exec(true, "id").await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    for name in ["sftp", "rpki-rtr ", "RPKI-RTR", ""] {
        channel.request_subsystem(true, name).await.unwrap();
        assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    }

    assert!(
        client.channel_open_session().await.is_err(),
        "a second channel"
    );
    assert!(
        client
            .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
            .await
            .is_err()
    );
    assert!(
        client
            .channel_open_direct_streamlocal("/run/x")
            .await
            .is_err()
    );
    assert!(client.channel_open_x11("127.0.0.1", 1).await.is_err());
    assert!(client.tcpip_forward("127.0.0.1", 0).await.is_err());
    assert!(client.streamlocal_forward("/run/x").await.is_err());
    client.send_ping().await.unwrap();

    leave(client).await;
    let refused = soon(accepted).await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Subsystem);
    assert_eq!(refused.detail(), "user `router` asked for a second channel");
}

#[tokio::test]
async fn refused_requests_do_not_spoil_the_right_one() {
    let host = Host::new();
    let (client, accepted) = host.router().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel
        .request_pty(true, "vt100", 80, 24, 0, 0, &[])
        .await
        .unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
    channel.request_subsystem(true, "rpki-rtr").await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Success));
    let (_stream, _) = soon(accepted).await.unwrap().unwrap();
    channel.request_subsystem(true, "rpki-rtr").await.unwrap();
    assert!(matches!(answer(&mut channel).await, ChannelMsg::Failure));
}

#[tokio::test]
async fn a_channel_closed_without_the_subsystem_ends_the_connection() {
    let host = Host::new();
    let (client, accepted) = host.router().await;
    let channel = client.channel_open_session().await.unwrap();
    channel.close().await.unwrap();
    assert_eq!(reason(accepted).await, Reason::Subsystem);
    assert!(soon(client).await.is_err());
}

#[tokio::test]
async fn octets_before_the_subsystem_break_the_protocol() {
    let host = Host::new();
    let (client, accepted) = host.router().await;
    let channel = client.channel_open_session().await.unwrap();
    channel.data_bytes(QUERY.to_vec()).await.unwrap();
    assert_eq!(reason(accepted).await, Reason::Protocol);
}

#[tokio::test]
async fn each_key_exchange_that_is_offered_works_and_others_do_not() {
    let host = Host::new();
    for exchange in [kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521] {
        let (socket, accepted) = host.socket().await;
        let config = client::Config {
            preferred: preferred(&[exchange]),
            ..client::Config::default()
        };
        leave(connect(socket, config).await.unwrap()).await;
        assert_eq!(reason(accepted).await, Reason::Gone);
    }
    let (socket, accepted) = host.socket().await;
    let old = [kex::CURVE25519, kex::DH_G14_SHA256];
    let config = client::Config {
        preferred: preferred(&old),
        ..client::Config::default()
    };
    assert!(connect(socket, config).await.is_err());
    let refused = soon(accepted).await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Algorithms);
    assert!(
        refused
            .detail()
            .starts_with("no common key exchange, the peer has curve25519-sha256,"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_client_without_extensions_comes_in() {
    let host = Host::new();
    let mut config = config();
    config.preferred.kex = vec![kex::ECDH_SHA2_NISTP384].into();
    host.session(config).await;
}

#[tokio::test]
async fn modern_speaks_what_is_newest() {
    let mut host = Host::new();
    host.options.algorithms.preset = Preset::Modern;
    for exchange in [kex::MLKEM768X25519_SHA256, kex::CURVE25519] {
        let config = client::Config {
            preferred: preferred(&[exchange]),
            ..client::Config::default()
        };
        host.session(config).await;
    }
}

#[tokio::test]
async fn the_first_line_names_no_version() {
    let host = Host::new();
    let (mut socket, accepted) = host.socket().await;
    let mut line = [0; 16];
    socket.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"SSH-2.0-rutter\r\n");
    drop(socket);
    assert_eq!(reason(accepted).await, Reason::Gone);
}

#[tokio::test]
async fn what_is_not_ssh_breaks_the_protocol() {
    let host = Host::new();
    let hello = b"SSH-2.0-x\r\n".to_vec();
    for said in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [&hello[..], &[0xff; 64]].concat(),
        [
            &hello[..],
            &[0, 0, 0, 12, 10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat(),
        vec![b'x'; 70_000],
    ] {
        let (mut socket, accepted) = host.socket().await;
        // It may be gone before all is said.
        let _ = socket.write_all(&said).await;
        rest(&mut socket).await;
        assert_eq!(reason(accepted).await, Reason::Protocol);
    }
}

#[tokio::test]
async fn going_away_at_any_stage_is_noticed() {
    let host = Host::new();
    let (socket, accepted) = host.socket().await;
    drop(socket);
    assert_eq!(reason(accepted).await, Reason::Gone);
    let (mut socket, accepted) = host.socket().await;
    socket.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    drop(socket);
    assert_eq!(reason(accepted).await, Reason::Gone);
    let (client, accepted) = host.client().await;
    drop(client);
    assert_eq!(reason(accepted).await, Reason::Gone);
    let (client, accepted) = host.router().await;
    drop(client);
    assert_eq!(reason(accepted).await, Reason::Subsystem);
}

#[tokio::test]
async fn a_handshake_that_is_given_up_is_closed_at_once() {
    let host = Host::new();
    // Before the other side has said anything.
    let (mut socket, accepted) = host.socket().await;
    let mut line = [0; 16];
    socket.read_exact(&mut line).await.unwrap();
    accepted.abort();
    rest(&mut socket).await;
    // In the middle of the key exchange, which russh runs in a task of its own.
    let (mut socket, accepted) = host.socket().await;
    socket.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let mut kexinit = [0; 64];
    socket.read_exact(&mut kexinit).await.unwrap();
    accepted.abort();
    rest(&mut socket).await;
    // Logged in.
    let (client, accepted) = host.router().await;
    accepted.abort();
    assert!(soon(client).await.is_err());
}

#[tokio::test]
async fn keys_are_exchanged_once_before_the_login() {
    let mut host = Host::new();
    host.options.auth_attempts = 1000;
    let (mut client, accepted) = host.client().await;
    client.authenticate_none("router").await.unwrap();
    client.rekey_soon().await.unwrap();
    let refused = soon(accepted).await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Protocol);
    assert!(refused.detail().contains("before the login"), "{refused}");
}

#[tokio::test]
async fn a_heavy_exchange_waits_for_its_desk_and_others_do_not() {
    let host = Host::new();
    let desk = &Desks::shared().heavy;
    let turn = Arc::clone(desk).turn("192.0.2.1".parse().unwrap()).await;
    let (socket, _accepted) = host.socket().await;
    let config = client::Config {
        preferred: preferred(&[kex::DH_G16_SHA512]),
        ..client::Config::default()
    };
    let heavy = tokio::spawn(connect(socket, config));
    let waits = async {
        while desk.waiting() == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(waits).await;
    let (_light, _accepted) = host.client().await;
    assert!(!heavy.is_finished());
    assert_eq!(desk.waiting(), 1);
    drop(turn);
    soon(heavy).await.unwrap().unwrap();
}
