//! The machine's limit: a server that knows no protocol. It sends one prepared buffer in turns
//! of 256 KiB to whoever sends eight octets or, as HTTP has it, up to an empty line, on one thread,
//! so that the same client measures what a server could reach at best. `record` takes the buffer
//! from a real server.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::report::figure;
use crate::wire::{self, Digest, Event, Framer};

/// One turn: then it is the next one's.
const TURN: usize = 256 << 10;
const BACKLOG: u32 = 4096;
/// A server that is quiet for so long while it answers is broken.
const QUIET: Duration = Duration::from_secs(30);

/// Sends a prepared answer to whoever asks
#[derive(Args, Clone, Debug)]
pub(crate) struct Raw {
    /// The answer, as `record` writes it
    #[arg(long)]
    file: PathBuf,
    /// Port on loopback
    #[arg(long)]
    port: u16,
    /// A request ends with an empty line, and not after eight octets
    #[arg(long)]
    lines: bool,
    /// Ends after so many seconds
    #[arg(long, default_value_t = 600)]
    lifetime: u64,
}

impl Raw {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let answer: Rc<[u8]> = std::fs::read(&self.file)?.into();
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], self.port).into())?;
        let listener = socket.listen(BACKLOG)?;
        // To be ended from outside is the usual way; this is for when nobody does.
        let lifetime = Duration::from_secs(self.lifetime);
        drop(timeout(lifetime, serve(listener, &answer, self.lines)).await);
        Ok(())
    }
}

async fn serve(listener: TcpListener, answer: &Rc<[u8]>, lines: bool) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = Rc::clone(answer);
        // A client that leaves is no failure.
        tokio::task::spawn_local(async move { send(stream, &answer, lines).await.ok() });
    }
}

async fn send(mut stream: TcpStream, answer: &[u8], lines: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut query = [0; 8];
    loop {
        match lines {
            true => read_lines(&mut stream).await?,
            false => stream.read_exact(&mut query).await.map(drop)?,
        }
        let mut left = answer;
        while !left.is_empty() {
            stream.writable().await?;
            let turn = left.get(..TURN).unwrap_or(left);
            match stream.try_write(turn) {
                Ok(sent) => left = left.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Takes all up to an empty line, after which the client waits.
async fn read_lines(stream: &mut TcpStream) -> io::Result<()> {
    let mut read = Vec::with_capacity(1 << 10);
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut read).await? == 0 || read.len() > TURN {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Writes a server's full answer to a file
#[derive(Args, Clone, Debug)]
pub(crate) struct Record {
    /// The server
    #[arg(long)]
    from: SocketAddr,
    /// The file
    #[arg(long)]
    out: PathBuf,
    /// Protocol version
    #[arg(long, default_value_t = 1)]
    version: u8,
}

impl Record {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let mut stream = TcpStream::connect(self.from).await?;
        stream.write_all(&wire::reset_query(self.version)).await?;
        let mut framer = Framer::new(Digest::Yes);
        let mut answer = Vec::new();
        loop {
            let mut buffer = vec![0; TURN];
            let read = timeout(QUIET, stream.read(&mut buffer)).await??;
            let mut octets = buffer.get(..read).unwrap_or_default();
            if octets.is_empty() {
                return Err("the answer ends without End of Data".into());
            }
            answer.extend_from_slice(octets);
            match framer.feed(&mut octets) {
                None => {}
                Some(Event::EndOfData(_)) => {
                    answer.truncate(answer.len() - octets.len());
                    break;
                }
                Some(other) => return Err(format!("no answer but {other:?}").into()),
            }
        }
        std::fs::write(&self.out, &answer)?;
        figure("octets", answer.len());
        println!("{}", framer.take());
        Ok(())
    }
}
