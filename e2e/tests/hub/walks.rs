//! What can interrupt yurtctl, and at which steps: all of it, and a sample.

use std::fmt;

use crate::setup::Chance;

/// Steps of a transaction, as its journal names them. A way back takes them in the other order.
const STEPS: [&str; 6] = ["programs", "configuration", "start", "mirror", "switch", "verify"];

/// What interrupts it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Interruption {
    /// The pod that brought it is killed.
    Kill,
    /// Who carries it out is killed.
    Crash,
    /// The link is cut, and comes back when the node has ended by itself.
    Cut,
    /// The node reboots.
    Reboot,
}

impl Interruption {
    const ALL: [Self; 4] = [Self::Kill, Self::Crash, Self::Cut, Self::Reboot];
}

/// The transactions of yurtctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of `yurtctl convert`.
    Conversion,
    /// The first one of `yurtctl revert`: no more pods are led to yurthub.
    Farewell,
    /// The second one of `yurtctl revert`: the way back.
    Revert,
}

impl Part {
    pub(crate) const fn goal(self) -> &'static str {
        match self {
            Self::Conversion | Self::Farewell => "converted",
            Self::Revert => "reverted",
        }
    }
}

/// One interruption.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) kind: Interruption,
    pub(crate) part: Part,
    /// It is begun, or begun to be taken back.
    step: usize,
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, part, step } = self;
        write!(f, "{kind:?} in {part:?} at `{}`", STEPS[*step])
    }
}

impl Walk {
    /// Each interruption at each step of `part`.
    fn all(part: Part) -> impl Iterator<Item = Self> {
        (0..STEPS.len()).flat_map(move |step| Interruption::ALL.map(|kind| Self { kind, part, step }))
    }

    /// What is written down right before the step, or its way back, begins.
    pub(crate) fn event(&self) -> String {
        match (self.part, STEPS.get(self.step + 1)) {
            (Part::Conversion | Part::Farewell, _) => {
                format!(r#""event":"started","step":"{}""#, STEPS[self.step])
            }
            (Part::Revert, Some(later)) => format!(r#""event":"undone","step":"{later}""#),
            (Part::Revert, None) => r#""event":"taken""#.to_owned(),
        }
    }
}

/// Each interruption at each step, but of the first half of a revert, which is a conversion like others: each step once.
/// Reverts are taken from the end.
pub(crate) fn all() -> (Vec<Walk>, Vec<Walk>) {
    let farewells = (0..STEPS.len()).map(|step| Walk {
        kind: Interruption::ALL[step % Interruption::ALL.len()],
        part: Part::Farewell,
        step,
    });
    let reverts = farewells.chain(Walk::all(Part::Revert)).collect();
    (Walk::all(Part::Conversion).collect(), reverts)
}

/// Each kind for conversions, at steps that differ; and the kinds that an administrator meets for reverts, at any step.
pub(crate) fn sample(chance: &mut Chance) -> (Vec<Walk>, Vec<Walk>) {
    let conversions = [0, 2, 3, 4].into_iter().zip(Interruption::ALL);
    let conversions = conversions.map(|(step, kind)| Walk {
        kind,
        part: Part::Conversion,
        step,
    });
    let kinds = [Interruption::Reboot, Interruption::Cut, Interruption::Kill];
    let reverts = kinds.map(|kind| Walk {
        kind,
        part: Part::Revert,
        step: chance.number(0, STEPS.len()),
    });
    (conversions.collect(), reverts.into())
}
