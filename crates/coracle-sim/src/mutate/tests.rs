use super::*;
use crate::judge;
use crate::repair::repair;

/// Of all protocols; of TCP with and without timestamps.
fn all_seeds() -> Vec<Seed> {
    let mut seeds = protocols::seeds();
    let talk = tcp::Conversation::default();
    seeds.extend(tcp::seeds(&talk));
    seeds.extend(tcp::seeds(&tcp::Conversation { timestamps: None, ..talk }));
    seeds
}

#[test]
fn every_seed_is_a_valid_frame_with_its_layers_in_place() {
    for seed in all_seeds() {
        let layer_of = |name: &str| seed.layers.iter().find(|layer| layer.table.name == name);
        // The judge is strict about errors that stacks send; the ones here are received. All else holds for both.
        let judged = judge::check(&seed.frame, seed.link());
        assert_eq!(judged, Ok(()), "{}", seed.name);
        if let Some(layer) = layer_of("IPv4") {
            assert_eq!(seed.frame[layer.at] >> 4, 4, "{}", seed.name);
        }
        let mut again = seed.frame.clone();
        repair(&mut again, seed.link());
        assert_eq!(again, seed.frame, "{}", seed.name);
    }
}

#[test]
fn a_field_is_read_back_as_it_was_set_and_touches_no_other_bit() {
    let field = Field::bits("fragment offset", 6, 2, 0x1fff);
    let mut header = [0xff; 8];
    field.set(&mut header, 0x0102);
    assert_eq!(header, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe1, 0x02]);
    assert_eq!(field.get(&header), Some(0x0102));
    assert_eq!(field.get(&header[..7]), None);
    field.set(&mut header[..7], 0);
    assert_eq!(header[6], 0xe1);
}

#[test]
fn the_values_of_a_field_hold_its_edges_but_not_the_present_one() {
    let field = Field::bits("header length", 0, 1, 0x0f).length();
    assert_eq!(field.values(5), [0, 1, 2, 4, 6, 7, 8, 10, 15]);
    assert_eq!(field.edges(5), [0, 4, 6, 8, 15]);
    assert_eq!(Field::byte("", 0).edges(0), [1, 128, 255]);
}

#[test]
fn an_option_put_in_moves_what_follows_and_leaves_a_valid_packet() {
    let seeds = protocols::seeds();
    let seed = seeds.iter().find(|seed| seed.name == "echo request").unwrap();
    let insert = Mutation::InsertOption { layer: 1, sample: 2 };
    let code = Mutation::Set { layer: 2, field: 1, value: 77 };
    let frame = &seed.apply(&[code, insert])[0];
    assert_eq!(judge::check(frame, seed.link()), Ok(()));
    assert_eq!((frame[14], &frame[34..38], frame[38], frame[39]), (0x46, &[0x94, 4, 0, 0][..], 8, 77));
}

#[test]
fn options_are_taken_out_and_repeated() {
    let seeds = protocols::seeds();
    let seed = seeds.iter().find(|seed| seed.name == "UDP with timestamps").unwrap();
    let without = &seed.apply(&[Mutation::RemoveOption { layer: 1, index: 0 }])[0];
    assert_eq!((without.len(), without[14]), (seed.frame.len() - 8, 0x45));
    let twice = &seed.apply(&[Mutation::RepeatOption { layer: 1, index: 0 }])[0];
    assert_eq!((twice.len(), twice[14]), (seed.frame.len() + 8, 0x49));
    assert_eq!(twice[34..42], twice[42..50]);
}

fn tcp_seed(name: &str) -> Seed {
    let mut seeds = tcp::seeds(&tcp::Conversation::default()).into_iter();
    seeds.find(|seed| seed.name == name).unwrap()
}

#[test]
fn a_tcp_option_put_in_moves_the_data_and_leaves_a_valid_packet() {
    let seed = tcp_seed("data");
    assert_eq!((seed.frame[46], &seed.frame[54..58]), (0x80, &[1, 1, 8, 10][..]));
    let nops = tcp::TCP.options.unwrap().samples.iter().position(|&sample| sample == [1, 1, 1, 1]).unwrap();
    let frame = &seed.apply(&[Mutation::InsertOption { layer: 2, sample: nops }])[0];
    assert_eq!(judge::check(frame, seed.link()), Ok(()));
    assert_eq!(frame.len(), seed.frame.len() + 4);
    assert_eq!((frame[46], &frame[54..60]), (0x90, &[1, 1, 1, 1, 1, 1][..]));
    assert_eq!(frame[70..], *b"data of a segment");

    // An option of the packet in front of it moves the segment.
    let alert = Mutation::InsertOption { layer: 1, sample: 2 };
    let frame = &seed.apply(&[alert, Mutation::InsertOption { layer: 2, sample: nops }])[0];
    assert_eq!(judge::check(frame, seed.link()), Ok(()));
    assert_eq!((frame[14], &frame[34..38], frame[50]), (0x46, &[0x94, 4, 0, 0][..], 0x90));
    assert_eq!(frame[74..], *b"data of a segment");
}

