//! From a web server to routers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cache::{Cache, PATIENCE};
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::temp_dir;

/// A document and its tag.
type Published = (&'static str, Vec<u8>);

/// A web server with one document, which answers 304 to whoever has it.
struct Web {
    address: SocketAddr,
    document: watch::Sender<Published>,
    /// The status of each answer.
    statuses: watch::Receiver<Vec<u16>>,
    _tasks: JoinSet<()>,
}

impl Web {
    async fn start(document: Published) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (document, published) = watch::channel(document);
        let (status, statuses) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let published = published.borrow().clone();
                let code = answer(socket, published).await;
                status.send_modify(|statuses| statuses.push(code));
            }
        });
        Self {
            address,
            document,
            statuses,
            _tasks: tasks,
        }
    }

    /// Waits until the last so many answers had this status.
    async fn gave(&self, times: usize, status: u16) {
        let mut statuses = self.statuses.clone();
        let wanted = |all: &Vec<u16>| {
            all.len() >= times && all.iter().rev().take(times).all(|s| *s == status)
        };
        let given = timeout(PATIENCE, statuses.wait_for(wanted)).await;
        assert!(given.is_ok(), "{:?}", self.statuses.borrow());
    }
}

async fn answer(mut socket: TcpStream, (tag, body): Published) -> u16 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let known = head.contains(&format!("if-none-match: {tag}"));
    let (code, body) = if known { (304, vec![]) } else { (200, body) };
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {code} Status\r\nETag: {tag}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    socket.write_all(reply.as_bytes()).await.unwrap();
    socket.write_all(&body).await.unwrap();
    code
}

fn document(payloads: &Payloads) -> Vec<u8> {
    let folder = temp_dir();
    let path = folder.path().join("json");
    payloads.write_json(&path);
    std::fs::read(path).unwrap()
}

#[test]
fn a_document_on_the_web_is_loaded_kept_and_changed() {
    let mut random = Prng::new(1);
    let old = Payloads::vrps(500, &mut random);
    let new = old.changed(30, 20, &mut random);
    let runtime = Runtime::new().unwrap();
    let web = runtime.block_on(Web::start(("\"a\"", document(&old))));
    let cache = Cache::configured(
        temp_dir(),
        &format!(
            "[[source]]\nname = \"web\"\nurl = \"http://{}/json\"\nproxy = \"none\"",
            web.address
        ),
    );
    let ask = || cache.control(&["refresh"]).status.code();
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert!(first.set() == announced(&old, 1));

    // Not modified, again and again: nothing is sent and nothing is lost.
    assert_eq!((ask(), ask()), (Some(0), Some(0)));
    runtime.block_on(web.gave(2, 304));
    assert_eq!(router.update(first.has).payload.len(), 0);
    // Another tag with the same content is a full answer and still nothing new.
    web.document.send(("\"b\"", document(&old))).unwrap();
    assert_eq!((ask(), ask()), (Some(0), Some(0)));
    assert_eq!(web.statuses.borrow().last_chunk(), Some(&[200, 304]));
    assert_eq!(router.update(first.has).has, first.has);

    web.document.send(("\"c\"", document(&new))).unwrap();
    assert_eq!(ask(), Some(0));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    let update = router.update(first.has);
    assert_eq!(update.set(), increment(&old, &new, 1));

    // A broken document changes nothing, and the next good one is taken.
    web.document
        .send(("\"d\"", b"{\"roas\": [".to_vec()))
        .unwrap();
    assert_eq!((ask(), ask()), (Some(1), Some(1)));
    assert_eq!(web.statuses.borrow().last_chunk(), Some(&[200, 200]));
    assert_eq!(router.update(update.has).has, update.has);
    web.document.send(("\"e\"", document(&old))).unwrap();
    assert_eq!(ask(), Some(0));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 2);
    let both = router.update(first.has);
    assert_eq!(both.payload.len(), 0, "there and back again");
}

#[test]
fn the_program_loads_from_the_web() {
    let payloads = Payloads::all_kinds(500, &mut Prng::new(2));
    let runtime = Runtime::new().unwrap();
    let web = runtime.block_on(Web::start(("\"a\"", document(&payloads))));
    let source = format!("http://{}/json", web.address);
    let cache = Cache::start_with(temp_dir(), &["--source", &source], "127.0.0.1:0", &[]);
    let answer = Router::connect(cache.address()).load(2);
    assert!(answer.set() == announced(&payloads, 2));
}
