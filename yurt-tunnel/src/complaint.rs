//! A complaint that comes again and again, and is told once (pure).

use std::error::Error;

use yurt_common::error_chain::ErrorChain;

/// What was told last.
#[derive(Debug, Default)]
pub struct Complaint(Option<String>);

impl Complaint {
    /// The words for `error`, where they are others than those that were told last.
    pub fn anew(&mut self, error: &(dyn Error + 'static)) -> Option<String> {
        let words = ErrorChain(error).to_string();
        if self.0.as_ref() == Some(&words) {
            return None;
        }
        self.0 = Some(words.clone());
        Some(words)
    }

    /// What is complained of now.
    pub fn told(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// There is nothing to complain of now.
    pub fn settle(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_told_again_only_when_it_was_mended_meanwhile() {
        let (one, other) = (std::io::Error::other("one"), std::io::Error::other("other"));
        let mut complaint = Complaint::default();
        assert_eq!(complaint.anew(&one).as_deref(), Some("one"));
        assert_eq!(complaint.anew(&one), None);
        assert_eq!(complaint.anew(&other).as_deref(), Some("other"));
        complaint.settle();
        assert_eq!(complaint.anew(&other).as_deref(), Some("other"));
    }
}
