//! The built server as a child.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal};
use rutter::http::control;
use rutter::http::shape::Status;

use crate::support::payloads::Payloads;
use crate::support::process::tail;
use crate::support::{temp_dir, wait_for};

/// How long anything that is awaited may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// `rutter serve`, killed by its id when this is dropped.
pub(crate) struct Cache {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    folder: tempfile::TempDir,
}

impl Cache {
    /// Serves a file of these payloads on loopback. Notifies may follow one another after a
    /// second, and what happens in sessions is in the log.
    #[track_caller]
    pub(crate) fn start(payloads: &Payloads, arguments: &[&str]) -> Self {
        let folder = temp_dir();
        payloads.write_json(&source_in(&folder));
        Self::start_in(folder, arguments)
    }

    /// Serves the file `vrps.json` of a folder, there or not.
    #[track_caller]
    pub(crate) fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let path = source_in(&folder).into_os_string().into_string().unwrap();
        Self::start_with(folder, &["--source", &path], "127.0.0.1:0", arguments)
    }

    /// Serves what some arguments say, on an address.
    #[track_caller]
    pub(crate) fn start_with(
        folder: tempfile::TempDir,
        source: &[&str],
        listen: &str,
        arguments: &[&str],
    ) -> Self {
        Self::spawn(folder, source, Stdio::null(), listen, arguments)
    }

    /// Serves what a configuration file says: `sources` and whatever follows, after a listener on
    /// loopback, a control socket in the folder, and Notifies that may follow one another after a
    /// second. The tables `[rtr]` and `[[listener]]` are taken.
    #[track_caller]
    pub(crate) fn configured(folder: tempfile::TempDir, rest: &str) -> Self {
        write_config(&folder, "", rest);
        let path = config_in(&folder).into_os_string().into_string().unwrap();
        Self::spawn_with(folder, &["--config", &path], Stdio::null(), "127.0.0.1:0")
    }

    /// The same, with a state directory in the folder, on an address, and routers that come back
    /// after two seconds.
    #[track_caller]
    pub(crate) fn with_state(folder: tempfile::TempDir, listen: SocketAddr, rest: &str) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_rutter"));
        Self::with_state_by(program, folder, listen, rest)
    }

    /// The same, with files of so many KiB at most, until [`raise`](Self::raise). What is too
    /// large fails to be written and ends nothing.
    #[track_caller]
    pub(crate) fn with_small_state(folder: tempfile::TempDir, kib: u32, rest: &str) -> Self {
        let mut program = Command::new("bash");
        program.arg("-c").arg(format!(
            "trap '' XFSZ; ulimit -S -f {kib}; exec \"$0\" \"$@\""
        ));
        program.arg(env!("CARGO_BIN_EXE_rutter"));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::with_state_by(program, folder, listen, rest)
    }

    /// Lets files be as large as they want to be.
    pub(crate) fn raise(&self) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let limit = rustix::process::Rlimit {
            current: None,
            maximum: None,
        };
        rustix::process::prlimit(id, rustix::process::Resource::Fsize, limit).unwrap();
    }

    #[track_caller]
    fn with_state_by(
        program: Command,
        folder: tempfile::TempDir,
        listen: SocketAddr,
        rest: &str,
    ) -> Self {
        write_config(&folder, "", rest);
        let config = config_in(&folder).into_os_string().into_string().unwrap();
        let state = folder.path().join("state");
        let state = state.to_str().unwrap().to_owned();
        let listen = listen.to_string();
        let tcp = format!("tcp://{listen}");
        let arguments = [
            "--config",
            &config,
            "--state-dir",
            &state,
            "--listen",
            &tcp,
            "--set",
            "rtr.retry=2s",
        ];
        Self::spawn_by(program, folder, &arguments, Stdio::null(), &listen)
    }

    /// The same with a listener over something else than TCP, as these keys say.
    #[track_caller]
    pub(crate) fn configured_over(folder: tempfile::TempDir, transport: &str, rest: &str) -> Self {
        write_config_over(&folder, "", transport, rest);
        let path = config_in(&folder).into_os_string().into_string().unwrap();
        Self::spawn_with(folder, &["--config", &path], Stdio::null(), "127.0.0.1:0")
    }

    /// Writes another configuration file, which counts after a reload.
    pub(crate) fn reconfigure(&self, rest: &str) {
        write_config(&self.folder, "", rest);
    }

    /// The same with more in the table `[rtr]`.
    pub(crate) fn reconfigure_rtr(&self, rtr: &str, rest: &str) {
        write_config(&self.folder, rtr, rest);
    }

    /// Runs `rutter` with these arguments and the control socket of this server.
    #[track_caller]
    pub(crate) fn control(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
        command.args(arguments).arg("--control");
        command.arg(self.folder.path().join("control"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What the API says at this path.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> serde_json::Value {
        let client = control::Client::new(self.folder.path().join("control"), PATIENCE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(client.get(path)).unwrap()
    }

    /// The status.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        serde_json::from_value(self.get("/api/v1/status")).unwrap()
    }

    /// The metrics as they are scraped.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        use std::io::{Read as _, Write as _};
        let path = self.folder.path().join("control");
        let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: rutter\r\nConnection: close\r\n\r\n";
        socket.write_all(request).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until the status is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        wait_for(what, PATIENCE, || {
            let status = self.status();
            if wanted(&status) {
                Ok(status)
            } else {
                Err(serde_json::to_string_pretty(&status).unwrap())
            }
        })
    }

    /// Serves what comes on standard input.
    #[track_caller]
    pub(crate) fn start_on_input(input: fs::File) -> Self {
        let source = &["--source", "-"];
        Self::spawn(temp_dir(), source, input.into(), "127.0.0.1:0", &[])
    }

    #[track_caller]
    fn spawn(
        folder: tempfile::TempDir,
        source: &[&str],
        input: Stdio,
        listen: &str,
        arguments: &[&str],
    ) -> Self {
        let tcp = format!("tcp://{listen}");
        let mut all = source.to_vec();
        all.extend(["--listen", &tcp, "--set", "rtr.notify-interval=1s"]);
        all.extend(arguments);
        Self::spawn_with(folder, &all, input, listen)
    }

    #[track_caller]
    fn spawn_with(
        folder: tempfile::TempDir,
        arguments: &[&str],
        input: Stdio,
        listen: &str,
    ) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_rutter"));
        Self::spawn_by(program, folder, arguments, input, listen)
    }

    #[track_caller]
    fn spawn_by(
        mut program: Command,
        folder: tempfile::TempDir,
        arguments: &[&str],
        input: Stdio,
        listen: &str,
    ) -> Self {
        let log = folder.path().join("server.log");
        let output = fs::File::create(&log).unwrap();
        let child = program
            .args(["--log", "info,rutter::daemon=debug", "serve"])
            .args(arguments)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(input)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut cache = Self {
            child,
            address: listen.parse().unwrap(),
            log,
            folder,
        };
        cache.address = wait_for("the server listens", PATIENCE, || {
            assert!(cache.child.try_wait().unwrap().is_none(), "{}", cache.log());
            listening(&cache.log()).ok_or_else(|| cache.log())
        });
        cache
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that is served.
    pub(crate) fn source(&self) -> PathBuf {
        source_in(&self.folder)
    }

    /// Renames a new list into the place of the old one.
    pub(crate) fn publish(&self, payloads: &Payloads) {
        payloads.write_json(&self.source());
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until a line of the log has all of these words, and gives the line.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> String {
        self.says_times(1, words)
    }

    /// Waits until so many lines of the log have all of these words, and gives the last of them.
    #[track_caller]
    pub(crate) fn says_times(&self, times: usize, words: &[&str]) -> String {
        wait_for(&format!("a log line with {words:?}"), PATIENCE, || {
            let log = self.log();
            let line = lines_with(&log, words).nth(times - 1).map(str::to_owned);
            line.ok_or_else(|| tail(&log, 4_000).to_owned())
        })
    }

    /// How many lines of the log have all of these words.
    pub(crate) fn said(&self, words: &[&str]) -> usize {
        lines_with(&self.log(), words).count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            let late = Instant::now() > deadline;
            assert!(!late, "still running after {patience:?}: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends the process without a word and gives the folder back.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, temp_dir())
    }

    /// How many descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).unwrap().count()
    }

    /// The memory that the process holds, in octets.
    pub(crate) fn resident(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let size = line.unwrap().split_ascii_whitespace().nth(1).unwrap();
        size.parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // It may have ended by itself; that is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && self.log.exists() {
            eprintln!("--- server\n{}", tail(&self.log(), 4_000));
        }
    }
}

fn config_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("rutter.toml")
}

fn write_config(folder: &tempfile::TempDir, rtr: &str, rest: &str) {
    write_config_over(folder, rtr, "transport = \"tcp\"\n", rest);
}

fn write_config_over(folder: &tempfile::TempDir, rtr: &str, transport: &str, rest: &str) {
    let control = folder.path().join("control");
    let text = format!(
        "control = \"{}\"\n[rtr]\nnotify-interval = \"1s\"\n{rtr}\
         [[listener]]\n{transport}address = \"127.0.0.1:0\"\n{rest}\n",
        control.display()
    );
    // Renamed into place, as an operator's editor does it.
    let beside = folder.path().join("rutter.toml.new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, config_in(folder)).unwrap();
}

fn source_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("vrps.json")
}

fn lines_with<'l>(log: &'l str, words: &[&str]) -> impl Iterator<Item = &'l str> {
    log.lines()
        .filter(move |line| words.iter().all(|word| line.contains(word)))
}

fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("listening"))?;
    let (_, rest) = line.split_once("address=")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}
