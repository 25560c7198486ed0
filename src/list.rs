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
}

impl<I: Iterator> List for I {}
