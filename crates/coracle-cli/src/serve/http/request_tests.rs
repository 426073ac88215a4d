//! Requests whole and in pieces, and what is none.

use super::*;

fn read(bytes: &[u8]) -> (usize, Option<Result<Request, Refusal>>) {
    Reader::default().take(bytes)
}

fn whole(text: &str) -> Result<Request, Refusal> {
    let (taken, result) = read(text.as_bytes());
    assert_eq!(taken, text.len(), "all of {text:?} is the head");
    result.unwrap_or_else(|| panic!("{text:?} is whole"))
}

fn status(text: &str) -> u16 {
    whole(text).unwrap_err().0
}

#[test]
fn a_request_is_read() {
    let request = whole("GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").unwrap();
    assert_eq!(request, Request { method: Method::Get, path: "/a/b".to_owned(), keep_alive: true, body: 0 });
    let request = whole("HEAD http://192.0.2.2:80/x HTTP/1.1\nhost:y\nContent-Length: 12\n\n").unwrap();
    assert_eq!(request, Request { method: Method::Head, path: "/x".to_owned(), keep_alive: true, body: 12 });
    assert_eq!(whole("GET http://host HTTP/1.1\r\nHost: host\r\n\r\n").unwrap().path, "/");
}

#[test]
fn however_it_is_cut_it_is_the_same_request() {
    let text = b"\r\n\r\nGET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let expected = Request { method: Method::Get, path: "/page".to_owned(), keep_alive: false, body: 0 };
    for size in 1..=text.len() {
        let mut reader = Reader::default();
        let mut results: Vec<_> = text.chunks(size).map(|part| reader.take(part)).collect();
        let (_, last) = results.pop().unwrap();
        assert!(results.iter().all(|(_, result)| result.is_none()), "pieces of {size}");
        assert_eq!(last.unwrap().unwrap(), expected, "pieces of {size}");
        assert!(reader.is_idle());
    }
}

#[test]
fn what_follows_the_head_stays() {
    let text = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut reader = Reader::default();
    let (taken, first) = reader.take(text);
    assert_eq!(first.unwrap().unwrap().path, "/1");
    let (_, second) = reader.take(&text[taken..]);
    assert_eq!(second.unwrap().unwrap().path, "/2");
}

#[test]
fn connections_stay_open_as_the_version_and_the_options_say() {
    for (line, option, keep) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: Upgrade, CLOSE\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.9", "", true),
    ] {
        let request = whole(&format!("GET / {line}\r\nHost: x\r\n{option}\r\n")).unwrap();
        assert_eq!(request.keep_alive, keep, "{line} {option}");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    for (text, expected) in [
        ("GET\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("G\u{0}T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/11\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    ] {
        assert_eq!(status(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_before_its_end() {
    let (taken, result) = read(&[b'x'; MAX_HEAD]);
    assert_eq!((taken, result.unwrap().unwrap_err().0), (MAX_LINE + 1, 414));
    let mut reader = Reader::default();
    let (_, none) = reader.take(b"GET / HTTP/1.1\r\nHost: x\r\n");
    assert_eq!(none, None);
    let field = b"Field: value\r\n";
    let refused = (0..MAX_HEAD).find_map(|_| reader.take(field).1).unwrap();
    assert_eq!(refused.unwrap_err().0, 431);
    assert!(reader.bytes.len() <= MAX_HEAD + 1, "and no more memory is spent on it");
}

#[test]
fn no_bytes_at_all_make_it_panic() {
    let mut state = 7u32;
    for round in 0..2_000 {
        let mut reader = Reader::default();
        let text = b"GET /bytes/9 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        let mut bytes = text.to_vec();
        for _ in 0..=round % 5 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = state as usize / 7 % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        let (taken, result) = reader.take(&bytes);
        assert!(taken <= bytes.len());
        if let Some(Ok(request)) = result {
            assert!(request.path.starts_with('/'));
        }
    }
}
