use super::*;
use crate::judge;
use crate::repair::repair;

#[test]
fn every_seed_is_a_valid_frame_with_its_layers_in_place() {
    for seed in protocols::seeds() {
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
