//! Octets in both directions, whatever windows, packets and keys do.

use russh::{Limits, SshId};

use super::*;
use crate::net::{Acceptor, Peer, Transport};

#[tokio::test]
async fn octets_flow_in_both_directions() {
    let host = Host::new();
    let Session {
        mut stream,
        mut channel,
        client: _client,
    } = host.session(config()).await;
    let mut buffer = [0; 64];
    assert_eq!(stream.try_recv(&mut buffer).unwrap(), None);
    // RFC 4254 §5.2: a query may come in several packets.
    for part in QUERY.chunks(3) {
        channel.data_bytes(part.to_vec()).await.unwrap();
    }
    assert_eq!(receive(&mut stream, 8).await, QUERY);
    let octets = image(100_000);
    let reader = tokio::spawn(async move { read(&mut channel, 100_000).await });
    send_all(&mut stream, octets.clone()).await;
    assert!(reader.await.unwrap() == octets);
    assert_eq!(stream.try_recv(&mut buffer).unwrap(), None);
    assert_eq!(stream.send(&mut Bytes::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_has_no_socket_to_lend() {
    let host = Host::new();
    assert!(host.session(config()).await.stream.into_idle().is_none());
}

async fn full_set(acceptor: SshAcceptor, host: &Host, config: client::Config, octets: usize) {
    let mut session = host.session_with(acceptor, config).await;
    let octets = image(octets);
    let wanted = octets.clone();
    let reader = tokio::spawn(async move {
        let got = read(&mut session.channel, wanted.len()).await;
        assert!(got == wanted);
    });
    send_all(&mut session.stream, octets).await;
    reader.await.unwrap();
}

#[tokio::test]
async fn small_windows_and_packets_are_respected() {
    let host = Host::new();
    let config = client::Config {
        window_size: 1024,
        maximum_packet_size: 256,
        ..config()
    };
    full_set(host.acceptor(), &host, config, 300_000).await;
}

/// BIRD before 2.16 leaves in libssh what one read of the socket brings beyond its own buffer.
#[tokio::test]
async fn libssh_gets_packets_that_bird_can_follow() {
    let libssh = client::Config {
        client_id: SshId::Standard("SSH-2.0-libssh_0.10.6".into()),
        ..config()
    };
    for (config, wanted) in [(libssh, 256), (config(), 32 * 1024)] {
        let host = Host::new();
        let mut session = host.session(config).await;
        let reader = tokio::spawn(async move {
            let (mut got, mut longest) = (0, 0);
            while got < 100_000 {
                if let ChannelMsg::Data { data } = answer(&mut session.channel).await {
                    got += data.len();
                    longest = longest.max(data.len());
                }
            }
            longest
        });
        send_all(&mut session.stream, image(100_000)).await;
        assert_eq!(reader.await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn tiny_packets_are_refused() {
    let host = Host::new();
    let (socket, accepted) = meet(host.acceptor()).await;
    let config = client::Config {
        maximum_packet_size: 127,
        ..config()
    };
    let mut client = connect(socket, config).await.unwrap();
    host.log_in(&mut client).await;
    assert!(soon(client.channel_open_session()).await.is_err());
    drop(client);
    assert_eq!(reason(accepted).await, Reason::Subsystem);
}

#[tokio::test]
async fn a_window_of_2_gib_is_respected() {
    let host = Host::new();
    let config = client::Config {
        window_size: 1 << 31,
        ..config()
    };
    full_set(host.acceptor(), &host, config, 4 << 20).await;
}

#[tokio::test]
async fn keys_change_in_the_middle_of_a_transfer_from_either_side() {
    let host = Host::new();
    let often = 64 * 1024;
    let ours = SshAcceptor::load_with(&host.options, often).unwrap();
    full_set(ours, &host, config(), 1 << 20).await;
    let config = client::Config {
        limits: Limits::new(often, often, Duration::from_secs(3600)),
        ..config()
    };
    full_set(host.acceptor(), &host, config, 1 << 20).await;
}

#[tokio::test]
async fn keys_change_under_input() {
    let host = Host::new();
    let ours = SshAcceptor::load_with(&host.options, 64 * 1024).unwrap();
    let mut session = host.session_with(ours, config()).await;
    let octets = image(1 << 20);
    let wanted = octets.clone();
    let channel = session.channel;
    let writer = tokio::spawn(async move { channel.data_bytes(octets).await });
    assert!(receive(&mut session.stream, wanted.len()).await == wanted);
    writer.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_sends_lose_and_repeat_nothing() {
    let host = Host::new();
    let config = client::Config {
        window_size: 9_000,
        maximum_packet_size: 3_000,
        ..config()
    };
    let mut session = host.session(config).await;
    let image = image(600_000);
    let wanted = image.clone();
    let mut channel = session.channel;
    let reader = tokio::spawn(async move { read(&mut channel, wanted.len()).await });
    let mut octets = image.clone();
    let mut dropped = 0;
    while !octets.is_empty() {
        let polls = octets.len() % 7;
        tokio::select! {
            biased;
            sent = session.stream.send(&mut octets) => { sent.unwrap(); }
            () = yields(polls) => dropped += 1,
        }
    }
    assert!(dropped > 10, "{dropped}");
    // What the last one began goes on while the session waits for a query.
    tokio::select! {
        got = reader => assert!(got.unwrap() == image),
        _ = session.stream.readable() => unreachable!("nothing was asked"),
        () = tokio::time::sleep(PATIENCE) => unreachable!("the last slice is stuck"),
    }
}

async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Sends until nothing more is taken.
async fn stuff(stream: &mut Stream, octets: &mut Bytes) {
    let moment = Duration::from_millis(200);
    while timeout(moment, stream.send(octets)).await.is_ok() {}
}

#[tokio::test]
async fn input_is_kept_while_a_send_waits() {
    let host = Host::new();
    let config = client::Config {
        window_size: 10_000,
        ..config()
    };
    let Session {
        mut stream,
        channel,
        client: _client,
    } = host.session(config).await;
    let image = image(200_000);
    let octets = image.clone();
    let sender = tokio::spawn(async move {
        send_all(&mut stream, octets).await;
        stream
    });
    let (mut reader, writer) = channel.split();
    let writing = async {
        for _ in 0..100 {
            writer.data_bytes(QUERY.to_vec()).await.unwrap();
        }
    };
    let reading = async {
        let mut got = Vec::new();
        while got.len() < image.len() {
            if let ChannelMsg::Data { data } = reader.wait().await.unwrap() {
                got.extend_from_slice(&data);
            }
        }
        got
    };
    let (got, ()) = soon(async { tokio::join!(reading, writing) }).await;
    assert!(got == image);
    let mut stream = sender.await.unwrap();
    assert_eq!(receive(&mut stream, 800).await, QUERY.repeat(100));
}

#[tokio::test]
async fn too_much_input_ends_the_connection() {
    let host = Host::new();
    let Session {
        mut stream,
        channel,
        client,
    } = host.session(config()).await;
    // russh's client waits for ever when the connection is gone.
    let writer = tokio::spawn(async move { channel.data_bytes(image(300_000)).await });
    assert!(soon(client).await.is_err());
    writer.abort();
    let mut got = 0;
    let mut buffer = [0; 4096];
    let error = loop {
        match soon(stream.recv(&mut buffer)).await {
            Ok(octets) => got += octets,
            Err(error) => break error,
        }
        assert!(got <= 64 * 1024);
    };
    assert_eq!(error.to_string(), "more than 65536 octets of input wait");
    assert_eq!(soon(stream.recv(&mut buffer)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_channel_is_an_end_although_the_connection_stays() {
    let host = Host::new();
    let mut session = host.session(config()).await;
    session.channel.data_bytes(QUERY.to_vec()).await.unwrap();
    session.channel.close().await.unwrap();
    assert_eq!(receive(&mut session.stream, 8).await, QUERY);
    let mut buffer = [0; 8];
    assert_eq!(soon(session.stream.recv(&mut buffer)).await.unwrap(), 0);
    let mut octets = image(100);
    let error = soon(session.stream.send(&mut octets)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(!session.client.is_closed());
    drop(session.stream);
    assert!(soon(session.client).await.is_err());
}

#[tokio::test]
async fn a_send_ends_with_the_channel() {
    let host = Host::new();
    let config = client::Config {
        window_size: 1024,
        ..config()
    };
    let session = host.session(config).await;
    let mut stream = session.stream;
    let sender = tokio::spawn(async move {
        let mut octets = image(10 << 20);
        while stream.send(&mut octets).await.is_ok() {}
        (stream, octets)
    });
    let (mut reader, writer) = session.channel.split();
    soon(reader.wait()).await.unwrap();
    drop(reader);
    writer.close().await.unwrap();
    let (_stream, left) = soon(sender).await.unwrap();
    assert!(!left.is_empty());
}

#[tokio::test]
async fn a_client_that_sends_no_more_still_gets_its_answer() {
    let host = Host::new();
    let mut session = host.session(config()).await;
    session.channel.data_bytes(QUERY.to_vec()).await.unwrap();
    session.channel.eof().await.unwrap();
    assert_eq!(receive(&mut session.stream, 8).await, QUERY);
    let mut buffer = [0; 8];
    assert_eq!(soon(session.stream.recv(&mut buffer)).await.unwrap(), 0);
    let octets = image(1000);
    send_all(&mut session.stream, octets.clone()).await;
    assert!(read(&mut session.channel, 1000).await == octets);
}

#[tokio::test]
async fn finish_ends_the_channel_in_order_and_then_the_connection() {
    let host = Host::new();
    let mut session = host.session(config()).await;
    send_all(&mut session.stream, image(1000)).await;
    let finished = tokio::spawn(session.stream.finish());
    read(&mut session.channel, 1000).await;
    assert!(matches!(
        answer(&mut session.channel).await,
        ChannelMsg::Eof
    ));
    let ChannelMsg::ExitStatus { exit_status: 0 } = answer(&mut session.channel).await else {
        unreachable!("no exit status")
    };
    assert!(matches!(
        answer(&mut session.channel).await,
        ChannelMsg::Close
    ));
    // This client stays until it is told to go.
    soon(session.client).await.unwrap();
    soon(finished).await.unwrap();
}

#[tokio::test]
async fn finish_does_not_wait_for_a_client_that_takes_nothing() {
    let host = Host::new();
    let config = client::Config {
        window_size: 1024,
        channel_buffer_size: 1,
        ..config()
    };
    let mut session = host.session(config).await;
    let mut octets = image(100_000);
    stuff(&mut session.stream, &mut octets).await;
    soon(session.stream.finish()).await;
    drop(session.channel);
    soon(session.client).await.unwrap_err();
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_closed() {
    let host = Host::new();
    let session = host.session(config()).await;
    drop(session.stream);
    assert!(soon(session.client).await.is_err());
}

#[tokio::test]
async fn a_client_that_goes_away_is_the_end() {
    let host = Host::new();
    let mut session = host.session(config()).await;
    drop(session.channel);
    drop(session.client);
    let mut buffer = [0; 8];
    let end = soon(session.stream.recv(&mut buffer)).await;
    assert_eq!(end.unwrap(), 0);
    assert!(soon(session.stream.send(&mut image(8))).await.is_err());
}

#[tokio::test]
async fn who_has_lost_the_key_could_not_log_in_again() {
    let host = Host::new();
    let session = host.session(config()).await;
    let peer = Peer::new("192.0.2.1:1".parse().unwrap(), Transport::Ssh);
    let stays = || Acceptor::Ssh(host.acceptor()).still_admits(&session.stream, peer);
    assert!(stays());
    let file = host.folder.path().join("authorized_keys");
    let line = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("from=\"192.0.2.2\" {line}")).unwrap();
    assert!(!stays());
    fs::write(&file, "").unwrap();
    assert!(!stays());
    fs::write(&file, line).unwrap();
    assert!(stays());
    assert!(!Acceptor::Tcp.still_admits(&session.stream, peer));
}
