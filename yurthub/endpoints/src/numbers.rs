//! The field numbers of protobuf that this crate reads or writes. Holds no logic.
//!
//! Sources: `k8s.io/api/discovery/v1/generated.proto` and `k8s.io/api/core/v1/generated.proto`, v0.37.1;
//! numbers of released fields do not change.

/// `EndpointSlice` of `discovery.k8s.io/v1`.
pub(crate) mod endpoint_slice {
    pub(crate) const ENDPOINTS: u32 = 2;
    pub(crate) const ADDRESS_TYPE: u32 = 4;
}

/// `Endpoint` of `discovery.k8s.io/v1`.
pub(crate) mod endpoint {
    pub(crate) const ADDRESSES: u32 = 1;
    pub(crate) const CONDITIONS: u32 = 2;
    pub(crate) const TARGET_REF: u32 = 4;
    pub(crate) const NODE_NAME: u32 = 6;
}

/// `EndpointConditions` of `discovery.k8s.io/v1`.
pub(crate) mod endpoint_conditions {
    pub(crate) const READY: u32 = 1;
    pub(crate) const SERVING: u32 = 2;
    pub(crate) const TERMINATING: u32 = 3;
}

/// `Endpoints` of `v1`.
pub(crate) mod endpoints {
    pub(crate) const SUBSETS: u32 = 2;
}

/// `EndpointSubset` of `v1`.
pub(crate) mod endpoint_subset {
    pub(crate) const ADDRESSES: u32 = 1;
    pub(crate) const NOT_READY_ADDRESSES: u32 = 2;
}

/// `EndpointAddress` of `v1`.
pub(crate) mod endpoint_address {
    pub(crate) const IP: u32 = 1;
    pub(crate) const TARGET_REF: u32 = 2;
    pub(crate) const NODE_NAME: u32 = 4;
}

/// `ObjectReference` of `v1`.
pub(crate) mod object_reference {
    pub(crate) const KIND: u32 = 1;
    pub(crate) const UID: u32 = 4;
}

/// `Pod` of `v1`, its spec and status.
pub(crate) mod pod {
    pub(crate) const STATUS: u32 = 3;
    /// `spec.hostNetwork`.
    pub(crate) const HOST_NETWORK: [u32; 2] = [2, 11];
    /// `spec.readinessGates`.
    pub(crate) const READINESS_GATES: [u32; 2] = [2, 28];
    /// Within the status.
    pub(crate) const PHASE: u32 = 1;
    pub(crate) const CONDITIONS: u32 = 2;
    pub(crate) const POD_IP: u32 = 6;
    pub(crate) const POD_IPS: u32 = 12;
    /// Within a condition.
    pub(crate) const CONDITION_TYPE: u32 = 1;
    pub(crate) const CONDITION_STATUS: u32 = 2;
    /// Within one of `podIPs`.
    pub(crate) const IP: u32 = 1;
}

/// `Service` of `v1`.
pub(crate) mod service {
    /// `spec.publishNotReadyAddresses`.
    pub(crate) const PUBLISH_NOT_READY_ADDRESSES: [u32; 2] = [2, 13];
}
