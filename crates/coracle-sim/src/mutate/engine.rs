//! Seeds, and what is done to them.

use std::fmt;

use super::field::{Field, Role, Table};
use crate::pcap::LinkType;
use crate::random::Random;
use crate::repair::repair;
use crate::rig::Port;

/// A header in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Where it begins.
    pub at: usize,
    /// What its fields are.
    pub table: &'static Table,
}

/// A valid frame, and what it is made of.
#[derive(Clone, Debug)]
pub struct Seed {
    /// What it is.
    pub name: &'static str,
    /// The interface of the rig that it is meant for.
    pub port: Port,
    /// The frame.
    pub frame: Vec<u8>,
    /// Its headers, from the outside in.
    pub layers: Vec<Layer>,
}

/// One thing done to a frame. Layers and fields are named by their numbers in the [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Sets a field.
    Set {
        /// The layer.
        layer: usize,
        /// The field in its table.
        field: usize,
        /// The value.
        value: u32,
    },
    /// Puts an option in front of the others.
    InsertOption {
        /// The layer.
        layer: usize,
        /// The option in its table's samples.
        sample: usize,
    },
    /// Takes an option out.
    RemoveOption {
        /// The layer.
        layer: usize,
        /// Which one.
        index: usize,
    },
    /// Repeats an option.
    RepeatOption {
        /// The layer.
        layer: usize,
        /// Which one.
        index: usize,
    },
    /// Keeps this many bytes of the frame.
    Cut(usize),
    /// Adds this many bytes behind the frame.
    Extend(usize),
    /// Sends the frame twice.
    Twice,
}

/// Several mutations at once.
pub type Mutations = Vec<Mutation>;

impl Seed {
    /// Whether the frame begins with an Ethernet or an IP header.
    pub fn link(&self) -> LinkType {
        self.port.link()
    }

    /// Every single mutation.
    pub fn singles(&self) -> Mutations {
        let mut all = vec![Mutation::Twice, Mutation::Extend(1), Mutation::Extend(1_000)];
        all.extend((0..self.frame.len()).map(Mutation::Cut));
        for (number, layer) in self.layers.iter().enumerate() {
            for (field, present) in self.fields(number) {
                let values = layer.table.fields[field].values(present);
                all.extend(values.into_iter().map(|value| Mutation::Set { layer: number, field, value }));
            }
            let Some(rules) = layer.table.options else { continue };
            let there = self.options(number).len();
            all.extend((0..there).map(|index| Mutation::RemoveOption { layer: number, index }));
            all.extend((0..there).map(|index| Mutation::RepeatOption { layer: number, index }));
            all.extend(
                (0..rules.samples.len()).map(|sample| Mutation::InsertOption { layer: number, sample }),
            );
        }
        all
    }

    /// Every pair of field changes, each field at its edges, and each option with each field.
    pub fn pairs(&self) -> impl Iterator<Item = [Mutation; 2]> {
        let sets = self.edge_sets();
        let options: Vec<_> = self
            .singles()
            .into_iter()
            .filter(|mutation| matches!(mutation, Mutation::InsertOption { .. }))
            .collect();
        let with_option = options.into_iter().flat_map({
            let sets = sets.clone();
            move |option| sets.clone().into_iter().map(move |set| [option, set])
        });
        let of_fields = (0..sets.len()).flat_map(move |first| {
            let sets = sets.clone();
            (first + 1..sets.len())
                .map(move |second| [sets[first], sets[second]])
                .filter(|[first, second]| place(first) != place(second))
        });
        with_option.chain(of_fields)
    }

    /// So many groups of three mutations, drawn with this random seed.
    pub fn triples(&self, count: usize, seed: u64) -> impl Iterator<Item = [Mutation; 3]> {
        let singles = self.singles();
        let mut random = Random::new(seed);
        (0..count)
            .map(move |_| core::array::from_fn(|_| singles[random.below(singles.len() as u64) as usize]))
    }

    /// Each checksum made wrong, and left so: frames that have to be dropped.
    pub fn controls(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for layer in &self.layers {
            for field in layer.table.fields.iter().filter(|field| field.role == Role::Checksum) {
                let mut frame = self.frame.clone();
                let header = &mut frame[layer.at..];
                // Zero would mean that there is none, where that is allowed.
                if let Some(sum) = field.get(header).filter(|&sum| sum != 0) {
                    field.set(header, if sum == 0x1234 { 0x4321 } else { 0x1234 });
                    frames.push(frame);
                }
            }
        }
        frames
    }

