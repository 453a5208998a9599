//! Which nodes are changed together (pure): a canary one at a time, then so many at a time.

/// The waves, in order. Each is begun when the one before has ended well.
pub fn of(nodes: &[String], canary: usize, max_unavailable: usize) -> Vec<Vec<String>> {
    // One node needs no canary; zero at a time would never end.
    let canary = canary.min(nodes.len());
    let (first, rest) = nodes.split_at(canary);
    let alone = first.iter().map(|node| vec![node.clone()]);
    let together = rest.chunks(max_unavailable.max(1)).map(<[String]>::to_vec);
    alone.chain(together).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nodes(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("n{number}")).collect()
    }

    #[test]
    fn the_canary_goes_first_and_alone() {
        let sizes = |waves: &[Vec<String>]| waves.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&of(&nodes(6), 1, 2)), [1, 2, 2, 1]);
        assert_eq!(sizes(&of(&nodes(4), 2, 10)), [1, 1, 2]);
        assert_eq!(sizes(&of(&nodes(3), 0, 2)), [2, 1]);
        assert_eq!(sizes(&of(&nodes(2), 9, 0)), [1, 1]);
        assert!(of(&[], 1, 1).is_empty());
    }

    proptest! {
        #[test]
        fn each_node_is_in_one_wave(count in 0_usize..50, canary in 0_usize..60, most in 0_usize..60) {
            let nodes = nodes(count);
            let waves = of(&nodes, canary, most);
            prop_assert_eq!(waves.concat(), nodes);
            prop_assert!(waves.iter().all(|wave| (1..=most.max(1)).contains(&wave.len())));
        }
    }
}