#[test]
fn tcp_options_are_taken_out_and_repeated() {
    let seed = tcp_seed("ACK");
    // Two NOPs, and the times.
    let without = &seed.apply(&[Mutation::RemoveOption { layer: 2, index: 2 }])[0];
    assert_eq!((without.len(), without[46]), (seed.frame.len() - 8, 0x60));
    assert_eq!(judge::check(without, seed.link()), Ok(()));
    let twice = &seed.apply(&[Mutation::RepeatOption { layer: 2, index: 2 }])[0];
    assert_eq!((twice.len(), twice[46]), (seed.frame.len() + 12, 0xb0));
    assert_eq!(twice[56..66], twice[66..76]);
}

#[test]
fn each_option_of_a_segment_has_its_fields_in_place() {
    for (name, expected) in
        [("SYN with all options", &[2, 4, 8, 3, 28][..]), ("ACK with SACK", &[8, 5]), ("FIN", &[8])]
    {
        let seed = tcp_seed(name);
        let options = &seed.layers[3..];
        let said =
            |layer: &Layer, field: usize| layer.table.fields[field].get(&seed.frame[layer.at..]).unwrap();
        let kinds: Vec<_> = options.iter().map(|option| said(option, 0)).collect();
        assert_eq!(kinds, expected, "{name}");
        let lengths = |kind| match kind {
            2 | 28 => 4,
            3 => 3,
            4 => 2,
            5 => 18,
            _ => 10,
        };
        for option in options {
            assert_eq!(said(option, 1), lengths(said(option, 0)), "{name}, {}", option.table.name);
        }
    }
    let seed = tcp_seed("ACK with SACK");
    let set = Mutation::Set { layer: 4, field: 2, value: 0x0102_0304 };
    assert_eq!(seed.describe(&[set]), "ACK with SACK: TCP SACK option first left edge = 0x1020304");
    assert_eq!(seed.apply(&[set])[0][70..74], [1, 2, 3, 4]);
}

/// Repaired, a change of the segment reaches the stack; left wrong, it must not.
#[test]
fn the_checksum_of_tcp_is_repaired_and_damaged() {
    for seed in tcp::seeds(&tcp::Conversation::default()) {
        let window = Mutation::Set { layer: 2, field: 8, value: 0 };
        let frame = &seed.apply(&[window])[0];
        assert_ne!(frame[50..52], seed.frame[50..52], "{}", seed.name);
        assert_eq!(judge::check(frame, seed.link()), Ok(()), "{}", seed.name);
        let wrong: Vec<_> =
            seed.controls().iter().map(|frame| judge::check(frame, seed.link()).unwrap_err()).collect();
        assert_eq!(wrong, ["a wrong IPv4 header checksum", "a wrong TCP checksum"], "{}", seed.name);
    }
}

/// Nothing that is done to a segment is beyond the engine, and nearly all of it changes the frame.
#[test]
fn every_mutation_of_a_segment_can_be_made() {
    for seed in tcp::seeds(&tcp::Conversation::default()) {
        let singles = seed.singles();
        let same = singles.iter().filter(|&&one| seed.apply(&[one]) == [seed.frame.clone()]).count();
        assert!(
            singles.len() > 400 && same <= singles.len() / 20,
            "{}: {same} of {}",
            seed.name,
            singles.len()
        );
        for three in seed.triples(500, 7) {
            assert!(!seed.apply(&three).is_empty());
        }
    }
}

#[test]
fn sequence_numbers_are_moved_by_segments_and_windows() {
    let field = Field::long("sequence number", 4).sequence();
    let values = field.values(5);
    for value in [0, 4, 6, 7, 3, 0x8000_0005, 0x1_0004, 5_u32.wrapping_sub(0xffff), 0xffff_ffff] {
        assert!(values.contains(&value), "{value:#x}");
    }
    assert!(!values.contains(&5));
    let sack = tcp_seed("ACK with SACK").layers[4].table;
    assert!(sack.fields[2..].iter().all(|field| field.role == Role::Sequence));
}

#[test]
fn the_same_random_seed_draws_the_same_triples() {
    let seed = &protocols::seeds()[0];
    let draw = |random| seed.triples(50, random).collect::<Vec<_>>();
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn each_mutation_is_described() {
    let seed = &protocols::seeds()[0];
    let cut = [Mutation::Set { layer: 1, field: 2, value: 255 }, Mutation::Cut(20)];
    assert_eq!(seed.describe(&cut), "ARP request: ARP hardware length = 0xff, cut to 20 bytes");
}
