//! Some of the steps.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Step;

/// Some of the steps, each once; as JSON a list of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Step>", into = "Vec<Step>")]
pub struct StepSet([bool; Step::ALL.len()]);

impl StepSet {
    /// Them, in the order of doing.
    pub fn iter(self) -> impl Iterator<Item = Step> {
        let all = Step::ALL.into_iter().zip(self.0);
        all.filter_map(|(step, is_in)| is_in.then_some(step))
    }
}

impl FromIterator<Step> for StepSet {
    fn from_iter<T: IntoIterator<Item = Step>>(steps: T) -> Self {
        let steps: Vec<_> = steps.into_iter().collect();
        Self(Step::ALL.map(|step| steps.contains(&step)))
    }
}

impl From<Vec<Step>> for StepSet {
    fn from(steps: Vec<Step>) -> Self {
        steps.into_iter().collect()
    }
}

impl From<StepSet> for Vec<Step> {
    fn from(set: StepSet) -> Self {
        set.iter().collect()
    }
}

impl fmt::Display for StepSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(|step| format!("`{step}`")).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_of_names() {
        let set: StepSet = [Step::Switch, Step::Programs, Step::Switch].into_iter().collect();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, r#"["programs","switch"]"#);
        assert_eq!(serde_json::from_str::<StepSet>(&text).unwrap(), set);
        assert_eq!(set.to_string(), "`programs`, `switch`");
    }
}
