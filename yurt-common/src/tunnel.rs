//! What a Node says of the tunnel: yurt-controller-manager writes it, and yurtctl takes it away.

/// The type of the Node's condition that says whether the tunnel reaches its kubelet.
pub const CONDITION: &str = "TunnelConnected";
