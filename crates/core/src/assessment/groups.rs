//! Values by key, where a key has several: an index that is built at once and never changes.

/// The values of each key, in the order in which they were given.
///
/// The index is built again for every changed node: a map of lists would allocate thousands of times in a large cluster.
#[derive(Debug)]
pub(super) struct Groups<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Ord, V> Groups<K, V> {
    pub(super) fn new(entries: impl Iterator<Item = (K, V)>) -> Self {
        let mut entries: Vec<(K, V)> = entries.collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (keys, values) = entries.into_iter().unzip();
        Self { keys, values }
    }

    /// The values of a key.
    pub(super) fn get(&self, key: &K) -> &[V] {
        let start = self.keys.partition_point(|held| held < key);
        let end = self.keys.partition_point(|held| held <= key);
        self.values.get(start..end).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;

    #[test]
    fn a_key_has_its_values_in_the_order_given() {
        let groups = Groups::new([("b", 2), ("a", 3), ("b", 1)].into_iter());
        assert_eq!(groups.get(&"b"), [2, 1]);
        assert_eq!(groups.get(&"a"), [3]);
        assert!(groups.get(&"c").is_empty() && groups.get(&"").is_empty());
    }
}
