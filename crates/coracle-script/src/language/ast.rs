//! What a script says, as data. Everything carries the line that it came from.

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Script {
    /// `--name=value` lines of the head.
    pub(crate) options: Vec<Setting>,
    /// `// coracle: name=value …` comments of the head.
    pub(crate) directives: Vec<Setting>,
    /// Shell commands before the first timed event.
    pub(crate) commands: Vec<(u32, String)>,
    /// What happens, in order.
    pub(crate) events: Vec<Event>,
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// One thing that happens, or must happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) line: u32,
    pub(crate) when: When,
    pub(crate) action: Action,
}

/// When an event happens, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Since the script's start.
    Absolute(u64),
    /// After the event before.
    Relative(u64),
    /// Anywhere between two times since the script's start.
    AbsoluteRange(u64, u64),
    /// Anywhere between two times after the event before.
    RelativeRange(u64, u64),
    /// Whenever it comes.
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// `<`: the runner hands a packet to the stack.
    Inbound(Packet),
    /// `>`: the stack must send this packet.
    Outbound(Packet),
    /// A system call and its result.
    Call(Call),
    /// A shell command.
    Command(String),
    /// A block of assertions.
    Code(String),
}

/// A packet, as a script writes it or as one came from the stack with its numbers made relative.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) ip: IpFields,
    /// `@n`: which of several connections; none: the current one.
    pub(crate) connection: Option<u32>,
    pub(crate) body: Body,
}

/// What a script asks of the IP header; none: anything will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IpFields {
    pub(crate) ecn: Option<Ecn>,
    pub(crate) tos: Option<u8>,
    pub(crate) ttl: Option<u8>,
    pub(crate) flow_label: Option<u32>,
    /// The packet may not be cut on its way.
    pub(crate) dont_fragment: Option<bool>,
    /// The checksum of the peer's segment is wrong.
    pub(crate) wrong_checksum: bool,
}

/// The two ECN bits [RFC 3168 §5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ecn {
    NotEct,
    Ect0,
    Ect1,
    /// Either of the two.
    Ect01,
    Ce,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Tcp(Tcp),
    Udp(Udp),
    Icmp(Icmp),
}

/// A TCP segment; `seq` and `ack` are relative to the first sequence numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) payload: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) window: Option<u16>,
    pub(crate) urgent: Option<u16>,
    /// None: `<...>`, anything will do.
    pub(crate) options: Option<Vec<TcpOption>>,
}

/// The flags of [`Tcp`], as in the header, AE in front [RFC 9293 §3.1; RFC 3168].
pub(crate) mod flag {
    pub(crate) const FIN: u16 = 0x001;
    pub(crate) const SYN: u16 = 0x002;
    pub(crate) const RST: u16 = 0x004;
    pub(crate) const PSH: u16 = 0x008;
    pub(crate) const ACK: u16 = 0x010;
    pub(crate) const URG: u16 = 0x020;
    pub(crate) const ECE: u16 = 0x040;
    pub(crate) const CWR: u16 = 0x080;
    pub(crate) const AE: u16 = 0x100;
    /// The letters of scripts, in the order in which they are shown.
    pub(crate) const LETTERS: [(char, u16); 9] = [
        ('F', FIN),
        ('S', SYN),
        ('R', RST),
        ('P', PSH),
        ('U', URG),
        ('E', ECE),
        ('W', CWR),
        ('A', AE),
        ('.', ACK),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TcpOption {
    End,
    Nop,
    Mss(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps {
        value: u32,
        echo: u32,
    },
    /// User timeout: the 16 bits as they are [RFC 5482].
    UserTimeout(u16),
    /// The bytes of any other, its kind and length included.
    Raw(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) payload: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Icmp {
    /// ICMP of IPv6.
    pub(crate) v6: bool,
    pub(crate) kind: u8,
    /// None: not said, zero in what is sent and anything in what comes.
    pub(crate) code: Option<u8>,
    /// The MTU of a "fragmentation needed" or "packet too big".
    pub(crate) mtu: Option<u32>,
    /// Identifier and sequence number of an echo.
    pub(crate) echo: Option<(u16, u16)>,
    /// The bytes behind the header of a message that quotes nothing.
    pub(crate) payload: u32,
    /// The packet that an error is about.
    pub(crate) quoted: Option<Quoted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoted {
    /// A segment that starts at a relative sequence number, with so many bytes of data.
    Tcp { seq: u32, payload: u32 },
    /// A datagram with so many bytes of data.
    Udp { payload: u32 },
}

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// When a blocking call must return: microseconds, counted as the start.
    pub(crate) end: Option<u64>,
    pub(crate) name: String,
    pub(crate) arguments: Vec<Expression>,
    pub(crate) result: Expression,
    pub(crate) errno: Option<String>,
}

/// An argument or a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    /// `...`: the runner chooses, or anything will do.
    Ellipsis,
    Number(i64),
    Text(String),
    /// A constant.
    Word(String),
    Or(Box<Expression>, Box<Expression>),
    List(Vec<Expression>),
    /// Fields in order; those of a plain list have no name.
    Struct(Vec<(Option<String>, Expression)>),
    /// `htons(8080)`, `inet_addr("192.0.2.1")`.
    Apply(String, Vec<Expression>),
}
