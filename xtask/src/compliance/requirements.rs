//! The list of requirements.

use std::collections::HashSet;

use crate::process::Failure;

/// Requirements of one area.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) requirements: Vec<Requirement>,
}

/// What a standard asks.
pub(super) struct Requirement {
    pub(super) id: &'static str,
    pub(super) level: &'static str,
    pub(super) clauses: Vec<&'static str>,
    /// Those clauses that no other requirement shares, so that to cite them is to cite this one.
    own_clauses: Vec<&'static str>,
    pub(super) text: &'static str,
    /// Why it is not met.
    pub(super) left_out: Option<&'static str>,
}

impl Requirement {
    /// Whether a tag in the source names it.
    pub(super) fn is_named(&self, tag: &str) -> bool {
        self.id == tag || self.own_clauses.contains(&tag)
    }
}

/// Reads the list.
///
/// # Errors
///
/// A line that is neither heading, comment nor requirement.
pub(super) fn parse(list: &'static str) -> Result<Vec<Chapter>, Failure> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix('=') {
            chapters.push(Chapter { title: title.trim(), requirements: Vec::new() });
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let (&[id, level, clauses, text, ref left_out @ ..], Some(chapter)) =
            (&fields[..], chapters.last_mut())
        else {
            return Err(Failure::new(format!("not a requirement: {line}")));
        };
        let clauses: Vec<&str> = clauses.split(',').map(str::trim).collect();
        let own_clauses = Vec::new();
        chapter.requirements.push(Requirement {
            own_clauses,
            id,
            level,
            clauses,
            text,
            left_out: left_out.first().copied(),
        });
    }
    let all = || chapters.iter().flat_map(|chapter| &chapter.requirements).flat_map(|it| &it.clauses);
    // A whole RFC says more than one thing.
    let is_part = |clause: &str| clause.split(' ').count() > 2;
    let alone = |clause: &&str| is_part(clause) && all().filter(|other| *other == clause).count() == 1;
    let alone: HashSet<&str> = all().copied().filter(alone).collect();
    for requirement in chapters.iter_mut().flat_map(|chapter| &mut chapter.requirements) {
        let own = requirement.clauses.iter().filter(|clause| alone.contains(**clause));
        requirement.own_clauses = own.copied().collect();
    }
    Ok(chapters)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn headings_and_fields() {
        let chapters =
            parse("# why\n= One\na-1 | MUST | RFC 1 §2, RFC 3, RFC 5 MUST-1, RFC 4 §5 | do it\nb-2 | MAY | RFC 4 §5 | or not | later")
                .expect("well formed");
        let [first, second] = &chapters[0].requirements[..] else { panic!("two requirements") };
        assert_eq!((chapters[0].title, first.level, first.text), ("One", "MUST", "do it"));
        assert!(first.is_named("a-1") && first.is_named("RFC 1 §2"));
        assert!(first.is_named("RFC 5 MUST-1"));
        assert!(!first.is_named("RFC 3") && !first.is_named("b-2"));
        assert!(!first.is_named("RFC 4 §5") && !second.is_named("RFC 4 §5"), "either could be meant");
        assert_eq!((first.left_out, second.left_out), (None, Some("later")));
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        assert!(parse("= One\na-1 | MUST").is_err());
        assert!(parse("a-1 | MUST | RFC 1 | before any heading").is_err());
    }

    #[test]
    fn the_list_has_no_id_twice() {
        let chapters = parse(include_str!("../../requirements.txt")).expect("well formed");
        let mut ids: Vec<_> =
            chapters.iter().flat_map(|chapter| &chapter.requirements).map(|it| it.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
