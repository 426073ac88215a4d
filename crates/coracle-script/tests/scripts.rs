//! Every script under `scripts/` runs to its end: one test for each folder.

use std::fs;
use std::path::{Path, PathBuf};

use coracle_script::Script;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    paths.sort();
    paths
}

/// Runs a script, and, when nothing in it is of IPv4 alone, once more over IPv6; why it failed.
fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    run_text(&text)?;
    if OF_ONE_FAMILY.iter().any(|word| text.contains(word)) {
        return Ok(());
    }
    // Headers are 20 bytes longer, so the same segments need as much more room.
    run_text(&format!("--ip_version=ipv6\n--mtu=1520\n{text}")).map_err(|why| format!("over IPv6: {why}"))
}

/// What a script says that means something for one version of IP only.
const OF_ONE_FAMILY: [&str; 6] = ["ip_version", "icmp ", "mtu", "inet_addr", "AF_INET", "tcpi_pmtu"];

fn run_text(text: &str) -> Result<(), String> {
    let script = Script::parse(text).map_err(|error| error.to_string())?;
    let report = script.run();
    report
        .result
        .map_err(|failure| format!("{failure}\n  what happened:\n    {}", report.trace.join("\n    ")))
}

/// Runs all scripts of a folder and of those in it.
fn run_folder(folder: &Path, failures: &mut Vec<String>) -> usize {
    let mut ran = 0;
    for path in entries(folder) {
        if path.is_dir() {
            ran += run_folder(&path, failures);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            ran += 1;
            if let Err(why) = run(&path) {
                failures.push(format!("{}: {why}", path.display()));
            }
        }
    }
    ran
}

fn check(folder: &str) {
    let mut failures = Vec::new();
    let ran = run_folder(&root().join(folder), &mut failures);
    assert!(ran > 0, "there are no scripts in {folder}");
    assert!(failures.is_empty(), "{} of {ran} scripts failed\n{}", failures.len(), failures.join("\n"));
}

macro_rules! folders {
    ($($folder:ident)*) => {
        $(#[test] fn $folder() { check(stringify!($folder)); })*

        /// A folder that nobody named above would never run.
        #[test]
        fn every_folder_runs() {
            let named = [$(stringify!($folder)),*];
            for path in entries(&root()) {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                assert!(named.contains(&name), "scripts/{name} is not run");
            }
        }
    };
}

folders! {
    acceptance acknowledge attacks closed_port closing congestion ecn headers icmp ipv6 keep_alive listening
    opening options pitfalls pmtu probe receive recovery retransmit sack send tcp tcp_errors
    time_wait timeouts timestamps udp urgent window
}
