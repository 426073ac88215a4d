use super::*;
use crate::mib::{Output, Scalars};

#[test]
fn parts_out_of_order_are_refused() {
    let rows = Scalars(|_: &Context<'_>, _: u32, out: &mut Output<'_, '_>| out.integer(1));
    let columns = [Column::integer(1), Column::integer(2)];
    let later = [Column::integer(4)];
    let twice = [Column::integer(2), Column::integer(2)];
    let node = |prefix, columns| Node::new(prefix, columns, &rows);
    let check = |nodes: &[Node<'_>]| Tree::new(&[nodes]).map(|_| ()).map_err(|error| error.node);
    assert_eq!(check(&[node(&[1, 3], &columns), node(&[1, 4], &columns)]), Ok(()));
    assert_eq!(check(&[node(&[1, 4], &columns), node(&[1, 3], &columns)]), Err(1));
    assert_eq!(check(&[node(&[1, 3], &columns), node(&[1, 3], &columns)]), Err(1));
    assert_eq!(check(&[node(&[1, 3], &twice)]), Err(0));
    assert_eq!(check(&[node(&[1, 3], &[])]), Err(0));
    // Scalars on both sides of a table.
    let sides = [node(&[1, 3], &columns), node(&[1, 3, 3, 1], &columns), node(&[1, 3], &later)];
    assert_eq!(check(&sides), Ok(()));
    // A node within a column of another.
    assert_eq!(check(&[node(&[1, 3], &columns), node(&[1, 3, 2], &columns)]), Err(1));
}
