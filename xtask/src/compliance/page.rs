//! The page itself.

use std::collections::{BTreeMap, BTreeSet};

use super::requirements::{Chapter, Requirement};
use super::sources::Citation;
use crate::process::Failure;

const HEAD: &str = "\
# Compliance

What the standards ask of the parts of Coracle that stand, where the code does it, and which tests show it.
`cargo xtask compliance` makes this page of the tags in the sources and of `xtask/requirements.txt`; edit those.
A tag is a requirement's name in brackets, or a clause that belongs to one requirement alone.
";

/// The page.
///
/// # Errors
///
/// A tag that looks like the id of a requirement but is none.
pub(super) fn render(chapters: &[Chapter], citations: &[Citation]) -> Result<String, Failure> {
    let all = || chapters.iter().flat_map(|chapter| &chapter.requirements);
    let unknown = |citation: &&Citation| {
        !citation.tag.starts_with("RFC ") && !all().any(|requirement| requirement.id == citation.tag)
    };
    if let Some(Citation { tag, file, .. }) = citations.iter().find(unknown) {
        return Err(Failure::new(format!(
            "crates/{file}: [{tag}] is no requirement of xtask/requirements.txt"
        )));
    }
    let mut lines = vec![HEAD.to_string(), summary(all(), citations), String::new()];
    for Chapter { title, requirements } in chapters {
        lines.push(format!("## {title}\n"));
        lines.push("| requirement | level | what is asked | code | tests |".into());
        lines.push("|---|---|---|---|---|".into());
        lines.extend(requirements.iter().map(|requirement| row(requirement, citations)));
        lines.push(String::new());
    }
    lines.push("## Other clauses that the sources cite\n".into());
    lines.push("| clause | code | tests |\n|---|---|---|".into());
    let others = citations.iter().filter(|it| !all().any(|requirement| requirement.is_named(&it.tag)));
    let mut by_clause = BTreeMap::<&str, Vec<&Citation>>::new();
    for citation in others {
        by_clause.entry(&citation.tag).or_default().push(citation);
    }
    lines.extend(by_clause.into_iter().map(|(clause, of_it)| {
        format!("| {clause} | {} | {} |", places(&of_it, false), places(&of_it, true))
    }));
    Ok(lines.join("\n") + "\n")
}

fn summary<'a>(requirements: impl Iterator<Item = &'a Requirement>, citations: &[Citation]) -> String {
    let (mut total, mut shown, mut left_out) = (0, 0, 0);
    for requirement in requirements {
        total += 1;
        let has = |tested| named(requirement, citations).iter().any(|it| it.test.is_some() == tested);
        shown += usize::from(requirement.left_out.is_none() && has(false) && has(true));
        left_out += usize::from(requirement.left_out.is_some());
    }
    let missing = total - shown - left_out;
    format!(
        "Of {total} requirements, {shown} are met by tagged code and shown by tagged tests, {left_out} are left out \
         with a reason, and {missing} lack a tag in code or tests."
    )
}

fn row(requirement: &Requirement, citations: &[Citation]) -> String {
    let Requirement { id, level, text, clauses, left_out, .. } = requirement;
    let named = named(requirement, citations);
    let (code, tests) = match left_out {
        Some(reason) => (format!("left out: {reason}"), places(&named, true)),
        None => (or_missing(places(&named, false)), or_missing(places(&named, true))),
    };
    format!("| {id} ({}) | {level} | {text} | {code} | {tests} |", clauses.join(", "))
}

fn named<'a>(requirement: &Requirement, citations: &'a [Citation]) -> Vec<&'a Citation> {
    citations.iter().filter(|citation| requirement.is_named(&citation.tag)).collect()
}

fn or_missing(places: String) -> String {
    if places.is_empty() { "**missing**".into() } else { places }
}

/// The files of code, or the tests, that cite something.
fn places(citations: &[&Citation], tests: bool) -> String {
    let places: BTreeSet<String> = citations
        .iter()
        .filter(|citation| citation.test.is_some() == tests)
        .map(|Citation { file, test, .. }| {
            let label = test.as_ref().filter(|name| !name.is_empty()).unwrap_or(file);
            format!("[`{label}`](../crates/{file})")
        })
        .collect();
    places.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::compliance::requirements::parse;
    use crate::compliance::sources::Citation;

    fn page(citations: &[(&str, Option<&str>)]) -> Result<String, String> {
        let list = "= Things\nA-1 | MUST | RFC 1 §2 | do it\nB-2 | MUST | RFC 3 | do that | later";
        let chapters = parse(list).expect("well formed");
        let citation = |&(tag, test): &(&str, Option<&str>)| Citation {
            tag: tag.to_string(),
            file: "a/src/b.rs".into(),
            test: test.map(Into::into),
        };
        let citations: Vec<_> = citations.iter().map(citation).collect();
        render(&chapters, &citations).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_missing_is_said() {
        let page = page(&[("A-1", None)]).unwrap();
        let row = "| A-1 (RFC 1 §2) | MUST | do it | [`a/src/b.rs`](../crates/a/src/b.rs) | **missing** |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| B-2 (RFC 3) | MUST | do that | left out: later |  |"), "{page}");
        assert!(page.contains("Of 2 requirements, 0 are met"), "{page}");
    }

    #[test]
    fn a_clause_counts_like_the_id_and_others_are_listed() {
        let page = page(&[("A-1", None), ("RFC 1 §2", Some("shows_it")), ("RFC 9", None)]).unwrap();
        assert!(page.contains("| [`shows_it`](../crates/a/src/b.rs) |"), "{page}");
        assert!(page.contains("Of 2 requirements, 1 are met"), "{page}");
        assert!(page.contains("| RFC 9 | [`a/src/b.rs`](../crates/a/src/b.rs) |  |"), "{page}");
    }

    #[test]
    fn an_unknown_id_is_refused() {
        let refusal = page(&[("A-7", None)]).unwrap_err();
        assert!(refusal.contains("[A-7]") && refusal.contains("crates/a/src/b.rs"), "{refusal}");
    }
}
