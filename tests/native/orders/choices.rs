//! A source of choices that can be replayed: what is left open in a history is asked of it, and history after history it
//! gives every answer there is, depth first.

/// One question that was asked, and what is being answered.
struct Asked {
    taken: usize,
    of: usize,
}

/// The choices of one history after the other.
#[derive(Default)]
pub struct Choices {
    path: Vec<Asked>,
    next: usize,
    /// Counted when a question is first met: every answer to it but the first begins one more history.
    met: u64,
}

impl Choices {
    /// One of so many.
    pub fn choose(&mut self, of: usize) -> usize {
        assert!(of > 0, "a choice without an answer");
        let at = self.next;
        self.next += 1;
        if let Some(asked) = self.path.get(at) {
            assert_eq!(asked.of, of, "the same choices led elsewhere: the world is not replayed as it was");
            return asked.taken;
        }
        self.met += u64::try_from(of - 1).unwrap();
        self.path.push(Asked { taken: 0, of });
        0
    }

    /// The same history once more.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// The next history. `false`: that was the last.
    pub fn advance(&mut self) -> bool {
        assert_eq!(
            self.next,
            self.path.len(),
            "the same choices ended earlier: the world is not replayed as it was"
        );
        self.next = 0;
        while let Some(last) = self.path.last_mut() {
            if last.taken + 1 < last.of {
                last.taken += 1;
                return true;
            }
            self.path.pop();
        }
        false
    }

    /// How many histories there are, by the questions that were met: the first, and one for every other answer.
    pub fn exist(&self) -> u64 {
        1 + self.met
    }
}

#[test]
fn every_answer_to_every_question_is_given_once() {
    let mut choices = Choices::default();
    let mut seen = Vec::new();
    loop {
        let first = choices.choose(3);
        // What is asked next may hang on what was answered.
        let second = if first == 1 { choices.choose(4) } else { choices.choose(1) };
        seen.push((first, second));
        if !choices.advance() {
            break;
        }
    }
    assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]);
    assert_eq!(choices.exist(), 6);
}
