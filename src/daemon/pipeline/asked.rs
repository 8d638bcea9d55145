//! Operators who wait for what sources say.

use tokio::sync::oneshot;

use super::order::{Heard, Wait};

/// Questions that are open. There are as many as operators wait, which the control server bounds.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<Open>);

#[derive(Debug)]
struct Open {
    asked: u64,
    left: Vec<usize>,
    heard: Vec<Heard>,
    answer: oneshot::Sender<Vec<Heard>>,
}

impl Asked {
    /// Waits for sources; those that are not there any more count as heard.
    pub(super) fn wait(&mut self, wait: Wait, known: &[usize]) {
        let Wait { asked, ids, answer } = wait;
        let left = ids.into_iter().filter(|id| known.contains(id)).collect();
        self.0.push(Open {
            asked,
            left,
            heard: Vec::new(),
            answer,
        });
        self.close();
    }

    /// Notes an answer.
    pub(super) fn answered(&mut self, asked: u64, id: usize, heard: &Heard) {
        // One attempt answers every question that was open when it began.
        for open in self.0.iter_mut().filter(|open| open.asked <= asked) {
            let before = open.left.len();
            open.left.retain(|left| *left != id);
            if open.left.len() < before {
                open.heard.push(heard.clone());
            }
        }
        self.close();
    }

    /// Gives up on tasks that are gone, each with the name of its source.
    pub(super) fn forget(&mut self, gone: &[(usize, Box<str>)]) {
        for (id, source) in gone {
            let heard = Heard {
                source: source.clone(),
                outcome: Err("taken out or changed by a reload meanwhile".to_owned()),
            };
            // Whatever was asked: this task answers nothing any more.
            self.answered(u64::MAX, *id, &heard);
        }
    }

    fn close(&mut self) {
        let (open, done): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|open| !open.left.is_empty() && !open.answer.is_closed());
        self.0 = open;
        for Open { heard, answer, .. } in done {
            // Whoever asked has gone.
            let _ = answer.send(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(source: &str) -> Heard {
        Heard {
            source: source.into(),
            outcome: Ok(String::new()),
        }
    }

    fn asked(asked: u64, ids: &[usize]) -> (Wait, oneshot::Receiver<Vec<Heard>>) {
        let (answer, outcome) = oneshot::channel();
        let ids = ids.to_vec();
        (Wait { asked, ids, answer }, outcome)
    }

    #[test]
    fn a_question_is_answered_when_all_were_heard() {
        let mut open = Asked::default();
        let (wait, mut outcome) = asked(3, &[1, 2, 9]);
        open.wait(wait, &[1, 2]);
        // What began before the question says nothing.
        open.answered(2, 1, &heard("a"));
        open.answered(3, 1, &heard("a"));
        assert!(outcome.try_recv().is_err());
        open.answered(4, 2, &heard("b"));
        let names: Vec<_> = outcome
            .try_recv()
            .unwrap()
            .into_iter()
            .map(|h| h.source)
            .collect();
        assert_eq!(names, ["a".into(), "b".into()]);
    }

    #[test]
    fn a_source_that_goes_is_not_waited_for() {
        let mut open = Asked::default();
        let (wait, mut outcome) = asked(1, &[1]);
        open.wait(wait, &[1]);
        open.forget(&[(1, "a".into())]);
        let heard = outcome.try_recv().unwrap();
        assert!(heard.iter().all(|heard| heard.outcome.is_err()) && heard.len() == 1);
    }
}
