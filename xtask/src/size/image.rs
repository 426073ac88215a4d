//! What is in an ELF file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// Where a section lies when the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Flash,
    /// Written at the start from a copy in flash.
    Both,
    Memory,
}

impl Place {
    pub(super) fn is_flash(self) -> bool {
        self != Self::Memory
    }

    pub(super) fn is_memory(self) -> bool {
        self != Self::Flash
    }

    fn of(kind: SectionKind) -> Option<Self> {
        match kind {
            SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => Some(Self::Flash),
            SectionKind::Data => Some(Self::Both),
            SectionKind::UninitializedData => Some(Self::Memory),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flash => "flash",
            Self::Both => "flash and memory",
            Self::Memory => "memory",
        })
    }
}

/// A section or a symbol.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) place: Place,
}

/// The parts that the device holds, the symbols from the largest on.
pub(super) struct Image {
    pub(super) sections: Vec<Part>,
    pub(super) symbols: Vec<Part>,
}

impl Image {
    pub(super) fn parse(bytes: &[u8]) -> object::Result<Self> {
        let file = object::File::parse(bytes)?;
        let mut places = HashMap::new();
        let mut sections = Vec::new();
        for section in file.sections() {
            let Some(place) = Place::of(section.kind()) else { continue };
            places.insert(section.index(), place);
            sections.push(Part { name: section.name()?.into(), bytes: section.size(), place });
        }
        // Several names may stand for the same bytes.
        let mut by_address = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
            let place = symbol.section_index().and_then(|section| places.get(&section));
            let Some(&place) = place else { continue };
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
            by_address.insert(symbol.address(), Part { name, bytes: symbol.size(), place });
        }
        let mut symbols: Vec<Part> = by_address.into_values().collect();
        symbols.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Ok(Self { sections, symbols })
    }

    /// The bytes of the sections in certain places.
    pub(super) fn bytes(&self, at: fn(Place) -> bool) -> u64 {
        self.sections.iter().filter(|section| at(section.place)).map(|section| section.bytes).sum()
    }

    pub(super) fn flash_symbols(&self) -> impl Iterator<Item = &Part> {
        self.symbols.iter().filter(|symbol| symbol.place.is_flash())
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, Place};

    #[test]
    fn this_program_itself() {
        let file = std::env::current_exe().expect("a program has a file");
        let image = Image::parse(&std::fs::read(file).expect("it can be read")).expect("it is ELF");
        let place = |name| image.sections.iter().find(|section| section.name == name).map(|it| it.place);
        assert_eq!(place(".text"), Some(Place::Flash));
        assert_eq!(place(".data"), Some(Place::Both));
        assert_eq!(place(".bss"), Some(Place::Memory));
        assert_eq!(place(".symtab"), None);
        let own = image.flash_symbols().find(|it| it.name.ends_with("this_program_itself"));
        assert!(own.is_some_and(|it| it.bytes < image.bytes(Place::is_flash)));
        assert!(image.symbols.is_sorted_by(|a, b| a.bytes >= b.bytes));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(Image::parse(b"\x7fELF but not quite").is_err());
    }
}
