//! The LAN9118 Ethernet controller: a frame goes in and out word by word through its FIFOs.

use coracle::{Error, MacAddr, Memory, Pbuf};
use coracle_firmware_app::register::{Device, Register};
use coracle_os::{Driver, Properties};

#[allow(unsafe_code)]
// SAFETY: these are its registers on this board; its FIFOs are read and written through them.
const LAN9118: Device = unsafe { Device::at(0x4020_0000, 0x100) };

const RX_DATA: Register = LAN9118.register(0x00);
const TX_DATA: Register = LAN9118.register(0x20);
const RX_STATUS: Register = LAN9118.register(0x40);
const IRQ_CFG: Register = LAN9118.register(0x54);
const INT_STS: Register = LAN9118.register(0x58);
const INT_EN: Register = LAN9118.register(0x5c);
const FIFO_INT: Register = LAN9118.register(0x68);
const TX_CFG: Register = LAN9118.register(0x70);
const HW_CFG: Register = LAN9118.register(0x74);
const RX_FIFO_INF: Register = LAN9118.register(0x7c);
const TX_FIFO_INF: Register = LAN9118.register(0x80);
const MAC_CSR_CMD: Register = LAN9118.register(0xa4);
const MAC_CSR_DATA: Register = LAN9118.register(0xa8);

/// Registers of the MAC behind `MAC_CSR_CMD`.
const MAC_CR: u32 = 1;
const ADDRH: u32 = 2;
const ADDRL: u32 = 3;

const SOFT_RESET: u32 = 1;
const TX_ON: u32 = 1 << 1;
const BUSY: u32 = 1 << 31;
const READ: u32 = 1 << 30;
const RECEIVE_AND_TRANSMIT: u32 = 1 << 2 | 1 << 3;
/// Frames to groups come too: IPv6 finds its neighbours by them.
const ALL_GROUPS: u32 = 1 << 19;
/// An interrupt line that is driven high while there is something.
const IRQ_ACTIVE_HIGH: u32 = 1 << 8 | 1 << 4 | 1;
/// More frames wait than `FIFO_INT` says.
const RX_STATUS_LEVEL: u32 = 1 << 3;
/// How many statuses of received frames wait.
const RX_WAITING: u32 = 0xff << 16;
const RX_ERROR: u32 = 1 << 15;
const FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;

/// The frame check sequence, which the controller adds and leaves on.
const FCS: usize = 4;

/// The controller.
pub(crate) struct Lan9118 {
    properties: Properties,
}

/// Its interrupt has come. It stays away until the driver has taken everything, as it would come again at once before.
pub(crate) fn quiet() {
    INT_EN.write(0);
}

impl Lan9118 {
    /// Resets the controller and lets it receive and send; returns its station address as well.
    pub(crate) fn start() -> (Self, MacAddr) {
        HW_CFG.write(SOFT_RESET);
        while HW_CFG.read() & SOFT_RESET != 0 {}
        mac_write(MAC_CR, RECEIVE_AND_TRANSMIT | ALL_GROUPS);
        TX_CFG.write(TX_ON);
        FIFO_INT.write(0);
        IRQ_CFG.write(IRQ_ACTIVE_HIGH);
        INT_EN.write(RX_STATUS_LEVEL);
        let low = mac_read(ADDRL).to_le_bytes();
        let high = mac_read(ADDRH).to_le_bytes();
        let station = MacAddr::new(low[0], low[1], low[2], low[3], high[0], high[1]);
        (Self { properties: Properties::ethernet(station) }, station)
    }
}

impl Driver for Lan9118 {
    fn properties(&self) -> Properties {
        self.properties
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        if RX_FIFO_INF.read() & RX_WAITING == 0 {
            // What comes from here on is told.
            INT_STS.write(RX_STATUS_LEVEL);
            INT_EN.write(RX_STATUS_LEVEL);
            return Ok(None);
        }
        let status = RX_STATUS.read();
        let in_fifo = (status >> 16 & 0x3fff) as usize;
        let len = in_fifo.saturating_sub(FCS);
        // Without a buffer the frame goes, so that those behind it come, which may free some.
        let mut frame = self.properties.buffer_for(memory, len);
        let room = match &mut frame {
            Ok(frame) => frame.payload_mut()?,
            Err(_) => &mut [],
        };
        let mut room = room.chunks_mut(4);
        for _ in 0..in_fifo.div_ceil(4) {
            let word = RX_DATA.read().to_le_bytes();
            for (to, from) in room.next().unwrap_or_default().iter_mut().zip(word) {
                *to = from;
            }
        }
        if status & RX_ERROR != 0 {
            // The stack drops and counts a frame without a header.
            frame.as_mut().map_or(Ok(()), |frame| frame.truncate(0))?;
        }
        frame.map(Some)
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        let len = frame.len() as u32;
        // Two words of command, and one for what the last bytes leave.
        if (TX_FIFO_INF.read() & 0xffff) < len + 12 {
            return Err(frame);
        }
        TX_DATA.write(FIRST_AND_LAST | len);
        TX_DATA.write(len);
        let mut word = [0; 4];
        let mut filled = 0;
        for &byte in frame.segments().flatten() {
            word[filled] = byte;
            filled += 1;
            if filled == word.len() {
                TX_DATA.write(u32::from_le_bytes(word));
                filled = 0;
            }
        }
        if filled > 0 {
            TX_DATA.write(u32::from_le_bytes(word));
        }
        Ok(())
    }
}

fn mac_read(register: u32) -> u32 {
    MAC_CSR_CMD.write(BUSY | READ | register);
    while MAC_CSR_CMD.read() & BUSY != 0 {}
    MAC_CSR_DATA.read()
}

fn mac_write(register: u32, value: u32) {
    MAC_CSR_DATA.write(value);
    MAC_CSR_CMD.write(BUSY | register);
    while MAC_CSR_CMD.read() & BUSY != 0 {}
}
