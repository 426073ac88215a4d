use super::*;
use crate::mib::Tree;

#[test]
fn all_parts_are_in_order() {
    assert_eq!(Tree::new(ALL).map(|_| ()), Ok(()));
}
