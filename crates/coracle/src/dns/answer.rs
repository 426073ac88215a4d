//! What an answer says about the question, and about nothing else.

use core::time::Duration;

use coracle_wire::Malformed;
use coracle_wire::dns::{Message, Name, NameBuf, Record, Section, class, kind, rcode};

/// Aliases followed for one question, in all messages together.
pub(super) const MAX_ALIASES: u8 = 12;

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Records, so many bytes of them.
    Records(usize),
    /// The name is an alias, and the answer does not say what the other name has.
    Alias,
    /// The name has no such records.
    NoData,
    /// There is no such name.
    NoName,
    /// More aliases than are followed, or a circle of them.
    TooManyAliases,
    /// The server does not know and asks nobody.
    NotResponsible,
}

/// What an answer says, and for how long; none if it must not be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) says: Says,
    pub(super) lifetime: Option<u32>,
    /// Aliases on the way.
    pub(super) aliases: u8,
}

/// Reads an answer without error but for that the name may not exist. The data of records is written into `records`,
/// each behind its length in two bytes, as much as there is room for.
///
/// Only records that belong to the name asked about, or to the name that it is an alias of, are looked at [5452-4].
/// The last name of that chain comes back in `current`.
pub(super) fn read(
    message: &Message<'_>,
    name: Name<'_>,
    wanted: u16,
    records: &mut [u8],
    current: &mut NameBuf,
) -> Result<Answer, Malformed> {
    *current = NameBuf::new(name);
    let mut lifetime = u32::MAX;
    let mut aliases = 0;
    let nobody = message.header.flags().rcode() == rcode::NAME_ERROR;
    loop {
        let (len, ttl) = collect(message, current.name(), wanted, records)?;
        lifetime = lifetime.min(ttl);
        if len > 0 && !nobody {
            return Ok(Answer { says: Says::Records(len), lifetime: Some(lifetime), aliases });
        }
        let Some((target, ttl)) = alias(message, current.name(), wanted)? else { break };
        lifetime = lifetime.min(ttl);
        *current = NameBuf::new(target);
        aliases += 1;
        if aliases > MAX_ALIASES {
            return Ok(Answer { says: Says::TooManyAliases, lifetime: None, aliases });
        }
    }
    let negative = negative_lifetime(message, current.name())?;
    let says = if nobody {
        // The code is about the last name of the chain [RFC 6604 §3]; nothing is there for the first one either.
        Says::NoName
    } else if negative.is_some() {
        Says::NoData
    } else if aliases > 0 {
        Says::Alias
    } else if is_referral(message)? {
        Says::NotResponsible
    } else {
        Says::NoData
    };
    let lifetime = match says {
        Says::Alias => Some(lifetime),
        _ => negative.map(|negative| negative.min(lifetime)),
    };
    Ok(Answer { says, lifetime, aliases })
}

fn answers<'a>(message: &Message<'a>) -> impl Iterator<Item = Result<Record<'a>, Malformed>> {
    message.records().take_while(|record| record.as_ref().map_or(true, |one| one.section == Section::Answer))
}

/// Copies the data of a name's records; returns how many bytes that were, and the shortest of their lifetimes.
fn collect(
    message: &Message<'_>,
    name: Name<'_>,
    wanted: u16,
    into: &mut [u8],
) -> Result<(usize, u32), Malformed> {
    let (mut len, mut lifetime) = (0, u32::MAX);
    for record in answers(message) {
        let record = record?;
        if record.kind != wanted || record.class & !class::CACHE_FLUSH != class::IN || record.name != name {
            continue;
        }
        let Some((head, body)) = into.get_mut(len..).and_then(|rest| rest.split_first_chunk_mut::<2>())
        else {
            break;
        };
        let Some(data_len) = record.expand(body)? else { break };
        *head = u16::try_from(data_len).map_err(|_| Malformed::Length)?.to_be_bytes();
        len += 2 + data_len;
        lifetime = lifetime.min(record.ttl());
    }
    Ok((len, lifetime))
}

fn alias<'a>(
    message: &Message<'a>,
    name: Name<'_>,
    wanted: u16,
) -> Result<Option<(Name<'a>, u32)>, Malformed> {
    if wanted == kind::CNAME {
        return Ok(None);
    }
    for record in answers(message) {
        let record = record?;
        if record.kind == kind::CNAME && record.class == class::IN && record.name == name {
            return Ok(Some((record.target()?, record.ttl())));
        }
    }
    Ok(None)
}

/// How long it may be believed that there is nothing: what the zone of the name says [2308-1].
fn negative_lifetime(message: &Message<'_>, name: Name<'_>) -> Result<Option<u32>, Malformed> {
    for record in message.records() {
        let record = record?;
        if record.section == Section::Authority && record.kind == kind::SOA && name.is_within(&record.name) {
            return Ok(Some(record.ttl().min(record.soa()?.minimum)));
        }
    }
    Ok(None)
}

/// Whether a server names others instead of asking them.
fn is_referral(message: &Message<'_>) -> Result<bool, Malformed> {
    use coracle_wire::dns::DnsFlags;
    let flags = message.header.flags();
    if flags.contains(DnsFlags::RECURSION_AVAILABLE) || flags.contains(DnsFlags::AUTHORITATIVE) {
        return Ok(false);
    }
    for record in message.records() {
        let record = record?;
        if record.section == Section::Authority && record.kind == kind::NS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seconds as a time, at the most `most`.
pub(super) fn lifetime(seconds: u32, most: Duration) -> Duration {
    Duration::from_secs(seconds.into()).min(most)
}
