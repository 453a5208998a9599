//! What stands behind the metadata in the zero value of each built-in kind that has anything there,
//! as kube-apiserver 1.34 writes it. Data only; no kind is required to be listed.

use crate::TypeMeta;

/// The wire form of a kind's zero value, without type and metadata.
pub(super) struct ZeroValue {
    pub(super) json: &'static str,
    pub(super) protobuf: &'static [u8],
}

/// The zero value of a kind, where it is known to be more than metadata.
pub(super) fn find(type_meta: &TypeMeta) -> Option<ZeroValue> {
    ZERO_VALUES
        .iter()
        .find(|(api_version, kind, ..)| *api_version == type_meta.api_version && *kind == type_meta.kind)
        .map(|&(.., json, protobuf)| ZeroValue { json, protobuf })
}

#[rustfmt::skip]
const ZERO_VALUES: &[(&str, &str, &str, &[u8])] = &[
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", r#","spec":{},"status":{}"#, b"\x12\x00\x1a\x02\x08\x00"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", r#","spec":{}"#, b"\x12\x02\x0a\x00"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", r#","spec":{"group":"","names":{"plural":"","kind":""},"scope":"","versions":null},"status":{"conditions":null,"acceptedNames":{"plural":"","kind":""},"storedVersions":null}"#, b"\x12\x10\x0a\x00\x1a\x08\x0a\x00\x12\x00\x22\x00\x2a\x00\x22\x00\x50\x00\x1a\x0a\x12\x08\x0a\x00\x12\x00\x22\x00\x2a\x00"),
    ("apiregistration.k8s.io/v1", "APIService", r#","spec":{"groupPriorityMinimum":0,"versionPriority":0},"status":{}"#, b"\x12\x0a\x12\x00\x1a\x00\x20\x00\x38\x00\x40\x00\x1a\x00"),
    ("apps/v1", "ControllerRevision", r#","data":null,"revision":0"#, b"\x12\x00\x18\x00"),
    ("apps/v1", "Deployment", r#","spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"strategy":{}},"status":{}"#, b"\x12\x3c\x08\x00\x1a\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x22\x02\x0a\x00\x28\x00\x38\x00\x1a\x0c\x08\x00\x10\x00\x18\x00\x20\x00\x28\x00\x38\x00"),
    ("apps/v1", "ReplicaSet", r#","spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}}},"status":{"replicas":0}"#, b"\x12\x36\x08\x00\x1a\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x20\x00\x1a\x0a\x08\x00\x10\x00\x18\x00\x20\x00\x28\x00"),
    ("apps/v1", "StatefulSet", r#","spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"serviceName":"","updateStrategy":{}},"status":{"replicas":0,"availableReplicas":0}"#, b"\x12\x3e\x08\x00\x1a\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x2a\x00\x32\x00\x3a\x02\x0a\x00\x48\x00\x1a\x10\x08\x00\x10\x00\x18\x00\x20\x00\x28\x00\x32\x00\x3a\x00\x58\x00"),
    ("autoscaling/v2", "HorizontalPodAutoscaler", r#","spec":{"scaleTargetRef":{"kind":"","name":""},"maxReplicas":0},"status":{"desiredReplicas":0,"currentMetrics":null}"#, b"\x12\x0a\x0a\x06\x0a\x00\x12\x00\x1a\x00\x18\x00\x1a\x04\x18\x00\x20\x00"),
    ("batch/v1", "CronJob", r#","spec":{"schedule":"","jobTemplate":{"metadata":{},"spec":{"template":{"metadata":{},"spec":{"containers":null}}}}},"status":{}"#, b"\x12\x4c\x0a\x00\x1a\x00\x2a\x46\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x32\x32\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x1a\x00"),
    ("batch/v1", "Job", r#","spec":{"template":{"metadata":{},"spec":{"containers":null}}},"status":{}"#, b"\x12\x32\x32\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x1a\x08\x20\x00\x28\x00\x30\x00\x3a\x00"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", r#","spec":{"request":null,"signerName":""},"status":{}"#, b"\x12\x06\x12\x00\x1a\x00\x3a\x00\x1a\x00"),
    ("coordination.k8s.io/v1", "Lease", r#","spec":{}"#, b"\x12\x00"),
    ("discovery.k8s.io/v1", "EndpointSlice", r#","addressType":"","endpoints":null,"ports":null"#, b"\x22\x00"),
    ("events.k8s.io/v1", "Event", r#","eventTime":null,"regarding":{},"deprecatedSource":{},"deprecatedFirstTimestamp":null,"deprecatedLastTimestamp":null"#, b"\x12\x00\x22\x00\x2a\x00\x32\x00\x3a\x00\x42\x0e\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x3a\x00\x52\x00\x5a\x00\x62\x04\x0a\x00\x12\x00\x6a\x00\x72\x00\x78\x00"),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", r#","spec":{"priorityLevelConfiguration":{"name":""},"matchingPrecedence":0},"status":{}"#, b"\x12\x06\x0a\x02\x0a\x00\x10\x00\x1a\x00"),
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", r#","spec":{"type":""},"status":{}"#, b"\x12\x02\x0a\x00\x1a\x00"),
    ("networking.k8s.io/v1", "IPAddress", r#","spec":{}"#, b"\x12\x00"),
    ("networking.k8s.io/v1", "Ingress", r#","spec":{},"status":{"loadBalancer":{}}"#, b"\x12\x00\x1a\x02\x0a\x00"),
    ("networking.k8s.io/v1", "IngressClass", r#","spec":{}"#, b"\x12\x02\x0a\x00"),
    ("networking.k8s.io/v1", "NetworkPolicy", r#","spec":{"podSelector":{}}"#, b"\x12\x02\x0a\x00"),
    ("networking.k8s.io/v1", "ServiceCIDR", r#","spec":{},"status":{}"#, b"\x12\x00\x1a\x00"),
    ("node.k8s.io/v1", "RuntimeClass", r#","handler":"""#, b"\x12\x00"),
    ("policy/v1", "PodDisruptionBudget", r#","spec":{},"status":{"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":0}"#, b"\x12\x00\x1a\x0a\x08\x00\x18\x00\x20\x00\x28\x00\x30\x00"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", r#","rules":null"#, b""),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", r#","roleRef":{"apiGroup":"","kind":"","name":""}"#, b"\x1a\x06\x0a\x00\x12\x00\x1a\x00"),
    ("rbac.authorization.k8s.io/v1", "Role", r#","rules":null"#, b""),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", r#","roleRef":{"apiGroup":"","kind":"","name":""}"#, b"\x1a\x06\x0a\x00\x12\x00\x1a\x00"),
    ("resource.k8s.io/v1", "DeviceClass", r#","spec":{}"#, b"\x12\x00"),
    ("resource.k8s.io/v1", "ResourceClaim", r#","spec":{"devices":{"requests":null}},"status":{}"#, b"\x12\x02\x0a\x00\x1a\x00"),
    ("resource.k8s.io/v1", "ResourceClaimTemplate", r#","spec":{"metadata":{},"spec":{"devices":{"requests":null}}}"#, b"\x12\x16\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x02\x0a\x00"),
    ("resource.k8s.io/v1", "ResourceSlice", r#","spec":{"driver":"","pool":{"name":"","generation":0,"resourceSliceCount":0},"devices":null}"#, b"\x12\x0a\x0a\x00\x12\x06\x0a\x00\x10\x00\x18\x00"),
    ("scheduling.k8s.io/v1", "PriorityClass", r#","value":0"#, b"\x10\x00\x18\x00\x22\x00"),
    ("storage.k8s.io/v1", "CSIDriver", r#","spec":{}"#, b"\x12\x00"),
    ("storage.k8s.io/v1", "CSINode", r#","spec":{"drivers":null}"#, b"\x12\x00"),
    ("storage.k8s.io/v1", "CSIStorageCapacity", r#","storageClassName":"""#, b"\x1a\x00"),
    ("storage.k8s.io/v1", "StorageClass", r#","provisioner":"""#, b"\x12\x00"),
    ("storage.k8s.io/v1", "VolumeAttachment", r#","spec":{"attacher":"","source":{},"nodeName":""},"status":{"attached":false}"#, b"\x12\x06\x0a\x00\x12\x00\x1a\x00\x1a\x02\x08\x00"),
    ("storage.k8s.io/v1", "VolumeAttributesClass", r#","driverName":"""#, b"\x12\x00"),
    ("v1", "Event", r#","involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":"""#, b"\x12\x0e\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x3a\x00\x1a\x00\x22\x00\x2a\x04\x0a\x00\x12\x00\x32\x00\x3a\x00\x40\x00\x4a\x00\x52\x00\x62\x00\x72\x00\x7a\x00"),
    ("v1", "LimitRange", r#","spec":{"limits":null}"#, b"\x12\x00"),
    ("v1", "Namespace", r#","spec":{},"status":{}"#, b"\x12\x00\x1a\x02\x0a\x00"),
    ("v1", "Node", r#","spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}"#, b"\x12\x08\x0a\x00\x12\x00\x1a\x00\x20\x00\x1a\x1e\x1a\x00\x32\x04\x0a\x02\x08\x00\x3a\x14\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x3a\x00\x42\x00\x4a\x00\x52\x00"),
    ("v1", "PersistentVolume", r#","spec":{},"status":{}"#, b"\x12\x06\x12\x00\x2a\x00\x32\x00\x1a\x06\x0a\x00\x12\x00\x1a\x00"),
    ("v1", "PersistentVolumeClaim", r#","spec":{"resources":{}},"status":{}"#, b"\x12\x04\x12\x00\x1a\x00\x1a\x02\x0a\x00"),
    ("v1", "Pod", r#","spec":{"containers":null},"status":{}"#, b"\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\x1a\x13\x0a\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x4a\x00\x5a\x00\x72\x00\x88\x01\x00"),
    ("v1", "PodTemplate", r#","template":{"metadata":{},"spec":{"containers":null}}"#, b"\x12\x30\x0a\x10\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x1c\x1a\x00\x32\x00\x42\x00\x4a\x00\x52\x00\x58\x00\x60\x00\x68\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00"),
    ("v1", "ReplicationController", r#","spec":{},"status":{"replicas":0}"#, b"\x12\x02\x20\x00\x1a\x0a\x08\x00\x10\x00\x18\x00\x20\x00\x28\x00"),
    ("v1", "ResourceQuota", r#","spec":{},"status":{}"#, b"\x12\x00\x1a\x00"),
    ("v1", "Secret", "", b"\x1a\x00"),
    ("v1", "Service", r#","spec":{},"status":{"loadBalancer":{}}"#, b"\x12\x10\x1a\x00\x22\x00\x3a\x00\x42\x00\x52\x00\x5a\x00\x60\x00\x68\x00\x1a\x02\x0a\x00"),
];
