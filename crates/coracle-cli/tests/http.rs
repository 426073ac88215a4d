//! The HTTP server that `coracle up` runs, with Linux's sockets as its clients.

use coracle_host::namespace::Running;
use coracle_host::testing::or_skip;
use coracle_host::{Error, Namespace};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A namespace with the program at work in it.
struct Server {
    namespace: Namespace,
    _up: Running,
}

impl Server {
    fn new() -> Option<Self> {
        let namespace = or_skip(Namespace::new())?;
        or_skip(namespace.open_tap("probe"))?;
        namespace.silence().unwrap();
        for words in ["tuntap add dev tap0 mode tap", "address add 192.0.2.1/24 dev tap0", "link set tap0 up"]
        {
            namespace.ip(words).unwrap();
        }
        let up = namespace.command(env!("CARGO_BIN_EXE_coracle")).args(["up", "--tap", "tap0"]);
        let up = up.args(["--address", "192.0.2.2/24"]).timeout(Duration::from_mins(1)).start().unwrap();
        assert!(up.wait_for_text("answering", PATIENCE));
        Some(Self { namespace, _up: up })
    }

    fn connect(&self) -> TcpStream {
        let connect = || TcpStream::connect_timeout(&"192.0.2.2:80".parse().unwrap(), PATIENCE);
        let stream = self.namespace.run(connect).unwrap().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Everything that is answered until the server closes.
    fn converse(&self, words: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(words).unwrap();
        read_to_end(&mut stream)
    }
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// The head of the next answer, and as many bytes of body as it says.
fn answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (_, length) = head.split_once("Content-Length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 192.0.2.2\r\n{more}\r\n")
}

/// The bytes of `/bytes/N`.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| index % (16 * 1024)).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn answers_follow_each_other_on_one_connection() {
    let Some(server) = Server::new() else { return };
    let mut stream = server.connect();
    for _ in 0..20 {
        stream.write_all(request("/", "").as_bytes()).unwrap();
        let (head, body) = answer(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Connection"), "{head}");
        assert!(String::from_utf8(body).unwrap().contains("This page comes from Coracle"));
        stream.write_all(request("/nothing", "").as_bytes()).unwrap();
        assert!(answer(&mut stream).0.starts_with("HTTP/1.1 404 "), "and the connection goes on");
        stream.write_all(request("/bytes/70001", "Content-Length: 3\r\n").as_bytes()).unwrap();
        stream.write_all(b"xyz").unwrap();
        assert_eq!(answer(&mut stream).1, pattern(70_001));
    }
    stream.write_all(request("/bytes/0", "Connection: close\r\n").as_bytes()).unwrap();
    let last = String::from_utf8(read_to_end(&mut stream)).unwrap();
    assert!(last.contains("Content-Length: 0\r\n") && last.contains("Connection: close\r\n"), "{last}");
}

#[test]
fn however_requests_are_cut_into_segments_the_answers_are_the_same() {
    let Some(server) = Server::new() else { return };
    let words: String = (0..10).map(|number| request(&format!("/bytes/{}", number * 100), "")).collect();
    for size in [1, 3, 50, words.len()] {
        let mut stream = server.connect();
        for part in words.as_bytes().chunks(size) {
            stream.write_all(part).unwrap();
        }
        for number in 0..10 {
            let (head, body) = answer(&mut stream);
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(body, pattern(number * 100), "pieces of {size}");
        }
        // A client that sends no more gets its answers still, and then the end.
        stream.write_all(request("/bytes/5", "").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read_to_end(&mut stream).ends_with(&pattern(5)));
    }
}

#[test]
fn a_head_alone_and_what_is_refused() {
    let Some(server) = Server::new() else { return };
    let head = server.converse(b"HEAD /bytes/1000 HTTP/1.0\r\n\r\n");
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("Content-Length: 1000\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let long = vec![b'a'; 4_000];
    let fields = request("/", &"Field: value\r\n".repeat(1_000));
    let garbage: Vec<u8> = (0..3_000u32).map(|index| (index * 89 + index / 7) as u8).collect();
    for (words, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n"[..], "400"),
        (b"nonsense\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
        (&long, "414"),
        (fields.as_bytes(), "431"),
        (&garbage, "4"),
    ] {
        let answer = server.converse(words);
        let line = String::from_utf8_lossy(&answer);
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {line}");
        assert!(line.contains("Connection: close\r\n"), "{line}");
    }
    assert!(server.converse(request("/", "Connection: close\r\n").as_bytes()).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn clients_that_do_not_read_hold_up_nobody_else() {
    let Some(server) = Server::new() else { return };
    // Each would take a gigabyte, and reads nothing.
    let deaf: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(request("/bytes/1000000000", "").as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        let answer = server.converse(request("/bytes/200000", "Connection: close\r\n").as_bytes());
        assert!(answer.ends_with(&pattern(200_000)));
    }
    drop(deaf);
    assert!(server.converse(request("/", "Connection: close\r\n").as_bytes()).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn linuxs_curl_gets_pages_and_downloads() {
    let Some(server) = Server::new() else { return };
    let curl = |words: &str| {
        let command = server.namespace.command("curl").args(["-sS", "-m", "20"]);
        or_skip(command.args(words.split(' ')).timeout(Duration::from_secs(30)).output())
            .expect("curl is part of the test machine")
    };
    let page = curl("http://192.0.2.2/");
    assert!(page.success && page.stdout.contains("This page comes from Coracle"), "{page:?}");
    let missing = curl("-f http://192.0.2.2/missing");
    assert_eq!(missing.code, Some(22), "{missing:?}");
    let head = curl("-I http://192.0.2.2/bytes/77");
    assert!(head.stdout.contains("Content-Length: 77\r\n"), "{head:?}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("download");
    let download = curl(&format!("-o {} http://192.0.2.2/bytes/3000000", file.display()));
    assert!(download.success, "{download:?}");
    assert!(std::fs::read(&file).unwrap() == pattern(3_000_000), "every byte is as it was sent");
    std::fs::remove_file(file).unwrap();
    match server.namespace.command("curl").args(["-sS", "-m", "5", "http://192.0.2.2:81/"]).run() {
        Err(Error::Failed { output, .. }) => assert_eq!(output.code, Some(7), "{output:?}"),
        other => panic!("a refusal is expected, not {other:?}"),
    }
}
