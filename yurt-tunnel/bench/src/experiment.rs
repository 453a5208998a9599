//! What is measured together: an [`Experiment`] yields one figure or several that come from the same measurement.

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
pub(crate) use yurt_testkit::figure::{Figure, Reading};

use crate::tunnel::Stand;

/// Which side of its goal a value should be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Not above.
    AtMost,
    /// Not below.
    AtLeast,
}

impl Goal {
    /// As people write it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

/// Measures.
pub(crate) type Measure = for<'s> fn(&'s Stand) -> LocalBoxFuture<'s, Result<Vec<Reading>>>;

/// One measurement and the figures that it yields.
pub(crate) struct Experiment {
    pub(crate) figures: &'static [(Figure, Goal)],
    pub(crate) measure: Measure,
}

/// A figure whose goal is the most.
pub(crate) const fn at_most(name: &'static str, unit: &'static str, goal: f64) -> (Figure, Goal) {
    (Figure { name, unit, goal }, Goal::AtMost)
}

/// A figure whose goal is the least.
pub(crate) const fn at_least(name: &'static str, unit: &'static str, goal: f64) -> (Figure, Goal) {
    (Figure { name, unit, goal }, Goal::AtLeast)
}
