//! The shape of the sources, held by a test.
//!
//! The library is a stack of rows: a file uses its own folder and lower rows, never its
//! neighbours, never upwards. The lower half of the stack is pure. Both are promises about every
//! future change, so they are read from the text of `src/` here: each rule is one function over a
//! parsed file, and each has a small source below that breaks it, to show that it can fail.

#[cfg(test)]
mod architecture {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    /// The rows, highest first. A place is a file or a folder at the top of `src/`.
    const ROWS: [&[&str]; 8] = [
        &["main"],
        &["cli", "cmd", "log"],
        &["daemon", "tools"],
        &["http", "client", "config"],
        &["net"],
        &["feed"],
        &["rtr", "slurm", "json", "sign"],
        &["payload"],
    ];

    /// The places that are pure: time, randomness and octets are arguments there.
    const CORE: [&str; 6] = ["feed", "rtr", "slurm", "json", "sign", "payload"];

    /// The only file with `unsafe` in it.
    const UNSAFE_FILE: &str = "net/sys.rs";

    /// The place that may use no other place at all, not even a lower one.
    const ALONE: &str = "net";

    /// A file longer than this without its tests wants to be two.
    const MAX_LINES: usize = 600;

    /// Paths that the core may not name, by how they begin.
    const IMPURE_PATHS: [&[&str]; 10] = [
        &["tokio"],
        &["tracing"],
        &["socket2"],
        &["getrandom"],
        &["ring", "rand"],
        &["std", "fs"],
        &["std", "thread"],
        &["std", "process"],
        &["std", "env"],
        &["std", "os"],
    ];

    /// Names that the core may not use, wherever they stand in a path.
    const IMPURE_NAMES: [&str; 8] = [
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "SystemTime",
        "SystemRandom",
        "ToSocketAddrs",
    ];

    /// Crates that are each named in one file or one folder, so that they can be exchanged.
    const CONFINED_CRATES: [&str; 5] = ["reqwest", "notify", "clap", "socket2", "object_store"];

    #[test]
    fn the_sources_keep_their_shape() {
        let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(sources.contains_key("lib.rs"), "no sources were read");
        let faults = check(&sources);
        assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    }

    /// All faults of the sources, given by path below `src/`.
    fn check(sources: &BTreeMap<String, String>) -> Vec<String> {
        let tests = test_files(sources);
        let files: Vec<File> = sources
            .iter()
            .filter(|(path, _)| !tests.contains(*path))
            .map(|(path, text)| File::parse(path, text))
            .collect();
        let mut faults = Vec::new();
        for file in &files {
            keeps_its_row(file, &mut faults);
            core_is_pure(file, &mut faults);
            unsafe_in_one_file(file, &mut faults);
            no_unbounded(file, &mut faults);
            no_unwrap(file, &mut faults);
            not_too_long(file, &mut faults);
            opens_with_docs(file, &mut faults);
            lib_is_a_map(file, &mut faults);
        }
        crates_are_confined(&files, &mut faults);
        faults
    }

    // The rules.

    fn keeps_its_row(file: &File, faults: &mut Vec<String>) {
        if file.place == "lib" {
            return;
        }
        let Some(own) = row_of(&file.place) else {
            faults.push(format!("{}: `{}` stands in no row", file.path, file.place));
            return;
        };
        for path in &file.paths {
            let Some(used) = path.place(&file.modules) else {
                continue;
            };
            if used == file.place {
                continue;
            }
            // What lib.rs re-exports has no place of its own: it would hide one.
            let Some(row) = row_of(used) else {
                faults.push(format!(
                    "{}:{}: `{used}` stands in no row",
                    file.path, path.line
                ));
                continue;
            };
            if row <= own || file.place == ALONE {
                faults.push(format!(
                    "{}:{}: `{}` may not use `{used}`",
                    file.path, path.line, file.place
                ));
            }
        }
    }

