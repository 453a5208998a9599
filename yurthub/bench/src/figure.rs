//! What is measured together: an [`Experiment`] yields one figure or several that come from the same measurement.

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
pub(crate) use yurt_testkit::figure::{Figure, Reading};

use crate::stand::Stand;

/// Where an experiment takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An apiserver on loopback.
    Loopback,
    /// A whole cluster, which takes minutes.
    Cluster,
}

/// Measures.
pub(crate) type Measure = for<'s> fn(&'s Stand) -> LocalBoxFuture<'s, Result<Vec<Reading>>>;

/// One measurement and the figures that it yields.
pub(crate) struct Experiment {
    pub(crate) place: Place,
    pub(crate) figures: &'static [Figure],
    pub(crate) measure: Measure,
}

impl Experiment {
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.figures.iter().map(|figure| figure.name).collect()
    }
}
