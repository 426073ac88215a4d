//! What there is to be had: a page about the connection that asks for it, and bytes to measure with.

use super::request::{Method, Refusal, decimal};
use crate::serve::Served;
use coracle::{Boxed, Error, Tcp};
use std::fmt::Write;

/// The bytes of `/bytes/N`, over and over: no two kilobytes of it are alike.
pub(crate) static PATTERN: [u8; 16 * 1024] = pattern();

const fn pattern() -> [u8; 16 * 1024] {
    let mut bytes = [0; 16 * 1024];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = (index * 7 + index / 251) as u8;
        index += 1;
    }
    bytes
}

/// The most that `/bytes/N` gives.
const MAX_BYTES: u64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    NotFound,
}

/// What an answer consists of, besides its head.
#[derive(Debug)]
pub(super) enum Body {
    Text(String),
    Pattern(u64),
}

/// What is at a path.
pub(super) fn find(path: &str, tcp: &mut Tcp<'_, Boxed>, served: &Served) -> (Status, Body) {
    let bytes = path.strip_prefix("/bytes/").and_then(|count| decimal(count.as_bytes()));
    match (path, bytes) {
        ("/" | "/index.html", _) => (Status::Ok, Body::Text(index(tcp, served))),
        (_, Some(count @ 0..=MAX_BYTES)) => (Status::Ok, Body::Pattern(count)),
        _ => (Status::NotFound, Body::Text(page("404 Not Found", "<p>There is no such page here.</p>"))),
    }
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>body {{ font: 1.1em/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }} \
         td {{ padding-right: 2em }}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{content}\n</body>\n</html>\n"
    )
}

fn index(tcp: &mut Tcp<'_, Boxed>, served: &Served) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(rows, "<tr><td>{name}</td><td>{value}</td></tr>");
    };
    if let Ok(remote) = tcp.remote() {
        row("you", remote.to_string());
    }
    if let Ok(info) = tcp.info() {
        row("round-trip time", format!("{} µs", info.rtt.as_micros()));
        row("congestion window", format!("{} bytes", info.congestion_window));
        row("largest segment", format!("{} bytes", info.mss));
        row("your window", format!("{} bytes", info.send_window));
    }
    row("requests before this one", (served.requests.get().saturating_sub(1)).to_string());
    let counters = tcp.stack().counters().tcp;
    row("segments received", counters.segments_received.to_string());
    row("segments sent again", counters.retransmitted.to_string());
    let content = format!(
        "<p>This page comes from Coracle, a TCP/IP stack with a raw API: no socket, no thread and no kernel took part on \
         this side.</p>\n<table>\n{rows}</table>\n<p>Bytes to measure with: <a href=\"/bytes/1000000\">a \
         million</a>.</p>"
    );
    page("Coracle", &content)
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Response {
    /// The head, and a body of text behind it.
    text: Vec<u8>,
    /// How much of the text was written.
    written: usize,
    /// How many bytes of the pattern are still to be written.
    pattern: u64,
}

impl Response {
    pub(super) fn new(status: Status, body: Body, method: Method, keep_alive: bool) -> Self {
        let status = match status {
            Status::Ok => "200 OK",
            Status::NotFound => "404 Not Found",
        };
        let (kind, length) = match &body {
            Body::Text(text) => ("text/html; charset=utf-8", text.len() as u64),
            Body::Pattern(count) => ("application/octet-stream", *count),
        };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let mut text = format!(
            "HTTP/1.1 {status}\r\nServer: Coracle\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{connection}\r\n"
        )
        .into_bytes();
        let mut pattern = 0;
        match body {
            // [RFC 9110 §9.3.2] The head of what GET would get, and nothing else.
            _ if method == Method::Head => {}
            Body::Text(body) => text.extend_from_slice(body.as_bytes()),
            Body::Pattern(count) => pattern = count,
        }
        Self { text, written: 0, pattern }
    }

    /// The answer to what is no request, or to none that is served here.
    pub(super) fn refusal(Refusal(status, reason): Refusal) -> Self {
        let body = page(&format!("{status} {reason}"), "<p>That cannot be answered.</p>");
        // [RFC 9110 §15.5.6]
        let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let text = format!(
            "HTTP/1.1 {status} {reason}\r\nServer: Coracle\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Length: {}\r\n{allow}Connection: close\r\n\r\n{body}",
            body.len()
        );
        Self { text: text.into_bytes(), written: 0, pattern: 0 }
    }

    /// Writes as much as there is room for; whether that was all.
    pub(super) fn write(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<bool, Error> {
        while self.written < self.text.len() {
            match tcp.write_some(&self.text[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) => return wait(error),
            }
        }
        while self.pattern > 0 {
            // Once through the pattern in a packet, so that segments are full: there is a little wait for room.
            let size = self.pattern.min(PATTERN.len() as u64) as usize;
            if size > tcp.send_buffer()? {
                return Ok(false);
            }
            let piece = &PATTERN[..size];
            let more = size as u64 != self.pattern;
            let written = if more { tcp.write_static_more(piece) } else { tcp.write_static(piece) };
            if let Err(error) = written {
                return wait(error);
            }
            self.pattern -= size as u64;
        }
        Ok(true)
    }
}

/// Room and memory come back; anything else does not.
fn wait(error: Error) -> Result<bool, Error> {
    match error {
        Error::WouldBlock | Error::Memory => Ok(false),
        error => Err(error),
    }
}