    fn core_is_pure(file: &File, faults: &mut Vec<String>) {
        if !CORE.contains(&file.place.as_str()) {
            return;
        }
        for path in &file.paths {
            let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            // Randomness that is an argument: the trait of it.
            let argument = segments == ["ring", "rand", "SecureRandom"];
            let begins = IMPURE_PATHS.iter().any(|head| segments.starts_with(head)) && !argument;
            let named = segments.iter().any(|name| IMPURE_NAMES.contains(name));
            let clock = segments.windows(2).any(|pair| pair == ["Instant", "now"]);
            if begins || named || clock {
                faults.push(format!(
                    "{}:{}: the core names `{}`",
                    file.path,
                    path.line,
                    segments.join("::")
                ));
            }
        }
    }

    fn unsafe_in_one_file(file: &File, faults: &mut Vec<String>) {
        if file.path == UNSAFE_FILE {
            return;
        }
        for (line, word) in file.words() {
            if word == "unsafe" {
                faults.push(format!(
                    "{}:{line}: `unsafe` outside {UNSAFE_FILE}",
                    file.path
                ));
            }
        }
    }

    fn no_unbounded(file: &File, faults: &mut Vec<String>) {
        for (line, word) in file.words() {
            if word.contains("unbounded") || word.contains("Unbounded") {
                faults.push(format!("{}:{line}: `{word}`", file.path));
            }
        }
    }

    fn no_unwrap(file: &File, faults: &mut Vec<String>) {
        for (at, _) in file.code.match_indices("unwrap") {
            let (before, after) = file.code.split_at(at);
            let after = after.trim_start_matches("unwrap").trim_start();
            let call = after
                .strip_prefix('(')
                .is_some_and(|rest| rest.trim_start().starts_with(')'));
            if before.trim_end().ends_with('.') && call {
                faults.push(format!("{}:{}: `.unwrap()`", file.path, line_of(before)));
            }
        }
    }

    fn not_too_long(file: &File, faults: &mut Vec<String>) {
        if file.lines > MAX_LINES {
            faults.push(format!(
                "{}: {} lines without its tests",
                file.path, file.lines
            ));
        }
    }

