//! The Ethernet controller of the chip: a frame goes in and out word by word through its FIFO.

use coracle::{Error, MacAddr, Memory, Pbuf};
use coracle_firmware_app::register::{Device, Register};
use coracle_os::{Driver, Properties};

use crate::board::SYSTEM;

#[allow(unsafe_code)]
// SAFETY: these are its registers on this chip; its FIFO is read and written through them.
const MAC: Device = unsafe { Device::at(0x4004_8000, 0x40) };

const DEVICES_ON: Register = SYSTEM.register(0x108);
const MAC_AND_PHY: u32 = 1 << 28 | 1 << 30;

/// What happened; writing a one forgets it.
const STATUS: Register = MAC.register(0x00);
const MASK: Register = MAC.register(0x04);
const RECEIVE: Register = MAC.register(0x08);
const TRANSMIT: Register = MAC.register(0x0c);
const DATA: Register = MAC.register(0x10);
const ADDRESS_LOW: Register = MAC.register(0x14);
const ADDRESS_HIGH: Register = MAC.register(0x18);
/// How many frames wait.
const FRAMES: Register = MAC.register(0x34);
const REQUEST: Register = MAC.register(0x38);

const RECEIVED: u32 = 1;
const RECEIVE_ON: u32 = 1 << 0;
const RECEIVE_GROUPS: u32 = 1 << 1;
const RESET_FIFO: u32 = 1 << 4;
const TRANSMIT_ON: u32 = 1 << 0;
const PAD: u32 = 1 << 1;
const CHECK_SEQUENCE: u32 = 1 << 2;
const FULL_DUPLEX: u32 = 1 << 4;
const NEW_FRAME: u32 = 1;

/// What the length of a received frame counts besides the frame: itself, and the frame check sequence.
const LENGTH_AND_FCS: usize = 2 + 4;
/// What the length of a frame to be sent does not count: the header.
const HEADER: u32 = 14;

/// The controller.
pub(crate) struct Ethernet {
    properties: Properties,
}

/// Its interrupt has come. It stays away until the driver has taken everything, as it would come again at once before.
pub(crate) fn quiet() {
    MASK.write(0);
}

impl Ethernet {
    /// Lets the controller receive and send; returns its station address as well.
    pub(crate) fn start() -> (Self, MacAddr) {
        DEVICES_ON.write(DEVICES_ON.read() | MAC_AND_PHY);
        RECEIVE.write(RESET_FIFO);
        RECEIVE.write(RECEIVE_ON | RECEIVE_GROUPS);
        TRANSMIT.write(TRANSMIT_ON | PAD | CHECK_SEQUENCE | FULL_DUPLEX);
        MASK.write(RECEIVED);
        let low = ADDRESS_LOW.read().to_le_bytes();
        let high = ADDRESS_HIGH.read().to_le_bytes();
        let station = MacAddr::new(low[0], low[1], low[2], low[3], high[0], high[1]);
        (Self { properties: Properties::ethernet(station) }, station)
    }
}

impl Driver for Ethernet {
    fn properties(&self) -> Properties {
        self.properties
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        if FRAMES.read() == 0 {
            // What comes from here on is told; what came just now is not.
            STATUS.write(RECEIVED);
            MASK.write(RECEIVED);
            if FRAMES.read() == 0 {
                return Ok(None);
            }
        }
        let first = DATA.read();
        let len = ((first & 0xffff) as usize).saturating_sub(LENGTH_AND_FCS);
        // Without a buffer the frame goes, so that those behind it come, which may free some.
        let mut frame = self.properties.buffer_for(memory, len);
        let room = match &mut frame {
            Ok(frame) => frame.payload_mut()?,
            Err(_) => &mut [],
        };
        // The first two bytes share a word with the length.
        let (head, rest) = room.split_at_mut(room.len().min(2));
        head.copy_from_slice(&first.to_le_bytes()[2..][..head.len()]);
        let mut rest = rest.chunks_mut(4);
        for _ in 1..(len + LENGTH_AND_FCS).div_ceil(4) {
            let word = DATA.read().to_le_bytes();
            for (to, from) in rest.next().unwrap_or_default().iter_mut().zip(word) {
                *to = from;
            }
        }
        frame.map(Some)
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        if REQUEST.read() & NEW_FRAME != 0 {
            // The one before is still leaving; the next round tries again.
            return Err(frame);
        }
        let len = (frame.len() as u32).saturating_sub(HEADER).to_le_bytes();
        let mut word = [len[0], len[1], 0, 0];
        let mut filled = 2;
        for &byte in frame.segments().flatten() {
            word[filled] = byte;
            filled += 1;
            if filled == word.len() {
                DATA.write(u32::from_le_bytes(word));
                filled = 0;
            }
        }
        if filled > 0 {
            DATA.write(u32::from_le_bytes(word));
        }
        REQUEST.write(NEW_FRAME);
        Ok(())
    }
}
