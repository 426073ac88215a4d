//! The rules for what is sent about membership of groups.

use std::net::Ipv4Addr;

use etherparse::{IgmpSlice, Ipv4HeaderSlice};

use super::ensure;

pub(super) fn check(igmp: &IgmpSlice<'_>, header: &Ipv4HeaderSlice<'_>) -> Result<(), String> {
    ensure(igmp.is_checksum_valid(), "a wrong IGMP checksum")?;
    ensure(header.ttl() == 1, "IGMP with another time-to-live than 1")?;
    let alert = header.options().starts_with(&[0x94, 4, 0, 0]);
    ensure(alert || matches!(igmp, IgmpSlice::MembershipReportV1(_)), "IGMP without a router alert")?;
    let destination = header.destination_addr();
    match igmp {
        IgmpSlice::MembershipReportV1(report) => to_group(destination, report.group_address().octets),
        IgmpSlice::MembershipReportV2(report) => to_group(destination, report.group_address().octets),
        IgmpSlice::LeaveGroup(_) => {
            ensure(destination.octets() == [224, 0, 0, 2], "a leave that does not go to all routers")
        }
        IgmpSlice::MembershipReportV3(report) => {
            ensure(destination.octets() == [224, 0, 0, 22], "a report that does not go to its routers")?;
            for record in report.group_records() {
                let record = record.map_err(|error| format!("malformed: {error}"))?;
                let group = Ipv4Addr::from(record.multicast_address());
                ensure((1..=6).contains(&record.record_type().0), "an unknown type of record")?;
                ensure(group.is_multicast() && group.octets() != [224, 0, 0, 1], "a record of no group")?;
            }
            ensure(report.num_of_records() > 0, "a report of nothing")
        }
        IgmpSlice::MembershipQuery(_) | IgmpSlice::MembershipQueryWithSources(_) => {
            ensure(destination.is_multicast(), "a query that does not go to a group")
        }
        IgmpSlice::Unknown(_) => Err("an unknown IGMP message".to_owned()),
    }
}

fn to_group(destination: Ipv4Addr, group: [u8; 4]) -> Result<(), String> {
    ensure(destination.is_multicast() && destination.octets() == group, "a report that goes elsewhere")
}
