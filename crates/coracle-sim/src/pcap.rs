//! Captures in the classic pcap format, which every capture tool reads.
//!
//! The format is a 24-byte header and 16 bytes before each frame, so writing it takes fewer lines than adapting a library;
//! the tests let an independent reader and tshark judge the result.
//!
//! ```
//! use coracle_sim::pcap::{LinkType, PcapWriter};
//! let mut capture = PcapWriter::new(Vec::new(), LinkType::Ethernet)?;
//! capture.write(1_500_000, &[0u8; 60])?;
//! assert_eq!(capture.into_inner()?.len(), 24 + 16 + 60);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the captured bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header (`LINKTYPE_ETHERNET`, 1).
    Ethernet,
    /// An IPv4 or IPv6 header (`LINKTYPE_RAW`, 101).
    Ip,
}

/// Writes frames into a capture. Small writes follow one another, so give it a buffered writer;
/// [`create`](Self::create) does.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    out: W,
    epoch: u64,
}

/// Frames beyond this length are cut; it is what capture tools use as "no limit".
const SNAP_LENGTH: u32 = 262_144;
/// Timestamps in microseconds; readers learn the byte order from this number, which is written little-endian.
const MAGIC: u32 = 0xA1B2_C3D4;

impl PcapWriter<BufWriter<File>> {
    /// Starts a capture in a new file; a file of that name is replaced.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn create(path: impl AsRef<Path>, link: LinkType) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?), link)
    }
}

impl<W: Write> PcapWriter<W> {
    /// Starts a capture. Time 0 is shown as 1 January 1970, which suits virtual time; see
    /// [`starting_now`](Self::starting_now).
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut out: W, link: LinkType) -> io::Result<Self> {
        let link: u32 = match link {
            LinkType::Ethernet => 1,
            LinkType::Ip => 101,
        };
        let mut header = [0; 24];
        put(&mut header[0..], MAGIC);
        // Format version 2.4, in two 16-bit fields; the two fields behind it are always 0.
        put(&mut header[4..], (4 << 16) | 2);
        put(&mut header[16..], SNAP_LENGTH);
        put(&mut header[20..], link);
        out.write_all(&header)?;
        Ok(Self { out, epoch: 0 })
    }

    /// Shows the time `now` (microseconds on the clock that the frames' times are from) as the present date.
    #[must_use]
    pub fn starting_now(mut self, now: u64) -> Self {
        let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.epoch = (date.as_micros() as u64).saturating_sub(now);
        self
    }

    /// Adds a frame that was seen at `time`, in microseconds.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, time: u64, frame: &[u8]) -> io::Result<()> {
        self.write_parts(time, [frame])
    }

    /// Adds a frame that lies in several parts, such as a chain of buffers.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_parts<'a, I>(&mut self, time: u64, parts: I) -> io::Result<()>
    where
        I: IntoIterator<Item = &'a [u8]>,
        I::IntoIter: Clone,
    {
        let parts = parts.into_iter();
        let length: usize = parts.clone().map(<[u8]>::len).sum();
        let mut left = length.min(SNAP_LENGTH as usize);
        let time = self.epoch.saturating_add(time);
        let mut header = [0; 16];
        // Seconds have 32 bits, which last until the year 2106.
        put(&mut header[0..], (time / 1_000_000) as u32);
        put(&mut header[4..], (time % 1_000_000) as u32);
        put(&mut header[8..], left as u32);
        put(&mut header[12..], u32::try_from(length).unwrap_or(u32::MAX));
        self.out.write_all(&header)?;
        for part in parts {
            let part = &part[..part.len().min(left)];
            left -= part.len();
            self.out.write_all(part)?;
        }
        Ok(())
    }

    /// Makes what was written visible to readers of the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn put(at: &mut [u8], value: u32) {
    at[..4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;
