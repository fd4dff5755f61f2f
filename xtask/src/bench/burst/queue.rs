//! A standard queue of Amazon SQS, as far as a burst meets it: no order, a visibility timeout, and a budget of receives after which a message
//! is a dead letter, whatever became of the work.

use fastrand::Rng;

use super::agenda::Moment;

/// How a queue is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Who has received a message is alone with it for so long.
    pub(super) visibility: Moment,
    /// One received so often is a dead letter at the next try; `None`: there is no queue for those.
    pub(super) receives: Option<u32>,
}

/// Which of the visible ones a receive has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Whichever: what a standard queue promises.
    Any,
    /// Any of so many of the first: messages are sent in order, and only so many more than there are tasks that wait for one.
    Ahead(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Visible,
    InFlight,
    Deleted,
    Dead,
}

#[derive(Clone, Copy, Debug)]
struct Letter {
    state: State,
    receives: u32,
}

/// A message that somebody has; worth nothing once somebody else has received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) letter: usize,
    receive: u32,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) terms: Terms,
    letters: Vec<Letter>,
}

impl Queue {
    pub(super) fn holding(messages: usize, terms: Terms) -> Queue {
        let letter = Letter {
            state: State::Visible,
            receives: 0,
        };
        Queue {
            terms,
            letters: vec![letter; messages],
        }
    }

    fn count(&self, state: State) -> usize {
        self.letters.iter().filter(|letter| letter.state == state).count()
    }

    pub(super) fn visible(&self) -> usize {
        self.count(State::Visible)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.count(State::InFlight)
    }

    pub(super) fn dead(&self) -> usize {
        self.count(State::Dead)
    }

    /// One of those that are visible, while so many wait for one.
    pub(super) fn receive(&mut self, delivery: Delivery, waiting: usize, random: &mut Rng) -> Option<Receipt> {
        let sent = match delivery {
            Delivery::Any => usize::MAX,
            Delivery::Ahead(more) => waiting + more,
        };
        loop {
            let visible = self.letters.iter().enumerate();
            let visible = visible.filter(|(_, letter)| letter.state == State::Visible);
            let visible: Vec<usize> = visible.map(|(number, _)| number).take(sent).collect();
            let letter = random.choice(visible)?;
            let known = &mut self.letters[letter];
            if self.terms.receives.is_some_and(|budget| known.receives >= budget) {
                known.state = State::Dead;
                continue;
            }
            known.receives += 1;
            known.state = State::InFlight;
            let receive = known.receives;
            return Some(Receipt { letter, receive });
        }
    }

    fn held(&mut self, receipt: Receipt) -> Option<&mut Letter> {
        let letter = &mut self.letters[receipt.letter];
        (letter.receives == receipt.receive).then_some(letter)
    }

    /// Its visibility timeout is over; whether others can have it now.
    pub(super) fn expire(&mut self, receipt: Receipt) -> bool {
        match self.held(receipt) {
            Some(letter) if letter.state == State::InFlight => {
                letter.state = State::Visible;
                true
            }
            _ => false,
        }
    }

    /// Takes effect with the receipt of the last receive only, also when its visibility timeout is over
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>).
    pub(super) fn delete(&mut self, receipt: Receipt) {
        if let Some(letter) = self.held(receipt)
            && letter.state != State::Dead
        {
            letter.state = State::Deleted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        visibility: 30_000,
        receives: Some(3),
    };

    #[test]
    fn a_message_that_nobody_deletes_is_dead_at_the_fourth_try() {
        let mut random = Rng::with_seed(1);
        let mut queue = Queue::holding(1, TERMS);
        for _ in 0..3 {
            let receipt = queue.receive(Delivery::Any, 1, &mut random).expect("it is visible");
            assert_eq!((queue.visible(), queue.in_flight()), (0, 1));
            assert_eq!(queue.receive(Delivery::Any, 1, &mut random), None);
            assert!(queue.expire(receipt));
        }
        assert_eq!(queue.dead(), 0);
        assert_eq!(queue.receive(Delivery::Any, 1, &mut random), None);
        assert_eq!((queue.dead(), queue.visible()), (1, 0));
    }

    #[test]
    fn only_the_last_receipt_deletes_and_it_does_so_late_as_well() {
        let mut random = Rng::with_seed(1);
        let mut queue = Queue::holding(1, TERMS);
        let first = queue.receive(Delivery::Any, 1, &mut random).expect("it is visible");
        assert!(queue.expire(first));
        let second = queue
            .receive(Delivery::Any, 1, &mut random)
            .expect("it is visible again");
        assert!(!queue.expire(first), "it is another's now");
        queue.delete(first);
        assert_eq!(queue.in_flight(), 1);
        assert!(queue.expire(second));
        queue.delete(second);
        assert_eq!((queue.visible(), queue.in_flight(), queue.dead()), (0, 0, 0));
    }

    #[test]
    fn messages_come_in_no_order() {
        let mut random = Rng::with_seed(1);
        let mut queue = Queue::holding(100, TERMS);
        let order: Vec<usize> =
            std::iter::from_fn(|| Some(queue.receive(Delivery::Any, 1, &mut random)?.letter)).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_ne!(order, sorted);
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());

        let mut queue = Queue::holding(100, TERMS);
        let ahead = Delivery::Ahead(4);
        for number in 0..100 {
            let letter = queue.receive(ahead, 1, &mut random).expect("it is visible").letter;
            assert!(letter <= number + 4, "{letter} as number {number}");
        }
    }
}
