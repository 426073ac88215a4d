//! What the receiving side of the TCP API promises: order, refused data, the window, the end of the stream.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

/// [RFC 9293 SHLD-31] What came behind a gap is delivered as soon as that is filled, and nothing of it is sent again.
#[test]
fn one_lost_segment_is_all_that_is_sent_again() {
    let mut pair = Pair::new();
    let mut large = 0;
    pair.fate = Some(Box::new(move |frame| {
        large += u32::from(frame.len() > 1_000);
        if large == 3 && frame.len() > 1_000 { vec![] } else { vec![Duration::ZERO] }
    }));
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let bytes = pattern(14_000);
    client_log.borrow_mut().to_send.extend(&bytes);
    pair.connect(client);
    pair.run(Duration::from_secs(1));
    assert!(server_log.borrow().received == bytes);
    let counters = pair.client.stack.counters().tcp;
    assert_eq!((counters.retransmitted, counters.timeouts), (1, 0));
}
