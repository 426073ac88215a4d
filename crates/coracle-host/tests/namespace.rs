//! Namespaces and the commands in them against the kernel.

use coracle_host::testing::or_skip;
use coracle_host::{Error, Namespace};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The kernel takes interfaces and processes away in the background; gives it up to ten seconds.
fn soon(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_namespace_is_empty_and_apart() {
    let Some(a) = or_skip(Namespace::new()) else { return };
    let Some(b) = or_skip(Namespace::new()) else { return };
    let Some(_tap) = or_skip(a.open_tap("tap0")) else { return };
    let names = |namespace: &Namespace| namespace.ip("-br link").unwrap().stdout.lines().count();
    assert_eq!((names(&a), names(&b)), (2, 1), "lo and tap0; lo");
    // The same address and port in both, and in neither from outside.
    let bind = || UdpSocket::bind("127.0.0.1:7777");
    let first = a.run(bind).unwrap().unwrap();
    let second = b.run(bind).unwrap().unwrap();
    let within = a.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    within.send_to(b"hello", "127.0.0.1:7777").unwrap();
    first.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(first.recv(&mut [0; 10]).unwrap(), 5);
    second.set_nonblocking(true).unwrap();
    assert!(second.recv(&mut [0; 10]).is_err());
}

#[test]
fn a_closure_may_borrow_and_its_panic_goes_on() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let mut count = 0;
    assert_eq!(
        namespace
            .run(|| {
                count += 1;
                7
            })
            .unwrap(),
        7
    );
    assert_eq!(count, 1);
    let caught = std::panic::catch_unwind(|| namespace.run(|| panic!("inside")));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    assert_eq!(namespace.run(|| 8).unwrap(), 8, "and the namespace goes on");
}

#[test]
fn a_namespace_vanishes_with_all_that_is_in_it() {
    let Some(kept) = or_skip(Namespace::new()) else { return };
    let dropped = Namespace::new().unwrap();
    let path = dropped.path();
    kept.ip(&format!("link add near type veth peer name far netns {}", path.display())).unwrap();
    assert!(dropped.ip("-br link").unwrap().stdout.contains("far"));
    let service = dropped.command("sleep").arg("1000").timeout(Duration::from_secs(1000)).start().unwrap();
    drop((dropped, service));
    assert!(soon(|| !kept.ip("-br link").unwrap().stdout.contains("near")), "one end goes with the other");
}

#[test]
fn parameters_are_set_inside_alone() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let other = Namespace::new().unwrap();
    namespace.sysctl("net.ipv4.ip_default_ttl", "77").unwrap();
    let read = |namespace: &Namespace| {
        namespace.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")).unwrap().unwrap()
    };
    assert_eq!((read(&namespace).trim(), read(&other).trim()), ("77", "64"));
    assert!(matches!(
        namespace.sysctl("net.ipv4.no_such_thing", "1"),
        Err(Error::Io { .. } | Error::NoPermission { .. })
    ));
}

#[test]
fn commands_report_how_they_ended() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let shell = |script: &str| namespace.command("sh").args(["-c", script]);
    let output =
        shell("read line; echo got $line; echo wrong >&2; exit 3").input("a line\n").output().unwrap();
    assert_eq!((output.success, output.code), (false, Some(3)));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("got a line\n", "wrong\n"));
    let message = shell("echo because >&2; exit 3").run().unwrap_err().to_string();
    assert_eq!(message, "`sh -c echo because >&2; exit 3` failed with code 3: because");
    assert_eq!(shell("kill -9 $$").output().unwrap().code, None);
    assert_eq!(shell("cat").output().unwrap().stdout, "", "nothing to read");
    let error = namespace.command("/no/such/program").output().unwrap_err();
    assert!(matches!(&error, Error::NoProgram(name) if name == "/no/such/program") && error.is_unavailable());
}

#[test]
fn a_command_is_ended_when_its_time_is_over_and_keeps_its_output() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let start = Instant::now();
    let command = namespace.command("sh").args(["-c", "echo before; sleep 1000; echo after"]);
    let Err(Error::Timeout { output, .. }) = command.timeout(Duration::from_millis(300)).output() else {
        panic!("it should have run out of time")
    };
    assert_eq!(output.stdout, "before\n");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn endless_output_is_bounded_in_memory_and_time() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let command = namespace.command("yes").timeout(Duration::from_millis(300));
    let Err(Error::Timeout { output, .. }) = command.output() else {
        panic!("it should have run out of time")
    };
    assert_eq!(output.stdout.len(), 4 << 20);
}

#[test]
fn children_of_a_command_end_with_it() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    // The grandchild keeps the pipe open; the command itself ends at once.
    let output = namespace.command("sh").args(["-c", "sleep 1000 & echo $!"]).output().unwrap();
    assert!(output.elapsed < Duration::from_secs(5));
    assert!(soon(|| !is_alive(output.stdout.trim())));
}

#[test]
fn a_dropped_command_is_killed() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let script = "trap '' TERM; echo $$; while true; do sleep 1; done";
    let running = namespace.command("sh").args(["-c", script]).start().unwrap();
    assert!(running.wait_for_text("\n", Duration::from_secs(5)));
    assert!(running.is_running());
    // It ignores the request, so it is killed after a second, and what it wrote is there.
    let output = running.stop().unwrap();
    assert!(!output.success && !is_alive(output.stdout.trim()));

    let running = namespace.command("sh").args(["-c", "echo $$ > /dev/stderr; sleep 1000"]).start().unwrap();
    assert!(running.wait_for_text("\n", Duration::from_secs(5)));
    assert!(!running.wait_for_text("never said", Duration::from_millis(20)));
    drop(running);
}

#[test]
fn a_stopped_command_may_put_things_in_order() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let script = "trap 'echo in order; exit 0' TERM; echo ready; while true; do sleep 0.01; done";
    let running = namespace.command("sh").args(["-c", script]).start().unwrap();
    assert!(running.wait_for_text("ready", Duration::from_secs(5)));
    let output = running.stop().unwrap();
    assert_eq!((output.success, output.stdout.as_str()), (true, "ready\nin order\n"));
}

fn is_alive(process: &str) -> bool {
    assert!(process.parse::<u32>().is_ok(), "{process:?} is a process number");
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

const HOLDER: &str = "CORACLE_TEST_HOLDER";

/// Not a test of its own: the program that the next test kills.
#[test]
fn holder() {
    if std::env::var_os(HOLDER).is_none() {
        return;
    }
    let namespace = Namespace::new().unwrap();
    let service = namespace.command("sleep").arg("1000").timeout(Duration::from_secs(1000)).start().unwrap();
    println!("\nstarted");
    service.wait().unwrap();
}

#[test]
fn a_killed_program_leaves_nothing_behind() {
    let Some(_) = or_skip(Namespace::new()) else { return };
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "holder", "--nocapture"]).env(HOLDER, "1").stdout(Stdio::piped());
    let mut program = program.spawn().unwrap();
    let output = BufReader::new(program.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "started"));
    // Its only child is the command; a thread's children are listed with the thread.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let children: String =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap()).collect();
    let child = children.trim().to_owned();
    assert!(is_alive(&child));
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(soon(|| !is_alive(&child)));
}
