//! What an iterator gives, as a list.

/// Every iterator.
pub trait List: Iterator + Sized {
    /// All that it gives.
    ///
    /// `collect` asks how many there will be and makes room, or takes the room of what is consumed, each in a way of its own
    /// for each iterator: for lists as short as those here that is code, and nothing else.
    fn list(self) -> Vec<Self::Item> {
        let mut list = Vec::new();
        for item in self {
            list.push(item);
        }
        list
    }

    /// All that it gives, in the order of these keys. Of those with one key the first stays the first.
    ///
    /// Each is put into its place: the sort of the standard library is two kilobytes for each kind of item.
    fn in_order<K: Ord>(self, key: impl Fn(&Self::Item) -> K) -> Vec<Self::Item> {
        let mut list = Vec::new();
        for item in self {
            let own = key(&item);
            let place = list.partition_point(|other| key(other) <= own);
            list.insert(place, item);
        }
        list
    }

    /// All that it gives, or the first error.
    fn list_or_error<T, E>(self) -> Result<Vec<T>, E>
    where
        Self: Iterator<Item = Result<T, E>>,
    {
        let mut list = Vec::new();
        for item in self {
            list.push(item?);
        }
        Ok(list)
    }
}

impl<I: Iterator> List for I {}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_list_in_order_is_what_a_sort_would_make(values: Vec<(u8, u32)>) {
            let mut sorted = values.clone();
            sorted.sort_by_key(|(key, _)| *key);
            assert_eq!(values.into_iter().in_order(|(key, _)| *key), sorted);
        }
    }

    #[test]
    fn one_error_is_the_error_of_all() {
        assert_eq!([Ok(1), Ok(2)].into_iter().list_or_error::<_, ()>(), Ok(vec![1, 2]));
        assert_eq!([Ok(1), Err("no"), Err("later")].into_iter().list_or_error(), Err("no"));
    }
}