    fn opens_with_docs(file: &File, faults: &mut Vec<String>) {
        if !file.first_line.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", file.path));
        }
    }

    fn lib_is_a_map(file: &File, faults: &mut Vec<String>) {
        if file.path != "lib.rs" {
            return;
        }
        for (number, line) in file.code.lines().enumerate() {
            let line = line.trim();
            let item = line
                .strip_prefix("pub(crate) ")
                .or_else(|| line.strip_prefix("pub "))
                .unwrap_or(line);
            let map = item.is_empty() || item.starts_with("mod ") || item.starts_with("#");
            if !map {
                faults.push(format!("lib.rs:{}: more than a map: {line}", number + 1));
            }
        }
    }

    fn crates_are_confined(files: &[File], faults: &mut Vec<String>) {
        for name in CONFINED_CRATES {
            let users: Vec<&str> = files
                .iter()
                .filter(|f| {
                    f.paths
                        .iter()
                        .any(|p| p.segments.len() > 1 && p.root == name)
                })
                .map(|f| f.path.as_str())
                .collect();
            let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            let shallowest = users.iter().min_by_key(|path| path.matches('/').count());
            let one_folder = shallowest.and_then(|p| folder(p)).is_some_and(|home| {
                users
                    .iter()
                    .all(|path| path.starts_with(&format!("{home}/")))
            });
            if users.len() > 1 && !one_folder {
                faults.push(format!(
                    "`{name}` is named in more than one folder: {}",
                    users.join(", ")
                ));
            }
        }
    }

    fn row_of(place: &str) -> Option<usize> {
        ROWS.iter().position(|row| row.contains(&place))
    }

    // What a file says.

    /// A source file without its comments, literals and tests.
    struct File {
        path: String,
        /// The top folder or file it belongs to: `payload` for `payload/vrp.rs`.
        place: String,
        /// Its module path below the crate: `payload`, `vrp`.
        modules: Vec<String>,
        first_line: String,
        /// Lines of the file without its tests, comments included.
        lines: usize,
        code: String,
        paths: Vec<UsedPath>,
    }

    impl File {
        fn parse(path: &str, text: &str) -> Self {
            let (code, test_lines) = without_tests(&without_comments(text));
            let modules: Vec<String> = path
                .trim_end_matches(".rs")
                .trim_end_matches("/mod")
                .split('/')
                .map(str::to_owned)
                .collect();
            Self {
                path: path.to_owned(),
                place: modules.first().cloned().unwrap_or_default(),
                modules,
                first_line: text.lines().next().unwrap_or_default().to_owned(),
                lines: text.lines().count() - test_lines,
                paths: paths(&code),
                code,
            }
        }

        /// Its words with their lines.
        fn words(&self) -> impl Iterator<Item = (usize, &str)> {
            self.code.lines().enumerate().flat_map(|(number, line)| {
                line.split(|c: char| !is_word(c))
                    .filter(|word| !word.is_empty())
                    .map(move |word| (number + 1, word))
            })
        }
    }

    /// A path as it stands in the code, one for each leaf of a `{…}` group.
    #[derive(Debug, PartialEq)]
    struct UsedPath {
        line: usize,
        root: String,
        segments: Vec<String>,
    }

    impl UsedPath {
        /// The place of ours that this path names, when it names one.
        fn place(&self, modules: &[String]) -> Option<&str> {
            let mut rest = self.segments.as_slice();
            match self.root.as_str() {
                // The binary's files reach the library by its name.
                "crate" | "rutter" => rest = rest.get(1..)?,
                "super" => {
                    let ups = rest.iter().take_while(|s| *s == "super").count();
                    if ups < modules.len() {
                        return None;
                    }
                    rest = rest.get(ups..)?;
                }
                _ => return None,
            }
            rest.first().map(String::as_str).filter(|s| *s != "self")
        }
    }

    /// All paths of two segments or more in code without comments.
    fn paths(code: &str) -> Vec<UsedPath> {
        let chars: Vec<char> = code.chars().collect();
        let mut found = Vec::new();
        let mut at = 0;
        let mut line = 1;
        while at < chars.len() {
            let c = chars[at];
            if c == '\n' {
                line += 1;
            }
            if !is_word(c) {
                at += 1;
                continue;
            }
            let mut end = at;
            let mut leaves = Vec::new();
            read_path(&chars, &mut end, &[], &mut leaves);
            for segments in leaves {
                if segments.len() > 1 {
                    found.push(UsedPath {
                        line,
                        root: segments[0].clone(),
                        segments,
                    });
                }
            }
            line += chars[at..end].iter().filter(|c| **c == '\n').count();
            at = end;
        }
        found
    }

    /// Reads one path and the group it may end in, from its first word on.
    fn read_path(chars: &[char], at: &mut usize, head: &[String], leaves: &mut Vec<Vec<String>>) {
        let mut segments = head.to_vec();
        loop {
            let start = *at;
            while chars.get(*at).copied().is_some_and(is_word) {
                *at += 1;
            }
            if *at > start {
                segments.push(chars[start..*at].iter().collect());
            }
            let mut next = *at;
            skip_space(chars, &mut next);
            if chars.get(next) != Some(&':') || chars.get(next + 1) != Some(&':') {
                break;
            }
            next += 2;
            skip_space(chars, &mut next);
            match chars.get(next) {
                Some('{') => {
                    *at = next + 1;
                    read_group(chars, at, &segments, leaves);
                    return;
                }
                Some(c) if is_word(*c) => *at = next,
                // A glob or a turbofish ends the path.
                _ => {
                    *at = next;
                    break;
                }
            }
        }
        leaves.push(segments);
    }

    fn read_group(chars: &[char], at: &mut usize, head: &[String], leaves: &mut Vec<Vec<String>>) {
        while let Some(c) = chars.get(*at) {
            match c {
                '}' => {
                    *at += 1;
                    return;
                }
                c if is_word(*c) => {
                    read_path(chars, at, head, leaves);
                    // `Name as Other`: the other name is not a path.
                    while chars.get(*at).is_some_and(|c| *c != ',' && *c != '}') {
                        *at += 1;
                    }
                }
                _ => *at += 1,
            }
        }
    }

    fn skip_space(chars: &[char], at: &mut usize) {
        while chars.get(*at).is_some_and(|c| c.is_whitespace()) {
            *at += 1;
        }
    }

    fn is_word(c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }

    fn line_of(before: &str) -> usize {
        before.matches('\n').count() + 1
    }

    /// The text with comments and the insides of literals blanked; lines stay where they are.
    fn without_comments(text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let blank = |out: &mut String, from: usize, to: usize| {
            for c in &chars[from..to.min(chars.len())] {
                out.push(if *c == '\n' { '\n' } else { ' ' });
            }
        };
        while at < chars.len() {
            let start = at;
            let next = chars.get(at + 1).copied();
            match chars[at] {
                '/' if next == Some('/') => {
                    while at < chars.len() && chars[at] != '\n' {
                        at += 1;
                    }
                    blank(&mut out, start, at);
                }
                '/' if next == Some('*') => {
                    let mut depth = 0;
                    while at < chars.len() {
                        match (chars[at], chars.get(at + 1)) {
                            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
                            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
                            _ => at += 1,
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                    blank(&mut out, start, at);
                }
                '"' => {
                    at = end_of_string(&chars, at);
                    blank(&mut out, start, at);
                }
                'r' if !out.ends_with(is_word) || out.ends_with('b') => {
                    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                    if chars.get(at + 1 + hashes) == Some(&'"') {
                        at += hashes + 2;
                        let end = |at: usize| {
                            chars[at] == '"'
                                && chars[at + 1..].iter().take_while(|c| **c == '#').count()
                                    >= hashes
                        };
                        while at < chars.len() && !end(at) {
                            at += 1;
                        }
                        at = (at + 1 + hashes).min(chars.len());
                        blank(&mut out, start, at);
                    } else {
                        out.push('r');
                        at += 1;
                    }
                }
                // A character; a lifetime has no closing quote.
                '\'' if next == Some('\\') => {
                    at += 3;
                    while at < chars.len() && chars[at] != '\'' {
                        at += 1;
                    }
                    at += 1;
                    blank(&mut out, start, at);
                }
                '\'' if chars.get(at + 2) == Some(&'\'') => {
                    at += 3;
                    blank(&mut out, start, at);
                }
                c => {
                    out.push(c);
                    at += 1;
                }
            }
        }
        out
    }

    fn end_of_string(chars: &[char], start: usize) -> usize {
        let mut at = start + 1;
        while at < chars.len() {
            match chars[at] {
                '\\' => at += 2,
                '"' => return at + 1,
                _ => at += 1,
            }
        }
        chars.len()
    }

    /// Code with every item under `#[cfg(test)]` blanked, and how many lines those items had.
    fn without_tests(code: &str) -> (String, usize) {
        if code.contains("#![cfg(test)]") {
            return (String::new(), code.lines().count());
        }
        let mut out = String::with_capacity(code.len());
        let mut lines = 0;
        let mut rest = code;
        while let Some(at) = next_test_item(rest) {
            let (before, item) = rest.split_at(at);
            let (item, after) = item.split_at(item_length(item));
            out.push_str(before);
            out.extend(item.chars().filter(|c| *c == '\n'));
            lines += item.lines().count();
            rest = after;
        }
        out.push_str(rest);
        (out, lines)
    }

    fn next_test_item(code: &str) -> Option<usize> {
        let marks = ["#[cfg(test)]", "#[cfg(all(test"];
        marks.iter().filter_map(|mark| code.find(mark)).min()
    }

    /// The length of an item with its attributes: to its `;` or its closing brace.
    fn item_length(item: &str) -> usize {
        let mut depth = 0_usize;
        for (at, c) in item.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' => depth -= 1,
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                ';' if depth == 0 => return at + 1,
                _ => {}
            }
        }
        item.len()
    }

    /// The files that are tests as a whole: declared `#[cfg(test)] mod name;`.
    fn test_files(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
        let mut tests = BTreeSet::new();
        for (path, text) in sources {
            let code = without_comments(text);
            let mut rest = code.as_str();
            while let Some(at) = next_test_item(rest) {
                let item = &rest[at..];
                let item = &item[..item_length(item)];
                rest = &rest[at + item.len()..];
                let declared = item.trim_end().strip_suffix(';');
                let Some((_, name)) = declared.and_then(|item| item.rsplit_once("mod ")) else {
                    continue;
                };
                let own = path.trim_end_matches(".rs");
                let folder = match own.rsplit_once('/') {
                    Some((folder, "mod")) => format!("{folder}/"),
                    None if own == "lib" || own == "main" => String::new(),
                    _ => format!("{own}/"),
                };
                let file = format!("{folder}{name}.rs");
                let below = format!("{folder}{name}/");
                let named = |p: &&String| **p == file || p.starts_with(&below);
                tests.extend(sources.keys().filter(named).cloned());
            }
        }
        tests
    }

    fn read_sources(root: &Path) -> BTreeMap<String, String> {
        let mut sources = BTreeMap::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    sources.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
                }
            }
        }
        sources
    }

    // Each rule can fail.

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), format!("//! Docs.\n{text}\n")))
            .collect();
        check(&sources)
    }

    #[track_caller]
    fn clean(path: &str, text: &str) {
        let found = faults(&[(path, text)]);
        assert!(found.is_empty(), "{text}: {found:?}");
    }

    #[track_caller]
    fn fails(path: &str, text: &str, with: &str) {
        let found = faults(&[(path, text)]);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(with), "{text}: {found:?}");
    }

    #[test]
    fn lower_rows_and_the_own_folder_are_allowed() {
        clean(
            "rtr/pdu.rs",
            "use crate::payload::Vrp;\nuse crate::rtr::Serial;",
        );
        clean(
            "main.rs",
            "mod cli;\nuse rutter::daemon::run;\nfn main() { cli::x() }",
        );
        clean("payload/vrp.rs", "use super::asn::Asn;");
    }

    #[test]
    fn upwards_is_refused() {
        fails(
            "payload/vrp.rs",
            "use crate::rtr::Pdu;",
            "may not use `rtr`",
        );
        fails(
            "net/mod.rs",
            "use crate::daemon::X;",
            "may not use `daemon`",
        );
        fails("cmd/serve.rs", "use crate::main::X;", "may not use `main`");
    }

    #[test]
    fn neighbours_are_refused() {
        fails("json/mod.rs", "use crate::slurm;", "may not use `slurm`");
        fails(
            "rtr/pdu.rs",
            "fn f() { crate::sign::x() }",
            "may not use `sign`",
        );
    }

    #[test]
    fn net_uses_nothing_of_ours() {
        fails(
            "net/peer.rs",
            "use crate::payload::Vrp;",
            "may not use `payload`",
        );
    }

    #[test]
    fn groups_and_supers_are_followed() {
        fails(
            "json/mod.rs",
            "use crate::{payload::{Asn, Vrp}, rtr::Serial as S};",
            "may not use `rtr`",
        );
        fails("payload/vrp.rs", "use super::super::json::X;", "`json`");
        fails("payload/mod.rs", "use super::json::X;", "`json`");
        fails("payload/vrp.rs", "fn f() { rutter::json::x() }", "`json`");
    }

    #[test]
    fn a_place_without_a_row_is_refused() {
        fails("util.rs", "fn f() {}", "stands in no row");
        fails("rtr/pdu.rs", "use crate::Vrp;", "`Vrp` stands in no row");
    }

    #[test]
    fn tests_comments_and_literals_are_no_uses() {
        clean(
            "payload/vrp.rs",
            "/// See crate::rtr::Pdu and tokio::spawn.\nfn f() {}",
        );
        clean(
            "payload/vrp.rs",
            "/* use crate::rtr; /* std::fs::x */ unsafe */",
        );
        clean(
            "payload/vrp.rs",
            "const A: &str = \"crate::rtr \\\" unsafe\"; const C: char = '\"';",
        );
        clean(
            "payload/vrp.rs",
            "const A: &str = r#\"std::fs::read \" x.unwrap()\"#;",
        );
        clean(
            "payload/vrp.rs",
            "#[cfg(test)]\nmod tests {\n use crate::rtr::Pdu;\n fn f() { x.unwrap() }\n}",
        );
    }

    #[test]
    fn code_after_a_test_module_is_read_again() {
        fails(
            "payload/vrp.rs",
            "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::rtr::Pdu;",
            "vrp.rs:4",
        );
        fails(
            "payload/vrp.rs",
            "#[cfg(test)]\nuse x::y;\nfn f<'a>() { a.unwrap() }",
            ":4",
        );
    }

    #[test]
    fn files_of_tests_are_left_out() {
        let parent = ("rtr/mod.rs", "#[cfg(test)]\nmod tests;");
        let test = ("rtr/tests.rs", "use crate::json::X;\nfn f() { x.unwrap() }");
        assert!(faults(&[parent, test]).is_empty());
        assert_eq!(faults(&[("rtr/mod.rs", "mod tests;"), test]).len(), 2);
    }

    #[test]
    fn the_core_has_no_runtime_files_sockets_threads_clock_or_dice() {
        for text in [
            "use tokio::sync::watch;",
            "use tracing::debug;",
            "use std::fs;",
            "use std::{fmt, fs::File};",
            "use std::net::{IpAddr, TcpStream};",
            "fn f(l: net::TcpListener) {}",
            "use std::net::UdpSocket;",
            "fn f() { std::thread::spawn(g) }",
            "use std::process::Command;",
            "fn f() { std::env::var(x) }",
            "fn f() { Instant::now() }",
            "fn f() { std::time::Instant::now() }",
            "use std::time::SystemTime;",
            "use ring::rand;",
            "fn f() { ring::rand::SystemRandom::new() }",
            "fn f() { getrandom::fill(b) }",
        ] {
            for place in CORE {
                fails(&format!("{place}/x.rs"), text, "the core names");
            }
            clean("daemon/x.rs", text);
        }
        clean(
            "rtr/x.rs",
            "use std::net::{IpAddr, Ipv4Addr};\nuse ring::digest::SHA256;\nuse ring::rand::SecureRandom;",
        );
    }

    #[test]
    fn unsafe_stands_in_one_file() {
        fails("net/listen.rs", "fn f() { unsafe { g() } }", "`unsafe`");
        clean("net/sys.rs", "fn f() { unsafe { g() } }");
    }

    #[test]
    fn channels_are_bounded() {
        fails(
            "daemon/x.rs",
            "fn f() { mpsc::unbounded_channel() }",
            "unbounded_channel",
        );
        fails(
            "daemon/x.rs",
            "fn f(s: UnboundedSender<u8>) {}",
            "UnboundedSender",
        );
    }

    #[test]
    fn unwrap_is_refused() {
        fails("cmd/x.rs", "fn f() { x.unwrap() }", "x.rs:2: `.unwrap()`");
        fails("cmd/x.rs", "fn f() {\n x\n .unwrap ( ) }", "x.rs:4");
        clean("cmd/x.rs", "fn f() { x.unwrap_or_default(); unwrap(); }");
    }

    #[test]
    fn long_files_are_refused_and_tests_do_not_count() {
        let lines = "fn f() {}\n".repeat(MAX_LINES - 1);
        fails("cmd/x.rs", &lines, "601 lines");
        clean("cmd/x.rs", &"fn f() {}\n".repeat(MAX_LINES - 2));
        clean(
            "cmd/x.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{lines}}}"),
        );
    }

    #[test]
    fn a_module_without_docs_is_refused() {
        let source = [("cmd/x.rs".to_owned(), "// No.\nfn f() {}\n".to_owned())];
        let found = check(&source.into_iter().collect());
        assert_eq!(found, ["cmd/x.rs: does not open with `//!`"]);
    }

    #[test]
    fn the_library_root_holds_no_logic() {
        clean("lib.rs", "#[cfg(unix)]\npub mod net;\nmod x;");
        fails("lib.rs", "pub mod net;\nfn f() {}", "more than a map");
        fails("lib.rs", "pub use payload::Vrp;", "more than a map");
    }

    #[test]
    fn confined_crates_have_one_home() {
        let one = ("daemon/source/a.rs", "use reqwest::Client;");
        let two = ("daemon/source/b/c.rs", "fn f(c: reqwest::Client) {}");
        let far = ("tools/x.rs", "use reqwest::Url;");
        assert!(faults(&[one]).is_empty());
        assert!(faults(&[one, two]).is_empty());
        let found = faults(&[one, two, far]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`reqwest`"));
        let top = [("cli.rs", "use clap::Parser;"), ("log.rs", "use clap::X;")];
        assert_eq!(faults(&top).len(), 1);
        clean(
            "rtr/x.rs",
            "fn f() { self.notify(); crate::rtr::notify::x() }",
        );
    }
}
