//! BIRD 2.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::scenario::{Peer, Scenario, same, vrp};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::process::{Process, run};
use crate::support::{program, report, temp_dir};

struct Bird {
    process: Process,
    folder: tempfile::TempDir,
}

impl Peer for Bird {
    const NAME: &'static str = "BIRD";
    // It waits its retry interval (2 s) after a lost connection, and again after a Cache Reset.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn missing() -> Option<String> {
        (program("bird").is_none() || program("birdc").is_none())
            .then(|| "no bird and birdc".to_owned())
    }

    fn start(port: u16) -> Self {
        let folder = temp_dir();
        let config = folder.path().join("bird.conf");
        fs::write(
            &config,
            format!(
                "log stderr all;\n\
                 router id 192.0.2.1;\n\
                 roa4 table r4; roa6 table r6;\n\
                 protocol device {{}}\n\
                 protocol rpki c1 {{\n\
                   debug all;\n\
                   roa4 {{ table r4; }}; roa6 {{ table r6; }};\n\
                   remote 127.0.0.1 port {port};\n\
                   retry 2;\n\
                 }}\n"
            ),
        )
        .unwrap();
        let mut command = Command::new(program("bird").unwrap());
        command
            .args(["-f", "-l", "-c"])
            .arg(&config)
            .arg("-s")
            .arg(folder.path().join("ctl"))
            .arg("-P")
            .arg(folder.path().join("pid"));
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self { folder, process }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        let mut held = self.table("r4")?;
        held.extend(self.table("r6")?);
        same(&payloads.vrps, &held)
    }
}

impl Bird {
    fn table(&self, name: &str) -> Result<BTreeSet<Vrp>, String> {
        let mut command = Command::new(program("birdc").unwrap());
        command
            .arg("-s")
            .arg(self.folder.path().join("ctl"))
            .args(["show", "route", "table", name]);
        let text = run(&mut command, Duration::from_secs(10))?;
        // `192.0.2.0/24-24 AS64496  [c1 12:00:00.000] * (100)`
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (prefix, max_len) = words.next()?.split_once('-')?;
                let asn = words.next()?.strip_prefix("AS")?;
                Some(vrp(prefix, max_len, asn))
            })
            .collect()
    }

    /// How many routes its log says it has removed so far.
    fn removed(&self) -> usize {
        self.process
            .output()
            .lines()
            .filter(|line| line.contains("> removed"))
            .count()
    }

    /// The lines of its log that speak of an error report, in either direction.
    fn error_reports(&self) -> Vec<String> {
        const WORDS: [&str; 3] = ["Received Error", "Sending Error", "Fatal-Protocol-Error"];
        self.process
            .output()
            .lines()
            .filter(|line| WORDS.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn bird_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<Bird>::begin(1) else {
        return;
    };
    assert_eq!(run.peer.removed(), 0, "the first load removed something");
    run.update();
    assert_eq!(
        run.peer.removed(),
        20,
        "an update removes what it withdraws"
    );
    run.restart();
    // Until state is kept over a restart, the answer is Cache Reset and a full answer. How much
    // BIRD drops on the way is the figure to bring down to 5.
    let removed = run.peer.removed() - 20;
    report(&format!(
        "interop: BIRD removed {removed} routes over a kill and restart on +10 −5"
    ));
    assert!(removed >= 5, "what is no longer served is removed");
    let errors = run.peer.error_reports();
    assert!(errors.is_empty(), "{errors:#?}");
}
