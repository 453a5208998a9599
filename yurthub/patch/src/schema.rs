//! The kinds that can be patched. How their fields are named, numbered and merged is in the crate `yurthub-schema`.
//!
//! Invariant: what is not in its tables is an *unknown field*, which all users here keep as it came.

pub(crate) use yurthub_schema::{Field, Kind, Message, Shape, Strategy};

/// A kind of object that can be patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `v1` Pod.
    Pod,
    /// `v1` Node.
    Node,
    /// `coordination.k8s.io/v1` Lease.
    Lease,
    /// `v1` Event.
    CoreEvent,
    /// `events.k8s.io/v1` Event.
    Event,
}

impl ObjectKind {
    /// The shape of the object itself.
    pub(crate) fn shape(self) -> Shape {
        let (version, kind) = match self {
            Self::Pod => ("v1", "Pod"),
            Self::Node => ("v1", "Node"),
            Self::Lease => ("coordination.k8s.io/v1", "Lease"),
            Self::CoreEvent => ("v1", "Event"),
            Self::Event => ("events.k8s.io/v1", "Event"),
        };
        Message::of(version, kind).map_or(Shape::UNKNOWN, |message| Shape::single(Kind::Message(message)))
    }
}
