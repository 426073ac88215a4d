//! Words that a connection keeps for its application.

mod tcp_common;

use std::time::Duration;

use coracle::Error;
use tcp_common::*;

#[test]
fn words_stay_with_their_connection_and_go_with_it() {
    let mut pair = Pair::with(|_, limits| (limits.tcp_ext_args, limits.tcp) = (2, 1));
    let (client, _) = App::new();
    let first = pair.client.stack.tcp_new(client.clone()).unwrap();
    let mut tcp = pair.client.stack.tcp(first).unwrap();
    tcp.set_ext_arg(1, 7).unwrap();
    assert_eq!((tcp.ext_arg(0), tcp.ext_arg(1)), (Ok(0), Ok(7)));
    assert_eq!((tcp.ext_arg(2), tcp.set_ext_arg(2, 1)), (Err(Error::Argument), Err(Error::Argument)));
    tcp.close().unwrap();
    assert_eq!(tcp.ext_arg(1), Err(Error::Closed));
    let next = pair.client.stack.tcp_new(client).unwrap();
    assert_eq!(pair.client.stack.tcp(next).unwrap().ext_arg(1), Ok(0), "what another left is not seen");
    pair.run(Duration::from_secs(1));
}
