//! The sockets themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Running;
use crate::http::{Access, BindError, Limits, Server};
use crate::net::gate::{Bounds, Gate};

fn server() -> Server {
    let (_, access) = watch::channel(Access::default());
    let gate = Gate::new(Bounds {
        total: 1,
        per_address: 1,
        per_network: 1,
    });
    Server::new(access, gate, Limits::default())
}

#[tokio::test]
async fn the_control_socket_is_for_owner_and_group_and_goes_with_the_server() {
    let running = Running::start(Limits::default());
    let mode = fs::metadata(&running.control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let parent = running.control.parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
    let folder = running.folder.path().to_owned();
    let Running {
        stop,
        task,
        folder: kept,
        ..
    } = running;
    stop.send(true).unwrap();
    super::within(task).await.unwrap();
    assert!(folder.exists());
    assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
    drop(kept);
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    // A socket leaves its file behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut first = server();
    first.bind_control(&path).unwrap();

    let error = server().bind_control(&path).unwrap_err();
    assert!(matches!(error, BindError::Live { .. }), "{error:?}");
    // The one that failed took nothing away.
    tokio::net::UnixStream::connect(&path).await.unwrap();
    // A start that fails for something else leaves nothing behind.
    drop(first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    fs::write(&path, "precious").unwrap();
    let error = server().bind_control(&path).unwrap_err();
    assert!(matches!(error, BindError::NoSocket { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let below = path.join("control");
    let error = server().bind_control(&below).unwrap_err();
    assert!(matches!(error, BindError::Control { .. }), "{error:?}");
}

#[tokio::test]
async fn the_socket_of_a_successor_stays() {
    let running = Running::start(Limits::default());
    fs::remove_file(&running.control).unwrap();
    let successor = UnixListener::bind(&running.control).unwrap();
    let Running {
        stop,
        task,
        control,
        folder,
        ..
    } = running;
    stop.send(true).unwrap();
    super::within(task).await.unwrap();
    assert!(control.exists());
    drop((successor, folder));
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = server().bind_tcp(address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot serve http on {address}"));
}

#[tokio::test]
async fn one_server_listens_at_many_addresses() {
    let mut server = server();
    let bound = ["127.0.0.1:0", "[::1]:0"].map(|address| server.bind_tcp(address.parse().unwrap()));
    for address in bound.into_iter().flatten() {
        TcpStream::connect(address).await.unwrap();
    }
}