    /// The frames that come of mutations, checksums repaired: options first, then fields, then the length.
    pub fn apply(&self, mutations: &[Mutation]) -> Vec<Vec<u8>> {
        let mut frame = self.frame.clone();
        let mut layers = self.layers.clone();
        for mutation in mutations {
            change_options(&mut frame, &mut layers, mutation);
        }
        for mutation in mutations {
            if let Mutation::Set { layer, field, value } = *mutation
                && let Some(header) = frame.get_mut(layers[layer].at..)
            {
                layers[layer].table.fields[field].set(header, value);
            }
        }
        let mut times = 1;
        for mutation in mutations {
            match *mutation {
                Mutation::Cut(len) => frame.truncate(len),
                Mutation::Extend(by) => frame.resize(frame.len() + by, 0xa5),
                Mutation::Twice => times = 2,
                _ => {}
            }
        }
        repair(&mut frame, self.link());
        vec![frame; times]
    }

    /// The mutations in words.
    pub fn describe(&self, mutations: &[Mutation]) -> String {
        let words: Vec<_> = mutations.iter().map(|mutation| Described(self, mutation).to_string()).collect();
        format!("{}: {}", self.name, words.join(", "))
    }

    /// The fields of a layer that may be set, and what they say.
    fn fields(&self, layer: usize) -> impl Iterator<Item = (usize, u32)> {
        let Layer { at, table } = self.layers[layer];
        table.fields.iter().enumerate().filter_map(move |(number, field)| {
            let present = field.get(&self.frame[at..])?;
            (field.role != Role::Checksum).then_some((number, present))
        })
    }

    fn edge_sets(&self) -> Mutations {
        let mut sets = Vec::new();
        for layer in 0..self.layers.len() {
            for (field, present) in self.fields(layer) {
                let values = self.layers[layer].table.fields[field].edges(present);
                sets.extend(values.into_iter().map(|value| Mutation::Set { layer, field, value }));
            }
        }
        sets
    }

    fn options(&self, layer: usize) -> Vec<&[u8]> {
        let Layer { at, table } = self.layers[layer];
        let header = &self.frame[at..];
        table.options.map_or_else(Vec::new, |rules| (rules.split)(&header[(rules.area)(header)]))
    }
}

/// The field that a mutation sets.
fn place(mutation: &Mutation) -> Option<(usize, usize)> {
    match *mutation {
        Mutation::Set { layer, field, .. } => Some((layer, field)),
        _ => None,
    }
}

/// Changes the options of a layer, and moves the layers behind it.
fn change_options(frame: &mut Vec<u8>, layers: &mut [Layer], mutation: &Mutation) {
    let (Mutation::InsertOption { layer, .. }
    | Mutation::RemoveOption { layer, .. }
    | Mutation::RepeatOption { layer, .. }) = *mutation
    else {
        return;
    };
    let Layer { at, table } = layers[layer];
    let Some(rules) = table.options else { return };
    let area = (rules.area)(&frame[at..]);
    let mut options: Vec<Vec<u8>> =
        (rules.split)(&frame[at..][area.clone()]).into_iter().map(<[u8]>::to_vec).collect();
    match *mutation {
        Mutation::InsertOption { sample, .. } => options.insert(0, rules.samples[sample].to_vec()),
        Mutation::RemoveOption { index, .. } if index < options.len() => drop(options.remove(index)),
        Mutation::RepeatOption { index, .. } if index < options.len() => {
            let again = options[index].clone();
            options.insert(index, again);
        }
        _ => return,
    }
    let before = frame.len();
    if !(rules.replace)(frame, at, &options.concat()) {
        return;
    }
    for inner in &mut layers[layer + 1..] {
        if inner.at >= at + area.end {
            inner.at = inner.at + frame.len() - before;
        }
    }
    let more = (frame.len() as u32).wrapping_sub(before as u32);
    for outer in &layers[..=layer] {
        let header = &mut frame[outer.at..];
        for field in outer.table.fields.iter().filter(|field| field.role == Role::Total) {
            if let Some(total) = field.get(header) {
                field.set(header, total.wrapping_add(more));
            }
        }
    }
}

struct Described<'a>(&'a Seed, &'a Mutation);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |layer: usize| self.0.layers[layer].table;
        match *self.1 {
            Mutation::Set { layer, field, value } => {
                let Field { name, .. } = table(layer).fields[field];
                write!(f, "{} {name} = {value:#x}", table(layer).name)
            }
            Mutation::InsertOption { layer, sample } => {
                let samples = table(layer).options.map_or(&[][..], |rules| rules.samples);
                write!(f, "{} with option {:02x?}", table(layer).name, samples.get(sample))
            }
            Mutation::RemoveOption { layer, index } => {
                write!(f, "{} without option {index}", table(layer).name)
            }
            Mutation::RepeatOption { layer, index } => {
                write!(f, "{} with option {index} twice", table(layer).name)
            }
            Mutation::Cut(len) => write!(f, "cut to {len} bytes"),
            Mutation::Extend(by) => write!(f, "{by} bytes longer"),
            Mutation::Twice => f.write_str("sent twice"),
        }
    }
}
