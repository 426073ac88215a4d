//! The page about the board.

use coracle::{Error, Handler, Kind, Layer, Tcp};

use crate::application::Measure;
use crate::stack;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";

/// Lines of a name and a number.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    fn push(&mut self, text: &[u8]) {
        // The lines are known, and fit; what did not would be left out.
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(text) {
            *to = *from;
            self.len += 1;
        }
    }

    fn line(&mut self, name: &str, mut number: usize) {
        let mut digits = [b'0'; 10];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(name.as_bytes());
        self.push(b" ");
        self.push(&digits[first..]);
        self.push(b"\n");
    }
}

/// Sends the page.
///
/// # Errors
///
/// There is no room for it at present.
pub(crate) fn send<H: Handler>(tcp: &mut Tcp<'_, H>, measure: Measure) -> Result<(), Error> {
    let memory = tcp.stack().memory().clone();
    let stats = memory.stats();
    let mut text = Text { bytes: [0; 512], len: 0 };
    text.push(HEAD);
    for (name, number) in [
        ("stack_deepest", stack::deepest()),
        ("stack_size", stack::size()),
        ("buffers_used", stats.pool.used),
        ("buffers_peak", stats.pool.peak),
        ("buffers_failed", stats.pool.failed),
        ("small_peak", stats.small.peak),
        ("references_peak", stats.references.peak),
    ] {
        text.line(name, number);
    }
    for (name, number) in measure() {
        text.line(name, number);
    }
    tcp.write(memory.alloc_copy(Layer::Transport, &text.bytes[..text.len], Kind::Pool)?)?;
    Ok(())
}
