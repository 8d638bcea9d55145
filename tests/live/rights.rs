//! Who may no longer be there is ended by a reload, and nobody else; and who leaves hears goodbye.

use std::fs;
use std::sync::Arc;

use rcgen::SerialNumber;
use russh::ChannelMsg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cache::PATIENCE;
use super::pki::{Ca, for_clients, secret};
use super::router::{END_OF_DATA, NOTIFY, RESET_QUERY, Router};
use super::secure::{PASSWORD, Plan, Secure, ed25519, ssh_config, user};
use crate::support::payloads::{Payloads, Prng};
use crate::support::wait_for;

/// The serial number of a certificate that is revoked later, and of one that nobody has.
const LATER: u64 = 77;
const NOBODY: u64 = 1;

#[track_caller]
fn loaded(mut router: Router) -> Router {
    router.load(2);
    router
}

#[track_caller]
fn revoked_are(secure: &Secure, wanted: &str) {
    wait_for("sessions are ended", PATIENCE, || {
        let text = secure.cache.metrics();
        let mut lines = text.lines();
        match lines.find_map(|line| line.strip_prefix("rutter_rtr_revoked_total ")) {
            Some(found) if found == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn a_reload_ends_who_lost_the_right_and_nobody_else() {
    let mut plan = Plan::new();
    let payloads = Payloads::vrps(50, &mut Prng::new(1));
    payloads.write_json(&plan.path("vrps.json"));
    plan.ca.revoke(NOBODY);
    plan.tls = "crl = \"ca.crl\"\n".into();
    let mut secure = plan.start();
    let (first, second) = (ed25519(1), ed25519(2));
    let [first, second] = [first, second].map(|key| (key.public_key().to_openssh().unwrap(), key));
    let keys = |lines: &[&str]| secret(&secure.path("authorized_keys"), &lines.join("\n"));
    keys(&[&first.0, &second.0]);
    let users = user("xr", PASSWORD) + &user("leaves", PASSWORD);
    secret(&secure.path("users"), &users);
    secure.reload();

    let mut stay = vec![
        loaded(secure.tls_router("127.0.0.1")),
        loaded(secure.ssh_router("127.0.0.1", ssh_config())),
        loaded(secure.password_router("xr", PASSWORD)),
    ];
    secure.router = secure.ca.leaf("later", "127.0.0.1", |params| {
        for_clients(params);
        params.serial_number = Some(SerialNumber::from(LATER));
    });
    secure.key = Arc::new(second.1);
    let lost = [
        loaded(secure.tls_router("127.0.0.1")),
        loaded(secure.ssh_router("127.0.0.1", ssh_config())),
        loaded(secure.password_router("leaves", PASSWORD)),
    ];

    secure.ca.revoke(LATER);
    secret(&secure.path("authorized_keys"), &first.0);
    secret(&secure.path("users"), &user("xr", PASSWORD));
    secure.reload();
    revoked_are(&secure, "3");
    for mut router in lost {
        router.until_gone();
    }
    secure
        .cache
        .publish(&payloads.changed(3, 3, &mut Prng::new(2)));
    for router in &mut stay {
        router.expect(NOTIFY);
    }

    // Another CA takes the place of the one that has signed them.
    let other = Ca::new(&secure.path(""), "other");
    fs::copy(secure.path("other.crt"), secure.path("ca.crt")).unwrap();
    other.revoke(NOBODY);
    secure.reload();
    revoked_are(&secure, "4");
    stay.remove(0).until_gone();
}

#[test]
fn a_router_that_says_no_more_hears_goodbye() {
    let plan = Plan::new();
    Payloads::vrps(50, &mut Prng::new(3)).write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    let config = secure.ca.client(Some(&secure.router));
    let (over_tls, ends) = secure.run(async {
        let mut tls = secure.shake_hands("127.0.0.1", &config).await.unwrap();
        tls.write_all(&RESET_QUERY[1]).await.unwrap();
        tls.shutdown().await.unwrap();
        let mut over_tls = Vec::new();
        // Without close_notify this would be an error.
        tls.read_to_end(&mut over_tls).await.unwrap();

        let client = secure.log_in("127.0.0.1", ssh_config()).await.unwrap();
        let mut channel = client.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "rpki-rtr").await.unwrap();
        channel.data(&RESET_QUERY[1][..]).await.unwrap();
        channel.eof().await.unwrap();
        let mut ends = Vec::new();
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Eof => ends.push("eof".to_owned()),
                ChannelMsg::Close => ends.push("close".to_owned()),
                ChannelMsg::ExitStatus { exit_status } => ends.push(format!("exit {exit_status}")),
                _ => {}
            }
        }
        (over_tls, ends)
    });
    // All of the answer, up to the end.
    assert_eq!(over_tls[over_tls.len() - 24 + 1], END_OF_DATA);
    assert_eq!(ends, ["eof", "exit 0", "close"]);
}
