//! The names by which a Node asks for autonomy, and is answered: OpenYurt's. yurtctl writes them, and
//! yurt-controller-manager reads them; each is understood as annotation and as label.

/// For how long the node's pods stay after it has fallen silent, as Go writes durations; `0` and less: for ever.
pub const DURATION: &str = "node.openyurt.io/autonomy-duration";
/// `true`: for ever.
pub const AUTONOMY: &str = "node.beta.openyurt.io/autonomy";
/// `true`: for ever.
pub const BINDING: &str = "apps.openyurt.io/binding";
/// The type of the Node's condition that says what holds, and why.
pub const CONDITION: &str = "NodeAutonomy";
