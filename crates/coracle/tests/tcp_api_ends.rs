//! How connections end, as the TCP API promises: by whom, from where, and what is heard of it.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

#[test]
fn a_stack_whose_only_connection_was_aborted_with_data_to_send_sleeps() {
    let mut pair = Pair::new();
    let (server, _) = App::new();
    pair.listen(server);
    let (client, _) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_secs(1));
    let mut connection = pair.client.stack.tcp(tcp).unwrap();
    connection.write_bytes(b"never to leave").unwrap();
    drop(connection.abort().unwrap());
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.client.stack.poll(pair.now), None);
}
