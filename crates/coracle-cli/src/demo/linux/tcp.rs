//! Linux's own programs as clients of what the stack serves over TCP.

use super::{CORACLE, Demo, Outcome, PATIENCE, Problem};
use crate::demo::text;
use crate::serve::http;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What curl downloads.
const DOWNLOAD: u32 = 1_000_000;
/// What goes to the echo and back.
const ECHOED: usize = 200_000;
/// curl's measurements of the page, one to a line, behind the page itself.
const WRITE_OUT: &str = "\n%{http_code}\n%{size_download}\n%{num_connects}\n%{time_total}";

impl Demo {
    /// A page, twice over one connection.
    pub(super) fn page(&self) -> Outcome {
        let url = format!("http://{CORACLE}/");
        let curl = self.namespace.command("curl").args(["-sS", "-m", "10", "-w", WRITE_OUT, &url, &url]);
        let output = curl.run()?;
        let pages: Vec<&str> = output.stdout.split("<!DOCTYPE html>").skip(1).collect();
        let [first, second] = pages.as_slice() else {
            return Err(Problem::Failed(format!("{} pages came: {}", pages.len(), output.stdout)));
        };
        let (first, second) = (Measured::read(first)?, Measured::read(second)?);
        if (first.status, second.status) != (200, 200) || (first.connections, second.connections) != (1, 0) {
            return Err(Problem::Failed(format!("{first:?}, {second:?}")));
        }
        Ok(format!(
            "\"This page comes from Coracle\", {} bytes; again over the same connection in {:.0} µs",
            first.size,
            second.time.as_secs_f64() * 1e6
        ))
    }

    /// A download, of which every byte is compared.
    pub(super) fn download(&self) -> Outcome {
        let file = Scratch::new();
        let url = format!("http://{CORACLE}/bytes/{DOWNLOAD}");
        let curl = self.namespace.command("curl").args(["-sS", "-m", "10", "-w", WRITE_OUT, "-o"]);
        let measured = Measured::read(&curl.arg(&file.0).arg(url).run()?.stdout)?;
        let bytes = std::fs::read(&file.0)?;
        let as_sent = bytes.iter().eq(http::PATTERN.iter().cycle().take(DOWNLOAD as usize));
        if measured.status != 200 || !as_sent {
            return Err(Problem::Failed(format!(
                "{} bytes, not those that were sent: {measured:?}",
                bytes.len()
            )));
        }
        let rate = f64::from(DOWNLOAD) / measured.time.as_secs_f64() / 1e6;
        Ok(format!("{DOWNLOAD} bytes, every one compared, {rate:.0} MB/s"))
    }

    /// What socat sends comes back; then it sends no more, and the stack closes too.
    pub(super) fn tcp_echo(&self) -> Outcome {
        let sent = text(ECHOED);
        let start = Instant::now();
        let socat = self.namespace.command("socat").args(["-t", "5", "-", &format!("TCP:{CORACLE}:7")]);
        let output = socat.input(sent.clone()).run()?;
        if output.stdout.as_bytes() != sent {
            return Err(Problem::Failed(format!("{} of {ECHOED} bytes came back", output.stdout.len())));
        }
        let time = start.elapsed().as_secs_f64() * 1e3;
        Ok(format!("{ECHOED} bytes from socat came back unchanged, then both closed, {time:.0} ms in all"))
    }

    pub(super) fn closed_tcp_port(&self) -> Outcome {
        let connected = self.namespace.run(|| TcpStream::connect_timeout(&(CORACLE, 9).into(), PATIENCE))?;
        match connected {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Ok(format!("Linux's client is told: {}", io::Error::from(error.kind())))
            }
            other => Err(Problem::Failed(format!("expected a refusal, found {other:?}"))),
        }
    }
}

/// What curl says of a transfer.
#[derive(Debug)]
struct Measured {
    status: u16,
    size: usize,
    connections: usize,
    time: Duration,
}

impl Measured {
    /// From the end of its output.
    fn read(output: &str) -> Result<Self, Problem> {
        let mut lines = output.rsplit('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (time, connections, size, status) = (next(), next(), next(), next());
        let measured = (|| {
            Some(Self {
                status: status.parse().ok()?,
                size: size.parse().ok()?,
                connections: connections.parse().ok()?,
                time: Duration::try_from_secs_f64(time.parse().ok()?).ok()?,
            })
        })();
        measured.ok_or_else(|| Problem::Failed(format!("curl said {output}")))
    }
}

/// A file that is gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("coracle-demo-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is not there when curl made none.
        let _ = std::fs::remove_file(&self.0);
    }
}
