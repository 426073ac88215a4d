//! The table of the steps.

use super::Done;

/// Steps, how long they took, and whether they passed.
pub(super) fn render(done: &[Done]) -> String {
    let line = |step: &Done| {
        let verdict = if step.failure.is_some() { "FAILED" } else { "ok" };
        format!("{:<12}{verdict:<8}{:>7.1} s  {}\n", step.name, step.took.as_secs_f64(), step.about)
    };
    done.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Done, render};
    use crate::process::Failure;

    #[test]
    fn a_failure_is_seen() {
        let step = |name, failure| Done { name, about: "what", took: Duration::from_millis(12_340), failure };
        let table = render(&[step("one", None), step("two", Some(Failure::new("why")))]);
        assert_eq!(
            table,
            "one         ok         12.3 s  what\n\
             two         FAILED     12.3 s  what\n"
        );
    }
}
