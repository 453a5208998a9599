//! Generated from the struct tags of k8s.io/api v0.34.4. Do not edit: run
//! "go run ./tables > ../src/tables.rs" in "yurthub/schema/codegen".
//!
//! Names are pieces of one text and types are numbers, because a table of references would take ten times the room.
//! Invariant: the fields of a message are in the order of the Go struct, which is that of its JSON; those of an embedded
//! struct stand where it stands.

use super::packed::{
    BOOL, FIELDS_V1, INT32, INT64, INT_OR_STRING, LIST, MAP_OF_BYTES, MAP_OF_QUANTITY, MAP_OF_STRING, MERGE,
    MESSAGE, MICRO_TIME, OMITEMPTY, OMITZERO, POINTER, Packed, QUANTITY, RETAIN_KEYS, STRING, TIME, field,
};

/// Version and kind of each object, and the number of its message.
pub(super) static ROOTS: [(&str, &str, u16); 18] = [
    ("v1", "Pod", 0),
    ("v1", "Node", 126),
    ("v1", "ConfigMap", 144),
    ("v1", "Secret", 145),
    ("v1", "Service", 146),
    ("v1", "ServiceAccount", 156),
    ("v1", "Endpoints", 158),
    ("v1", "Event", 162),
    ("v1", "Namespace", 165),
    ("v1", "PersistentVolume", 169),
    ("v1", "PersistentVolumeClaim", 185),
    ("coordination.k8s.io/v1", "Lease", 189),
    ("discovery.k8s.io/v1", "EndpointSlice", 191),
    ("events.k8s.io/v1", "Event", 198),
    ("node.k8s.io/v1", "RuntimeClass", 200),
    ("storage.k8s.io/v1", "CSIDriver", 203),
    ("storage.k8s.io/v1", "CSINode", 206),
    ("storage.k8s.io/v1", "VolumeAttachment", 210),
];

/// Where the fields of each message begin; the last one is where they end.
pub(super) static MESSAGES: [u16; 216] = [
    0, // core/v1.Pod
    3, // meta/v1.ObjectMeta
    18, // meta/v1.OwnerReference
    24, // meta/v1.ManagedFieldsEntry
    31, // core/v1.PodSpec
    72, // core/v1.Volume
    103, // core/v1.HostPathVolumeSource
    105, // core/v1.EmptyDirVolumeSource
    107, // core/v1.GCEPersistentDiskVolumeSource
    111, // core/v1.AWSElasticBlockStoreVolumeSource
    115, // core/v1.GitRepoVolumeSource
    118, // core/v1.SecretVolumeSource
    122, // core/v1.KeyToPath
    125, // core/v1.NFSVolumeSource
    128, // core/v1.ISCSIVolumeSource
    139, // core/v1.LocalObjectReference
    140, // core/v1.GlusterfsVolumeSource
    143, // core/v1.PersistentVolumeClaimVolumeSource
    145, // core/v1.RBDVolumeSource
    153, // core/v1.FlexVolumeSource
    158, // core/v1.CinderVolumeSource
    162, // core/v1.CephFSVolumeSource
    168, // core/v1.FlockerVolumeSource
    170, // core/v1.DownwardAPIVolumeSource
    172, // core/v1.DownwardAPIVolumeFile
    176, // core/v1.ObjectFieldSelector
    178, // core/v1.ResourceFieldSelector
    181, // core/v1.FCVolumeSource
    186, // core/v1.AzureFileVolumeSource
    189, // core/v1.ConfigMapVolumeSource
    193, // core/v1.VsphereVirtualDiskVolumeSource
    197, // core/v1.QuobyteVolumeSource
    203, // core/v1.AzureDiskVolumeSource
    209, // core/v1.PhotonPersistentDiskVolumeSource
    211, // core/v1.ProjectedVolumeSource
    213, // core/v1.VolumeProjection
    219, // core/v1.SecretProjection
    222, // core/v1.DownwardAPIProjection
    223, // core/v1.ConfigMapProjection
    226, // core/v1.ServiceAccountTokenProjection
    229, // core/v1.ClusterTrustBundleProjection
    234, // meta/v1.LabelSelector
    236, // meta/v1.LabelSelectorRequirement
    239, // core/v1.PodCertificateProjection
    245, // core/v1.PortworxVolumeSource
    248, // core/v1.ScaleIOVolumeSource
    258, // core/v1.StorageOSVolumeSource
    263, // core/v1.CSIVolumeSource
    268, // core/v1.EphemeralVolumeSource
    269, // core/v1.PersistentVolumeClaimTemplate
    271, // core/v1.PersistentVolumeClaimSpec
    280, // core/v1.VolumeResourceRequirements
    282, // core/v1.TypedLocalObjectReference
    285, // core/v1.TypedObjectReference
    289, // core/v1.ImageVolumeSource
    291, // core/v1.Container
    316, // core/v1.ContainerPort
    321, // core/v1.EnvFromSource
    324, // core/v1.ConfigMapEnvSource
    326, // core/v1.SecretEnvSource
    328, // core/v1.EnvVar
    331, // core/v1.EnvVarSource
    336, // core/v1.ConfigMapKeySelector
    339, // core/v1.SecretKeySelector
    342, // core/v1.FileKeySelector
    346, // core/v1.ResourceRequirements
    349, // core/v1.ResourceClaim
    351, // core/v1.ContainerResizePolicy
    353, // core/v1.ContainerRestartRule
    355, // core/v1.ContainerRestartRuleOnExitCodes
    357, // core/v1.VolumeMount
    364, // core/v1.VolumeDevice
    366, // core/v1.Probe
    376, // core/v1.ExecAction
    377, // core/v1.HTTPGetAction
    382, // core/v1.HTTPHeader
    384, // core/v1.TCPSocketAction
    386, // core/v1.GRPCAction
    388, // core/v1.Lifecycle
    391, // core/v1.LifecycleHandler
    395, // core/v1.SleepAction
    396, // core/v1.SecurityContext
    408, // core/v1.Capabilities
    410, // core/v1.SELinuxOptions
    414, // core/v1.WindowsSecurityContextOptions
    418, // core/v1.SeccompProfile
    420, // core/v1.AppArmorProfile
    422, // core/v1.EphemeralContainer
    448, // core/v1.PodSecurityContext
    461, // core/v1.Sysctl
    463, // core/v1.Affinity
    466, // core/v1.NodeAffinity
    468, // core/v1.NodeSelector
    469, // core/v1.NodeSelectorTerm
    471, // core/v1.NodeSelectorRequirement
    474, // core/v1.PreferredSchedulingTerm
    476, // core/v1.PodAffinity
    478, // core/v1.PodAffinityTerm
    484, // core/v1.WeightedPodAffinityTerm
    486, // core/v1.PodAntiAffinity
    488, // core/v1.Toleration
    493, // core/v1.HostAlias
    495, // core/v1.PodDNSConfig
    498, // core/v1.PodDNSConfigOption
    500, // core/v1.PodReadinessGate
    501, // core/v1.TopologySpreadConstraint
    509, // core/v1.PodOS
    510, // core/v1.PodSchedulingGate
    511, // core/v1.PodResourceClaim
    514, // core/v1.PodStatus
    532, // core/v1.PodCondition
    539, // core/v1.HostIP
    540, // core/v1.PodIP
    541, // core/v1.ContainerStatus
    556, // core/v1.ContainerState
    559, // core/v1.ContainerStateWaiting
    561, // core/v1.ContainerStateRunning
    562, // core/v1.ContainerStateTerminated
    569, // core/v1.VolumeMountStatus
    573, // core/v1.ContainerUser
    574, // core/v1.LinuxContainerUser
    577, // core/v1.ResourceStatus
    579, // core/v1.ResourceHealth
    581, // core/v1.PodResourceClaimStatus
    583, // core/v1.PodExtendedResourceClaimStatus
    585, // core/v1.ContainerExtendedResourceRequest
    588, // core/v1.Node
    591, // core/v1.NodeSpec
    598, // core/v1.Taint
    602, // core/v1.NodeConfigSource
    603, // core/v1.ConfigMapNodeConfigSource
    608, // core/v1.NodeStatus
    621, // core/v1.NodeCondition
    627, // core/v1.NodeAddress
    629, // core/v1.NodeDaemonEndpoints
    630, // core/v1.DaemonEndpoint
    631, // core/v1.NodeSystemInfo
    642, // core/v1.NodeSwapStatus
    643, // core/v1.ContainerImage
    645, // core/v1.AttachedVolume
    647, // core/v1.NodeConfigStatus
    651, // core/v1.NodeRuntimeHandler
    653, // core/v1.NodeRuntimeHandlerFeatures
    655, // core/v1.NodeFeatures
    656, // core/v1.ConfigMap
    660, // core/v1.Secret
    665, // core/v1.Service
    668, // core/v1.ServiceSpec
    688, // core/v1.ServicePort
    694, // core/v1.SessionAffinityConfig
    695, // core/v1.ClientIPConfig
    696, // core/v1.ServiceStatus
    698, // core/v1.LoadBalancerStatus
    699, // core/v1.LoadBalancerIngress
    703, // core/v1.PortStatus
    706, // meta/v1.Condition
    712, // core/v1.ServiceAccount
    716, // core/v1.ObjectReference
    723, // core/v1.Endpoints
    725, // core/v1.EndpointSubset
    728, // core/v1.EndpointAddress
    732, // core/v1.EndpointPort
    736, // core/v1.Event
    751, // core/v1.EventSource
    753, // core/v1.EventSeries
    755, // core/v1.Namespace
    758, // core/v1.NamespaceSpec
    759, // core/v1.NamespaceStatus
    761, // core/v1.NamespaceCondition
    766, // core/v1.PersistentVolume
    769, // core/v1.PersistentVolumeSpec
    800, // core/v1.GlusterfsPersistentVolumeSource
    804, // core/v1.RBDPersistentVolumeSource
    812, // core/v1.SecretReference
    814, // core/v1.ISCSIPersistentVolumeSource
    825, // core/v1.CinderPersistentVolumeSource
    829, // core/v1.CephFSPersistentVolumeSource
    835, // core/v1.FlexPersistentVolumeSource
    840, // core/v1.AzureFilePersistentVolumeSource
    844, // core/v1.ScaleIOPersistentVolumeSource
    854, // core/v1.LocalVolumeSource
    856, // core/v1.StorageOSPersistentVolumeSource
    861, // core/v1.CSIPersistentVolumeSource
    871, // core/v1.VolumeNodeAffinity
    872, // core/v1.PersistentVolumeStatus
    876, // core/v1.PersistentVolumeClaim
    879, // core/v1.PersistentVolumeClaimStatus
    887, // core/v1.PersistentVolumeClaimCondition
    893, // core/v1.ModifyVolumeStatus
    895, // coordination/v1.Lease
    897, // coordination/v1.LeaseSpec
    904, // discovery/v1.EndpointSlice
    908, // discovery/v1.Endpoint
    916, // discovery/v1.EndpointConditions
    919, // discovery/v1.EndpointHints
    921, // discovery/v1.ForZone
    922, // discovery/v1.ForNode
    923, // discovery/v1.EndpointPort
    927, // events/v1.Event
    942, // events/v1.EventSeries
    944, // node/v1.RuntimeClass
    948, // node/v1.Overhead
    949, // node/v1.Scheduling
    951, // storage/v1.CSIDriver
    953, // storage/v1.CSIDriverSpec
    962, // storage/v1.TokenRequest
    964, // storage/v1.CSINode
    966, // storage/v1.CSINodeSpec
    967, // storage/v1.CSINodeDriver
    971, // storage/v1.VolumeNodeResources
    972, // storage/v1.VolumeAttachment
    975, // storage/v1.VolumeAttachmentSpec
    978, // storage/v1.VolumeAttachmentSource
    980, // storage/v1.VolumeAttachmentStatus
    984, // storage/v1.VolumeError
    987,
];

/// All fields.
pub(super) static FIELDS: [Packed; 987] = [
    // core/v1.Pod
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 4), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 109), OMITEMPTY, 0), // status
    // meta/v1.ObjectMeta
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((3261, 12), (2, 0), (STRING, 0), OMITEMPTY, 0), // generateName
    field((1823, 9), (3, 0), (STRING, 0), OMITEMPTY, 0), // namespace
    field((4737, 8), (4, 0), (STRING, 0), OMITEMPTY, 0), // selfLink
    field((5289, 3), (5, 0), (STRING, 0), OMITEMPTY, 0), // uid
    field((2526, 15), (6, 0), (STRING, 0), OMITEMPTY, 0), // resourceVersion
    field((3868, 10), (7, 0), (INT64, 0), OMITEMPTY, 0), // generation
    field((1704, 17), (8, 0), (TIME, 0), OMITEMPTY | OMITZERO, 0), // creationTimestamp
    field((1721, 17), (9, 0), (TIME, 0), POINTER | OMITEMPTY, 0), // deletionTimestamp
    field((358, 26), (10, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // deletionGracePeriodSeconds
    field((5060, 6), (11, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // labels
    field((3473, 11), (12, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // annotations
    field((2451, 15), (13, 0), (MESSAGE, 2), LIST | OMITEMPTY | MERGE, 9), // ownerReferences
    field((3838, 10), (14, 0), (STRING, 0), LIST | OMITEMPTY | MERGE, 0), // finalizers
    field((3097, 13), (17, 0), (MESSAGE, 3), LIST | OMITEMPTY, 0), // managedFields
    // meta/v1.OwnerReference
    field((3748, 10), (5, 0), (STRING, 0), 0, 0), // apiVersion
    field((5227, 4), (1, 0), (STRING, 0), 0, 0), // kind
    field((1823, 4), (3, 0), (STRING, 0), 0, 0), // name
    field((5289, 3), (4, 0), (STRING, 0), 0, 0), // uid
    field((332, 10), (6, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // controller
    field((1436, 18), (7, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // blockOwnerDeletion
    // meta/v1.ManagedFieldsEntry
    field((4887, 7), (1, 0), (STRING, 0), OMITEMPTY, 0), // manager
    field((4268, 9), (2, 0), (STRING, 0), OMITEMPTY, 0), // operation
    field((3748, 10), (3, 0), (STRING, 0), OMITEMPTY, 0), // apiVersion
    field((715, 4), (4, 0), (TIME, 0), POINTER | OMITEMPTY, 0), // time
    field((3818, 10), (6, 0), (STRING, 0), OMITEMPTY, 0), // fieldsType
    field((4561, 8), (7, 0), (FIELDS_V1, 0), POINTER | OMITEMPTY, 0), // fieldsV1
    field((3715, 11), (8, 0), (STRING, 0), OMITEMPTY, 0), // subresource
    // core/v1.PodSpec
    field((2646, 7), (1, 0), (MESSAGE, 5), LIST | OMITEMPTY | MERGE | RETAIN_KEYS, 5), // volumes
    field((2703, 14), (20, 0), (MESSAGE, 55), LIST | OMITEMPTY | MERGE, 5), // initContainers
    field((3788, 10), (2, 0), (MESSAGE, 55), LIST | MERGE, 5), // containers
    field((1209, 19), (34, 0), (MESSAGE, 87), LIST | OMITEMPTY | MERGE, 5), // ephemeralContainers
    field((1634, 13), (3, 0), (STRING, 0), OMITEMPTY, 0), // restartPolicy
    field((248, 29), (4, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // terminationGracePeriodSeconds
    field((861, 21), (5, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // activeDeadlineSeconds
    field((4151, 9), (6, 0), (STRING, 0), OMITEMPTY, 0), // dnsPolicy
    field((1840, 12), (7, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // nodeSelector
    field((1652, 18), (8, 0), (STRING, 0), OMITEMPTY, 0), // serviceAccountName
    field((1342, 14), (9, 0), (STRING, 0), OMITEMPTY, 0), // serviceAccount
    field((277, 28), (21, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // automountServiceAccountToken
    field((4625, 8), (10, 0), (STRING, 0), OMITEMPTY, 0), // nodeName
    field((3605, 11), (11, 0), (BOOL, 0), OMITEMPTY, 0), // hostNetwork
    field((4838, 7), (12, 0), (BOOL, 0), OMITEMPTY, 0), // hostPID
    field((4824, 7), (13, 0), (BOOL, 0), OMITEMPTY, 0), // hostIPC
    field((1008, 21), (27, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // shareProcessNamespace
    field((2586, 15), (14, 0), (MESSAGE, 88), POINTER | OMITEMPTY, 0), // securityContext
    field((2075, 16), (15, 0), (MESSAGE, 15), LIST | OMITEMPTY | MERGE, 5), // imagePullSecrets
    field((2059, 8), (16, 0), (STRING, 0), OMITEMPTY, 0), // hostname
    field((4412, 9), (17, 0), (STRING, 0), OMITEMPTY, 0), // subdomain
    field((4457, 8), (18, 0), (MESSAGE, 90), POINTER | OMITEMPTY, 0), // affinity
    field((3136, 13), (19, 0), (STRING, 0), OMITEMPTY, 0), // schedulerName
    field((3737, 11), (22, 0), (MESSAGE, 100), LIST | OMITEMPTY, 0), // tolerations
    field((3594, 11), (23, 0), (MESSAGE, 101), LIST | OMITEMPTY | MERGE, 3), // hostAliases
    field((1891, 17), (24, 0), (STRING, 0), OMITEMPTY, 0), // priorityClassName
    field((1891, 8), (25, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // priority
    field((4142, 9), (26, 0), (MESSAGE, 102), POINTER | OMITEMPTY, 0), // dnsConfig
    field((2829, 14), (28, 0), (MESSAGE, 104), LIST | OMITEMPTY, 0), // readinessGates
    field((2283, 16), (29, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // runtimeClassName
    field((1490, 18), (30, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // enableServiceLinks
    field((2235, 16), (31, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // preemptionPolicy
    field((4657, 8), (32, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // overhead
    field((485, 25), (33, 0), (MESSAGE, 105), LIST | OMITEMPTY | MERGE, 7), // topologySpreadConstraints
    field((1959, 17), (35, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // setHostnameAsFQDN
    field((1963, 2), (36, 0), (MESSAGE, 106), POINTER | OMITEMPTY, 0), // os
    field((4205, 9), (37, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // hostUsers
    field((2556, 15), (38, 0), (MESSAGE, 107), LIST | OMITEMPTY | MERGE, 5), // schedulingGates
    field((2857, 14), (39, 0), (MESSAGE, 108), LIST | OMITEMPTY | MERGE | RETAIN_KEYS, 5), // resourceClaims
    field((4331, 9), (40, 0), (MESSAGE, 65), POINTER | OMITEMPTY, 0), // resources
    field((2059, 16), (41, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // hostnameOverride
    // core/v1.Volume
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4585, 8), (1, 2), (MESSAGE, 6), POINTER | OMITEMPTY, 0), // hostPath
    field((4537, 8), (2, 2), (MESSAGE, 7), POINTER | OMITEMPTY, 0), // emptyDir
    field((1755, 17), (3, 2), (MESSAGE, 8), POINTER | OMITEMPTY, 0), // gcePersistentDisk
    field((1029, 20), (4, 2), (MESSAGE, 9), POINTER | OMITEMPTY, 0), // awsElasticBlockStore
    field((4810, 7), (5, 2), (MESSAGE, 10), POINTER | OMITEMPTY, 0), // gitRepo
    field((2571, 6), (6, 2), (MESSAGE, 11), POINTER | OMITEMPTY, 0), // secret
    field((5280, 3), (7, 2), (MESSAGE, 13), POINTER | OMITEMPTY, 0), // nfs
    field((2745, 5), (8, 2), (MESSAGE, 14), POINTER | OMITEMPTY, 0), // iscsi
    field((4196, 9), (9, 2), (MESSAGE, 16), POINTER | OMITEMPTY, 0), // glusterfs
    field((945, 21), (10, 2), (MESSAGE, 17), POINTER | OMITEMPTY, 0), // persistentVolumeClaim
    field((5283, 3), (11, 2), (MESSAGE, 18), POINTER | OMITEMPTY, 0), // rbd
    field((3858, 10), (12, 2), (MESSAGE, 19), POINTER | OMITEMPTY, 0), // flexVolume
    field((5024, 6), (13, 2), (MESSAGE, 20), POINTER | OMITEMPTY, 0), // cinder
    field((5018, 6), (14, 2), (MESSAGE, 21), POINTER | OMITEMPTY, 0), // cephfs
    field((4796, 7), (15, 2), (MESSAGE, 22), POINTER | OMITEMPTY, 0), // flocker
    field((3572, 11), (16, 2), (MESSAGE, 23), POINTER | OMITEMPTY, 0), // downwardAPI
    field((3236, 2), (17, 2), (MESSAGE, 27), POINTER | OMITEMPTY, 0), // fc
    field((4106, 9), (18, 2), (MESSAGE, 28), POINTER | OMITEMPTY, 0), // azureFile
    field((2361, 9), (19, 2), (MESSAGE, 29), POINTER | OMITEMPTY, 0), // configMap
    field((3188, 13), (20, 2), (MESSAGE, 30), POINTER | OMITEMPTY, 0), // vsphereVolume
    field((4936, 7), (21, 2), (MESSAGE, 31), POINTER | OMITEMPTY, 0), // quobyte
    field((4097, 9), (22, 2), (MESSAGE, 32), POINTER | OMITEMPTY, 0), // azureDisk
    field((1169, 20), (23, 2), (MESSAGE, 33), POINTER | OMITEMPTY, 0), // photonPersistentDisk
    field((4304, 9), (26, 2), (MESSAGE, 34), POINTER | OMITEMPTY, 0), // projected
    field((2815, 14), (24, 2), (MESSAGE, 44), POINTER | OMITEMPTY, 0), // portworxVolume
    field((4957, 7), (25, 2), (MESSAGE, 45), POINTER | OMITEMPTY, 0), // scaleIO
    field((4403, 9), (27, 2), (MESSAGE, 46), POINTER | OMITEMPTY, 0), // storageos
    field((2747, 3), (28, 2), (MESSAGE, 47), POINTER | OMITEMPTY, 0), // csi
    field((384, 9), (29, 2), (MESSAGE, 48), POINTER | OMITEMPTY, 0), // ephemeral
    field((2075, 5), (30, 2), (MESSAGE, 54), POINTER | OMITEMPTY, 0), // image
    // core/v1.HostPathVolumeSource
    field((5239, 4), (1, 0), (STRING, 0), 0, 0), // path
    field((5263, 4), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // type
    // core/v1.EmptyDirVolumeSource
    field((5072, 6), (1, 0), (STRING, 0), OMITEMPTY, 0), // medium
    field((4367, 9), (2, 0), (QUANTITY, 0), POINTER | OMITEMPTY, 0), // sizeLimit
    // core/v1.GCEPersistentDiskVolumeSource
    field((5084, 6), (1, 0), (STRING, 0), 0, 0), // pdName
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((4277, 9), (3, 0), (INT32, 0), OMITEMPTY, 0), // partition
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.AWSElasticBlockStoreVolumeSource
    field((4753, 8), (1, 0), (STRING, 0), 0, 0), // volumeID
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((4277, 9), (3, 0), (INT32, 0), OMITEMPTY, 0), // partition
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.GitRepoVolumeSource
    field((3948, 10), (1, 0), (STRING, 0), 0, 0), // repository
    field((4713, 8), (2, 0), (STRING, 0), OMITEMPTY, 0), // revision
    field((4133, 9), (3, 0), (STRING, 0), OMITEMPTY, 0), // directory
    // core/v1.SecretVolumeSource
    field((2571, 10), (1, 0), (STRING, 0), OMITEMPTY, 0), // secretName
    field((5166, 5), (2, 0), (MESSAGE, 12), LIST | OMITEMPTY, 0), // items
    field((3550, 11), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // defaultMode
    field((4649, 8), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.KeyToPath
    field((4866, 3), (1, 0), (STRING, 0), 0, 0), // key
    field((5239, 4), (2, 0), (STRING, 0), 0, 0), // path
    field((5231, 4), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // mode
    // core/v1.NFSVolumeSource
    field((3664, 6), (1, 0), (STRING, 0), 0, 0), // server
    field((5239, 4), (2, 0), (STRING, 0), 0, 0), // path
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.ISCSIVolumeSource
    field((3369, 12), (1, 0), (STRING, 0), 0, 0), // targetPortal
    field((5274, 3), (2, 0), (STRING, 0), 0, 0), // iqn
    field((5277, 3), (3, 0), (INT32, 0), 0, 0), // lun
    field((2745, 14), (4, 0), (STRING, 0), OMITEMPTY, 0), // iscsiInterface
    field((5042, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (6, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4922, 7), (7, 0), (STRING, 0), LIST | OMITEMPTY, 0), // portals
    field((1670, 17), (8, 0), (BOOL, 0), OMITEMPTY, 0), // chapAuthDiscovery
    field((2346, 15), (11, 0), (BOOL, 0), OMITEMPTY, 0), // chapAuthSession
    field((4340, 9), (10, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    field((3006, 13), (12, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // initiatorName
    // core/v1.LocalObjectReference
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    // core/v1.GlusterfsVolumeSource
    field((1508, 9), (1, 0), (STRING, 0), 0, 0), // endpoints
    field((5239, 4), (2, 0), (STRING, 0), 0, 0), // path
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.PersistentVolumeClaimVolumeSource
    field((4115, 9), (1, 0), (STRING, 0), 0, 0), // claimName
    field((817, 8), (2, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.RBDVolumeSource
    field((4609, 8), (1, 0), (STRING, 0), LIST, 0), // monitors
    field((2075, 5), (2, 0), (STRING, 0), 0, 0), // image
    field((5042, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((5247, 4), (4, 0), (STRING, 0), OMITEMPTY, 0), // pool
    field((2913, 4), (5, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((4880, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // keyring
    field((4340, 9), (7, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (8, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.FlexVolumeSource
    field((4782, 6), (1, 0), (STRING, 0), 0, 0), // driver
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((4340, 9), (3, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4908, 7), (5, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // options
    // core/v1.CinderVolumeSource
    field((4753, 8), (1, 0), (STRING, 0), 0, 0), // volumeID
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4340, 9), (4, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    // core/v1.CephFSVolumeSource
    field((4609, 8), (1, 0), (STRING, 0), LIST, 0), // monitors
    field((5239, 4), (2, 0), (STRING, 0), OMITEMPTY, 0), // path
    field((2913, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((3978, 10), (4, 0), (STRING, 0), OMITEMPTY, 0), // secretFile
    field((4340, 9), (5, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (6, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.FlockerVolumeSource
    field((3528, 11), (1, 0), (STRING, 0), OMITEMPTY, 0), // datasetName
    field((3539, 11), (2, 0), (STRING, 0), OMITEMPTY, 0), // datasetUUID
    // core/v1.DownwardAPIVolumeSource
    field((5166, 5), (1, 0), (MESSAGE, 24), LIST | OMITEMPTY, 0), // items
    field((3550, 11), (2, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // defaultMode
    // core/v1.DownwardAPIVolumeFile
    field((5239, 4), (1, 0), (STRING, 0), 0, 0), // path
    field((4553, 8), (2, 0), (MESSAGE, 25), POINTER | OMITEMPTY, 0), // fieldRef
    field((2267, 16), (3, 0), (MESSAGE, 26), POINTER | OMITEMPTY, 0), // resourceFieldRef
    field((5231, 4), (4, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // mode
    // core/v1.ObjectFieldSelector
    field((3748, 10), (1, 0), (STRING, 0), OMITEMPTY, 0), // apiVersion
    field((4187, 9), (2, 0), (STRING, 0), 0, 0), // fieldPath
    // core/v1.ResourceFieldSelector
    field((2954, 13), (1, 0), (STRING, 0), OMITEMPTY, 0), // containerName
    field((460, 8), (2, 0), (STRING, 0), 0, 0), // resource
    field((4775, 7), (3, 0), (QUANTITY, 0), OMITEMPTY, 0), // divisor
    // core/v1.FCVolumeSource
    field((4038, 10), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // targetWWNs
    field((5277, 3), (2, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // lun
    field((5042, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((5206, 5), (5, 0), (STRING, 0), LIST | OMITEMPTY, 0), // wwids
    // core/v1.AzureFileVolumeSource
    field((2571, 10), (1, 0), (STRING, 0), 0, 0), // secretName
    field((4349, 9), (2, 0), (STRING, 0), 0, 0), // shareName
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.ConfigMapVolumeSource
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((5166, 5), (2, 0), (MESSAGE, 12), LIST | OMITEMPTY, 0), // items
    field((3550, 11), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // defaultMode
    field((4649, 8), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.VsphereVirtualDiskVolumeSource
    field((4068, 10), (1, 0), (STRING, 0), 0, 0), // volumePath
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((1976, 17), (3, 0), (STRING, 0), OMITEMPTY, 0), // storagePolicyName
    field((2616, 15), (4, 0), (STRING, 0), OMITEMPTY, 0), // storagePolicyID
    // core/v1.QuobyteVolumeSource
    field((4697, 8), (1, 0), (STRING, 0), 0, 0), // registry
    field((510, 6), (2, 0), (STRING, 0), 0, 0), // volume
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((2913, 4), (4, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((5156, 5), (5, 0), (STRING, 0), OMITEMPTY, 0), // group
    field((5138, 6), (6, 0), (STRING, 0), OMITEMPTY, 0), // tenant
    // core/v1.AzureDiskVolumeSource
    field((4529, 8), (1, 0), (STRING, 0), 0, 0), // diskName
    field((4768, 7), (2, 0), (STRING, 0), 0, 0), // diskURI
    field((3506, 11), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // cachingMode
    field((5042, 6), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // fsType
    field((817, 8), (5, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // readOnly
    field((5227, 4), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // kind
    // core/v1.PhotonPersistentDiskVolumeSource
    field((5243, 4), (1, 0), (STRING, 0), 0, 0), // pdID
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    // core/v1.ProjectedVolumeSource
    field((546, 7), (1, 0), (MESSAGE, 35), LIST, 0), // sources
    field((3550, 11), (2, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // defaultMode
    // core/v1.VolumeProjection
    field((2571, 6), (1, 0), (MESSAGE, 36), POINTER | OMITEMPTY, 0), // secret
    field((3572, 11), (2, 0), (MESSAGE, 37), POINTER | OMITEMPTY, 0), // downwardAPI
    field((2361, 9), (3, 0), (MESSAGE, 38), POINTER | OMITEMPTY, 0), // configMap
    field((1342, 19), (4, 0), (MESSAGE, 39), POINTER | OMITEMPTY, 0), // serviceAccountToken
    field((1454, 18), (5, 0), (MESSAGE, 40), POINTER | OMITEMPTY, 0), // clusterTrustBundle
    field((2787, 14), (6, 0), (MESSAGE, 43), POINTER | OMITEMPTY, 0), // podCertificate
    // core/v1.SecretProjection
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((5166, 5), (2, 0), (MESSAGE, 12), LIST | OMITEMPTY, 0), // items
    field((4649, 8), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.DownwardAPIProjection
    field((5166, 5), (1, 0), (MESSAGE, 24), LIST | OMITEMPTY, 0), // items
    // core/v1.ConfigMapProjection
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((5166, 5), (2, 0), (MESSAGE, 12), LIST | OMITEMPTY, 0), // items
    field((4649, 8), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.ServiceAccountTokenProjection
    field((4497, 8), (1, 0), (STRING, 0), OMITEMPTY, 0), // audience
    field((1738, 17), (2, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // expirationSeconds
    field((5239, 4), (3, 0), (STRING, 0), 0, 0), // path
    // core/v1.ClusterTrustBundleProjection
    field((1823, 4), (1, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // name
    field((3988, 10), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // signerName
    field((3032, 13), (3, 0), (MESSAGE, 41), POINTER | OMITEMPTY, 0), // labelSelector
    field((4649, 8), (5, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    field((5239, 4), (4, 0), (STRING, 0), 0, 0), // path
    // meta/v1.LabelSelector
    field((3649, 11), (1, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // matchLabels
    field((2187, 16), (2, 0), (MESSAGE, 42), LIST | OMITEMPTY, 0), // matchExpressions
    // meta/v1.LabelSelectorRequirement
    field((4866, 3), (1, 0), (STRING, 0), 0, 0), // key
    field((4641, 8), (2, 0), (STRING, 0), 0, 0), // operator
    field((5144, 6), (3, 0), (STRING, 0), LIST | OMITEMPTY, 0), // values
    // core/v1.PodCertificateProjection
    field((3988, 10), (1, 0), (STRING, 0), OMITEMPTY, 0), // signerName
    field((4873, 7), (2, 0), (STRING, 0), OMITEMPTY, 0), // keyType
    field((1109, 20), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // maxExpirationSeconds
    field((1069, 20), (4, 0), (STRING, 0), OMITEMPTY, 0), // credentialBundlePath
    field((4866, 7), (5, 0), (STRING, 0), OMITEMPTY, 0), // keyPath
    field((1049, 20), (6, 0), (STRING, 0), OMITEMPTY, 0), // certificateChainPath
    // core/v1.PortworxVolumeSource
    field((4753, 8), (1, 0), (STRING, 0), 0, 0), // volumeID
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.ScaleIOVolumeSource
    field((4803, 7), (1, 0), (STRING, 0), 0, 0), // gateway
    field((833, 6), (2, 0), (STRING, 0), 0, 0), // system
    field((4340, 9), (3, 0), (MESSAGE, 15), POINTER, 0), // secretRef
    field((3998, 10), (4, 0), (BOOL, 0), OMITEMPTY, 0), // sslEnabled
    field((2251, 16), (5, 0), (STRING, 0), OMITEMPTY, 0), // protectionDomain
    field((3693, 11), (6, 0), (STRING, 0), OMITEMPTY, 0), // storagePool
    field((3682, 11), (7, 0), (STRING, 0), OMITEMPTY, 0), // storageMode
    field((2631, 10), (8, 0), (STRING, 0), OMITEMPTY, 0), // volumeName
    field((5042, 6), (9, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (10, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.StorageOSVolumeSource
    field((2631, 10), (1, 0), (STRING, 0), OMITEMPTY, 0), // volumeName
    field((2631, 15), (2, 0), (STRING, 0), OMITEMPTY, 0), // volumeNamespace
    field((5042, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4340, 9), (5, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // secretRef
    // core/v1.CSIVolumeSource
    field((4782, 6), (1, 0), (STRING, 0), 0, 0), // driver
    field((817, 8), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // readOnly
    field((5042, 6), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // fsType
    field((510, 16), (4, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // volumeAttributes
    field((1129, 20), (5, 0), (MESSAGE, 15), POINTER | OMITEMPTY, 0), // nodePublishSecretRef
    // core/v1.EphemeralVolumeSource
    field((1399, 19), (1, 0), (MESSAGE, 49), POINTER | OMITEMPTY, 0), // volumeClaimTemplate
    // core/v1.PersistentVolumeClaimTemplate
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 50), 0, 0), // spec
    // core/v1.PersistentVolumeClaimSpec
    field((3429, 11), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // accessModes
    field((4729, 8), (4, 0), (MESSAGE, 41), POINTER | OMITEMPTY, 0), // selector
    field((4331, 9), (2, 0), (MESSAGE, 51), OMITEMPTY, 0), // resources
    field((2631, 10), (3, 0), (STRING, 0), OMITEMPTY, 0), // volumeName
    field((2299, 16), (5, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // storageClassName
    field((4058, 10), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // volumeMode
    field((2980, 10), (7, 0), (MESSAGE, 52), POINTER | OMITEMPTY, 0), // dataSource
    field((2980, 13), (8, 0), (MESSAGE, 53), POINTER | OMITEMPTY, 0), // dataSourceRef
    field((510, 25), (9, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // volumeAttributesClassName
    // core/v1.VolumeResourceRequirements
    field((5066, 6), (1, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // limits
    field((4705, 8), (2, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // requests
    // core/v1.TypedLocalObjectReference
    field((4465, 8), (1, 0), (STRING, 0), POINTER, 0), // apiGroup
    field((5227, 4), (2, 0), (STRING, 0), 0, 0), // kind
    field((1823, 4), (3, 0), (STRING, 0), 0, 0), // name
    // core/v1.TypedObjectReference
    field((4465, 8), (1, 0), (STRING, 0), POINTER, 0), // apiGroup
    field((5227, 4), (2, 0), (STRING, 0), 0, 0), // kind
    field((1823, 4), (3, 0), (STRING, 0), 0, 0), // name
    field((1823, 9), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // namespace
    // core/v1.ImageVolumeSource
    field((3909, 9), (1, 0), (STRING, 0), OMITEMPTY, 0), // reference
    field((3938, 10), (2, 0), (STRING, 0), OMITEMPTY, 0), // pullPolicy
    // core/v1.Container
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((2075, 5), (2, 0), (STRING, 0), OMITEMPTY, 0), // image
    field((4761, 7), (3, 0), (STRING, 0), LIST | OMITEMPTY, 0), // command
    field((5211, 4), (4, 0), (STRING, 0), LIST | OMITEMPTY, 0), // args
    field((4078, 10), (5, 0), (STRING, 0), OMITEMPTY, 0), // workingDir
    field((5186, 5), (6, 0), (MESSAGE, 56), LIST | OMITEMPTY | MERGE, 1), // ports
    field((4789, 7), (19, 0), (MESSAGE, 57), LIST | OMITEMPTY, 0), // envFrom
    field((4789, 3), (7, 0), (MESSAGE, 60), LIST | OMITEMPTY | MERGE, 5), // env
    field((4331, 9), (8, 0), (MESSAGE, 65), OMITEMPTY, 0), // resources
    field((3285, 12), (23, 0), (MESSAGE, 67), LIST | OMITEMPTY, 0), // resizePolicy
    field((1634, 13), (24, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // restartPolicy
    field((1634, 18), (25, 0), (MESSAGE, 68), LIST | OMITEMPTY, 0), // restartPolicyRules
    field((3405, 12), (9, 0), (MESSAGE, 70), LIST | OMITEMPTY | MERGE, 4), // volumeMounts
    field((3175, 13), (21, 0), (MESSAGE, 71), LIST | OMITEMPTY | MERGE, 2), // volumeDevices
    field((3084, 13), (10, 0), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // livenessProbe
    field((2843, 14), (11, 0), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // readinessProbe
    field((3357, 12), (22, 0), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // startupProbe
    field((4241, 9), (12, 0), (MESSAGE, 78), POINTER | OMITEMPTY, 0), // lifecycle
    field((839, 22), (13, 0), (STRING, 0), OMITEMPTY, 0), // terminationMessagePath
    field((679, 24), (20, 0), (STRING, 0), OMITEMPTY, 0), // terminationMessagePolicy
    field((2406, 15), (14, 0), (STRING, 0), OMITEMPTY, 0), // imagePullPolicy
    field((2586, 15), (15, 0), (MESSAGE, 81), POINTER | OMITEMPTY, 0), // securityContext
    field((4394, 5), (16, 0), (BOOL, 0), OMITEMPTY, 0), // stdin
    field((4394, 9), (17, 0), (BOOL, 0), OMITEMPTY, 0), // stdinOnce
    field((5286, 3), (18, 0), (BOOL, 0), OMITEMPTY, 0), // tty
    // core/v1.ContainerPort
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((4593, 8), (2, 0), (INT32, 0), OMITEMPTY, 0), // hostPort
    field((2967, 13), (3, 0), (INT32, 0), 0, 0), // containerPort
    field((4681, 8), (4, 0), (STRING, 0), OMITEMPTY, 0), // protocol
    field((4824, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // hostIP
    // core/v1.EnvFromSource
    field((5096, 6), (1, 0), (STRING, 0), OMITEMPTY, 0), // prefix
    field((3225, 12), (2, 0), (MESSAGE, 58), POINTER | OMITEMPTY, 0), // configMapRef
    field((4340, 9), (3, 0), (MESSAGE, 59), POINTER | OMITEMPTY, 0), // secretRef
    // core/v1.ConfigMapEnvSource
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((4649, 8), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.SecretEnvSource
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((4649, 8), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.EnvVar
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4448, 5), (2, 0), (STRING, 0), OMITEMPTY, 0), // value
    field((4448, 9), (3, 0), (MESSAGE, 61), POINTER | OMITEMPTY, 0), // valueFrom
    // core/v1.EnvVarSource
    field((4553, 8), (1, 0), (MESSAGE, 25), POINTER | OMITEMPTY, 0), // fieldRef
    field((2267, 16), (2, 0), (MESSAGE, 26), POINTER | OMITEMPTY, 0), // resourceFieldRef
    field((2361, 15), (3, 0), (MESSAGE, 62), POINTER | OMITEMPTY, 0), // configMapKeyRef
    field((3345, 12), (4, 0), (MESSAGE, 63), POINTER | OMITEMPTY, 0), // secretKeyRef
    field((3828, 10), (5, 0), (MESSAGE, 64), POINTER | OMITEMPTY, 0), // fileKeyRef
    // core/v1.ConfigMapKeySelector
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((4866, 3), (2, 0), (STRING, 0), 0, 0), // key
    field((4649, 8), (3, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.SecretKeySelector
    field((1823, 4), (1, 1), (STRING, 0), OMITEMPTY, 0), // name
    field((4866, 3), (2, 0), (STRING, 0), 0, 0), // key
    field((4649, 8), (3, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.FileKeySelector
    field((2631, 10), (1, 0), (STRING, 0), 0, 0), // volumeName
    field((5239, 4), (2, 0), (STRING, 0), 0, 0), // path
    field((4866, 3), (3, 0), (STRING, 0), 0, 0), // key
    field((4649, 8), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // optional
    // core/v1.ResourceRequirements
    field((5066, 6), (1, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // limits
    field((4705, 8), (2, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // requests
    field((5030, 6), (3, 0), (MESSAGE, 66), LIST | OMITEMPTY, 0), // claims
    // core/v1.ResourceClaim
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((2511, 7), (2, 0), (STRING, 0), OMITEMPTY, 0), // request
    // core/v1.ContainerResizePolicy
    field((3297, 12), (1, 0), (STRING, 0), 0, 0), // resourceName
    field((1634, 13), (2, 0), (STRING, 0), 0, 0), // restartPolicy
    // core/v1.ContainerRestartRule
    field((5006, 6), (1, 0), (STRING, 0), OMITEMPTY, 0), // action
    field((4178, 9), (2, 0), (MESSAGE, 69), POINTER | OMITEMPTY, 0), // exitCodes
    // core/v1.ContainerRestartRuleOnExitCodes
    field((4641, 8), (1, 0), (STRING, 0), OMITEMPTY, 0), // operator
    field((5144, 6), (2, 0), (INT32, 0), LIST | OMITEMPTY, 0), // values
    // core/v1.VolumeMount
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((817, 8), (2, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((772, 17), (7, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // recursiveReadOnly
    field((4259, 9), (3, 0), (STRING, 0), 0, 0), // mountPath
    field((3704, 7), (4, 0), (STRING, 0), OMITEMPTY, 0), // subPath
    field((2203, 16), (5, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // mountPropagation
    field((3704, 11), (6, 0), (STRING, 0), OMITEMPTY, 0), // subPathExpr
    // core/v1.VolumeDevice
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((3798, 10), (2, 0), (STRING, 0), 0, 0), // devicePath
    // core/v1.Probe
    field((5219, 4), (1, 1), (MESSAGE, 73), POINTER | OMITEMPTY, 0), // exec
    field((4845, 7), (2, 1), (MESSAGE, 74), POINTER | OMITEMPTY, 0), // httpGet
    field((4430, 9), (3, 1), (MESSAGE, 76), POINTER | OMITEMPTY, 0), // tcpSocket
    field((5223, 4), (4, 1), (MESSAGE, 77), POINTER | OMITEMPTY, 0), // grpc
    field((1266, 19), (2, 0), (INT32, 0), OMITEMPTY, 0), // initialDelaySeconds
    field((2899, 14), (3, 0), (INT32, 0), OMITEMPTY, 0), // timeoutSeconds
    field((3110, 13), (4, 0), (INT32, 0), OMITEMPTY, 0), // periodSeconds
    field((2315, 16), (5, 0), (INT32, 0), OMITEMPTY, 0), // successThreshold
    field((2043, 16), (6, 0), (INT32, 0), OMITEMPTY, 0), // failureThreshold
    field((248, 29), (7, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // terminationGracePeriodSeconds
    // core/v1.ExecAction
    field((4761, 7), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // command
    // core/v1.HTTPGetAction
    field((5239, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // path
    field((1306, 4), (2, 0), (INT_OR_STRING, 0), 0, 0), // port
    field((2059, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // host
    field((5108, 6), (4, 0), (STRING, 0), OMITEMPTY, 0), // scheme
    field((3627, 11), (5, 0), (MESSAGE, 75), LIST | OMITEMPTY, 0), // httpHeaders
    // core/v1.HTTPHeader
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4448, 5), (2, 0), (STRING, 0), 0, 0), // value
    // core/v1.TCPSocketAction
    field((1306, 4), (1, 0), (INT_OR_STRING, 0), 0, 0), // port
    field((2059, 4), (2, 0), (STRING, 0), OMITEMPTY, 0), // host
    // core/v1.GRPCAction
    field((1306, 4), (1, 0), (INT32, 0), 0, 0), // port
    field((1342, 7), (2, 0), (STRING, 0), POINTER, 0), // service
    // core/v1.Lifecycle
    field((4286, 9), (1, 0), (MESSAGE, 79), POINTER | OMITEMPTY, 0), // postStart
    field((4929, 7), (2, 0), (MESSAGE, 79), POINTER | OMITEMPTY, 0), // preStop
    field((4008, 10), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // stopSignal
    // core/v1.LifecycleHandler
    field((5219, 4), (1, 0), (MESSAGE, 73), POINTER | OMITEMPTY, 0), // exec
    field((4845, 7), (2, 0), (MESSAGE, 74), POINTER | OMITEMPTY, 0), // httpGet
    field((4430, 9), (3, 0), (MESSAGE, 76), POINTER | OMITEMPTY, 0), // tcpSocket
    field((5196, 5), (4, 0), (MESSAGE, 80), POINTER | OMITEMPTY, 0), // sleep
    // core/v1.SleepAction
    field((4964, 7), (1, 0), (INT64, 0), 0, 0), // seconds
    // core/v1.SecurityContext
    field((3213, 12), (1, 0), (MESSAGE, 82), POINTER | OMITEMPTY, 0), // capabilities
    field((3918, 10), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // privileged
    field((2871, 14), (3, 0), (MESSAGE, 83), POINTER | OMITEMPTY, 0), // seLinuxOptions
    field((2927, 14), (10, 0), (MESSAGE, 84), POINTER | OMITEMPTY, 0), // windowsOptions
    field((3123, 9), (4, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // runAsUser
    field((3968, 10), (8, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // runAsGroup
    field((3321, 12), (5, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // runAsNonRoot
    field((817, 22), (6, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // readOnlyRootFilesystem
    field((559, 24), (7, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // allowPrivilegeEscalation
    field((4295, 9), (9, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // procMount
    field((2885, 14), (11, 0), (MESSAGE, 85), POINTER | OMITEMPTY, 0), // seccompProfile
    field((2331, 15), (12, 0), (MESSAGE, 86), POINTER | OMITEMPTY, 0), // appArmorProfile
    // core/v1.Capabilities
    field((3451, 3), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // add
    field((5215, 4), (2, 0), (STRING, 0), LIST | OMITEMPTY, 0), // drop
    // core/v1.SELinuxOptions
    field((2913, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((5251, 4), (2, 0), (STRING, 0), OMITEMPTY, 0), // role
    field((5263, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // type
    field((5171, 5), (4, 0), (STRING, 0), OMITEMPTY, 0), // level
    // core/v1.WindowsSecurityContextOptions
    field((795, 22), (1, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // gmsaCredentialSpecName
    field((795, 18), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // gmsaCredentialSpec
    field((3123, 13), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // runAsUserName
    field((3616, 11), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // hostProcess
    // core/v1.SeccompProfile
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((2171, 16), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // localhostProfile
    // core/v1.AppArmorProfile
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((2171, 16), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // localhostProfile
    // core/v1.EphemeralContainer
    field((1823, 4), (1, 1), (STRING, 0), 0, 0), // name
    field((2075, 5), (2, 1), (STRING, 0), OMITEMPTY, 0), // image
    field((4761, 7), (3, 1), (STRING, 0), LIST | OMITEMPTY, 0), // command
    field((5211, 4), (4, 1), (STRING, 0), LIST | OMITEMPTY, 0), // args
    field((4078, 10), (5, 1), (STRING, 0), OMITEMPTY, 0), // workingDir
    field((5186, 5), (6, 1), (MESSAGE, 56), LIST | OMITEMPTY | MERGE, 1), // ports
    field((4789, 7), (19, 1), (MESSAGE, 57), LIST | OMITEMPTY, 0), // envFrom
    field((4789, 3), (7, 1), (MESSAGE, 60), LIST | OMITEMPTY | MERGE, 5), // env
    field((4331, 9), (8, 1), (MESSAGE, 65), OMITEMPTY, 0), // resources
    field((3285, 12), (23, 1), (MESSAGE, 67), LIST | OMITEMPTY, 0), // resizePolicy
    field((1634, 13), (24, 1), (STRING, 0), POINTER | OMITEMPTY, 0), // restartPolicy
    field((1634, 18), (25, 1), (MESSAGE, 68), LIST | OMITEMPTY, 0), // restartPolicyRules
    field((3405, 12), (9, 1), (MESSAGE, 70), LIST | OMITEMPTY | MERGE, 4), // volumeMounts
    field((3175, 13), (21, 1), (MESSAGE, 71), LIST | OMITEMPTY | MERGE, 2), // volumeDevices
    field((3084, 13), (10, 1), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // livenessProbe
    field((2843, 14), (11, 1), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // readinessProbe
    field((3357, 12), (22, 1), (MESSAGE, 72), POINTER | OMITEMPTY, 0), // startupProbe
    field((4241, 9), (12, 1), (MESSAGE, 78), POINTER | OMITEMPTY, 0), // lifecycle
    field((839, 22), (13, 1), (STRING, 0), OMITEMPTY, 0), // terminationMessagePath
    field((679, 24), (20, 1), (STRING, 0), OMITEMPTY, 0), // terminationMessagePolicy
    field((2406, 15), (14, 1), (STRING, 0), OMITEMPTY, 0), // imagePullPolicy
    field((2586, 15), (15, 1), (MESSAGE, 81), POINTER | OMITEMPTY, 0), // securityContext
    field((4394, 5), (16, 1), (BOOL, 0), OMITEMPTY, 0), // stdin
    field((4394, 9), (17, 1), (BOOL, 0), OMITEMPTY, 0), // stdinOnce
    field((5286, 3), (18, 1), (BOOL, 0), OMITEMPTY, 0), // tty
    field((1361, 19), (2, 0), (STRING, 0), OMITEMPTY, 0), // targetContainerName
    // core/v1.PodSecurityContext
    field((2871, 14), (1, 0), (MESSAGE, 83), POINTER | OMITEMPTY, 0), // seLinuxOptions
    field((2927, 14), (8, 0), (MESSAGE, 84), POINTER | OMITEMPTY, 0), // windowsOptions
    field((3123, 9), (2, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // runAsUser
    field((3968, 10), (6, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // runAsGroup
    field((3321, 12), (3, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // runAsNonRoot
    field((655, 18), (4, 0), (INT64, 0), LIST | OMITEMPTY, 0), // supplementalGroups
    field((655, 24), (12, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // supplementalGroupsPolicy
    field((1228, 7), (5, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // fsGroup
    field((4992, 7), (7, 0), (MESSAGE, 89), LIST | OMITEMPTY, 0), // sysctls
    field((1228, 19), (9, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // fsGroupChangePolicy
    field((2885, 14), (10, 0), (MESSAGE, 85), POINTER | OMITEMPTY, 0), // seccompProfile
    field((2331, 15), (11, 0), (MESSAGE, 86), POINTER | OMITEMPTY, 0), // appArmorProfile
    field((1323, 19), (13, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // seLinuxChangePolicy
    // core/v1.Sysctl
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4448, 5), (2, 0), (STRING, 0), 0, 0), // value
    // core/v1.Affinity
    field((1562, 12), (1, 0), (MESSAGE, 91), POINTER | OMITEMPTY, 0), // nodeAffinity
    field((2466, 11), (2, 0), (MESSAGE, 96), POINTER | OMITEMPTY, 0), // podAffinity
    field((2481, 15), (3, 0), (MESSAGE, 99), POINTER | OMITEMPTY, 0), // podAntiAffinity
    // core/v1.NodeAffinity
    field((47, 46), (1, 0), (MESSAGE, 92), POINTER | OMITEMPTY, 0), // requiredDuringSchedulingIgnoredDuringExecution
    field((0, 47), (2, 0), (MESSAGE, 95), LIST | OMITEMPTY, 0), // preferredDuringSchedulingIgnoredDuringExecution
    // core/v1.NodeSelector
    field((1840, 17), (1, 0), (MESSAGE, 93), LIST, 0), // nodeSelectorTerms
    // core/v1.NodeSelectorTerm
    field((2187, 16), (1, 0), (MESSAGE, 94), LIST | OMITEMPTY, 0), // matchExpressions
    field((3638, 11), (2, 0), (MESSAGE, 94), LIST | OMITEMPTY, 0), // matchFields
    // core/v1.NodeSelectorRequirement
    field((4866, 3), (1, 0), (STRING, 0), 0, 0), // key
    field((4641, 8), (2, 0), (STRING, 0), 0, 0), // operator
    field((5144, 6), (3, 0), (STRING, 0), LIST | OMITEMPTY, 0), // values
    // core/v1.PreferredSchedulingTerm
    field((5150, 6), (1, 0), (INT32, 0), 0, 0), // weight
    field((3908, 10), (2, 0), (MESSAGE, 93), 0, 0), // preference
    // core/v1.PodAffinity
    field((47, 46), (1, 0), (MESSAGE, 97), LIST | OMITEMPTY, 0), // requiredDuringSchedulingIgnoredDuringExecution
    field((0, 47), (2, 0), (MESSAGE, 98), LIST | OMITEMPTY, 0), // preferredDuringSchedulingIgnoredDuringExecution
    // core/v1.PodAffinityTerm
    field((3032, 13), (1, 0), (MESSAGE, 41), POINTER | OMITEMPTY, 0), // labelSelector
    field((3898, 10), (2, 0), (STRING, 0), LIST | OMITEMPTY, 0), // namespaces
    field((3381, 11), (3, 0), (STRING, 0), 0, 0), // topologyKey
    field((1823, 17), (4, 0), (MESSAGE, 41), POINTER | OMITEMPTY, 0), // namespaceSelector
    field((1809, 14), (5, 0), (STRING, 0), LIST | OMITEMPTY, 0), // matchLabelKeys
    field((1806, 17), (6, 0), (STRING, 0), LIST | OMITEMPTY, 0), // mismatchLabelKeys
    // core/v1.WeightedPodAffinityTerm
    field((5150, 6), (1, 0), (INT32, 0), 0, 0), // weight
    field((2466, 15), (2, 0), (MESSAGE, 97), 0, 0), // podAffinityTerm
    // core/v1.PodAntiAffinity
    field((47, 46), (1, 0), (MESSAGE, 97), LIST | OMITEMPTY, 0), // requiredDuringSchedulingIgnoredDuringExecution
    field((0, 47), (2, 0), (MESSAGE, 98), LIST | OMITEMPTY, 0), // preferredDuringSchedulingIgnoredDuringExecution
    // core/v1.Toleration
    field((4866, 3), (1, 0), (STRING, 0), OMITEMPTY, 0), // key
    field((4641, 8), (2, 0), (STRING, 0), OMITEMPTY, 0), // operator
    field((4448, 5), (3, 0), (STRING, 0), OMITEMPTY, 0), // value
    field((5036, 6), (4, 0), (STRING, 0), OMITEMPTY, 0), // effect
    field((1993, 17), (5, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // tolerationSeconds
    // core/v1.HostAlias
    field((2731, 2), (1, 0), (STRING, 0), 0, 0), // ip
    field((4214, 9), (2, 0), (STRING, 0), LIST | OMITEMPTY, 0), // hostnames
    // core/v1.PodDNSConfig
    field((3660, 11), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // nameservers
    field((4721, 8), (2, 0), (STRING, 0), LIST | OMITEMPTY, 0), // searches
    field((4908, 7), (3, 0), (MESSAGE, 103), LIST | OMITEMPTY, 0), // options
    // core/v1.PodDNSConfigOption
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((4448, 5), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // value
    // core/v1.PodReadinessGate
    field((2941, 13), (1, 0), (STRING, 0), 0, 0), // conditionType
    // core/v1.TopologySpreadConstraint
    field((4894, 7), (1, 0), (INT32, 0), 0, 0), // maxSkew
    field((3381, 11), (2, 0), (STRING, 0), 0, 0), // topologyKey
    field((2010, 17), (3, 0), (STRING, 0), 0, 0), // whenUnsatisfiable
    field((3032, 13), (4, 0), (MESSAGE, 41), POINTER | OMITEMPTY, 0), // labelSelector
    field((3888, 10), (5, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // minDomains
    field((1562, 18), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // nodeAffinityPolicy
    field((2219, 16), (7, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // nodeTaintsPolicy
    field((1809, 14), (8, 0), (STRING, 0), LIST | OMITEMPTY, 0), // matchLabelKeys
    // core/v1.PodOS
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    // core/v1.PodSchedulingGate
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    // core/v1.PodResourceClaim
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((1942, 17), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // resourceClaimName
    field((460, 25), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // resourceClaimTemplateName
    // core/v1.PodStatus
    field((1598, 18), (17, 0), (INT64, 0), OMITEMPTY, 0), // observedGeneration
    field((5181, 5), (1, 0), (STRING, 0), OMITEMPTY, 0), // phase
    field((3778, 10), (2, 0), (MESSAGE, 110), LIST | OMITEMPTY | MERGE, 8), // conditions
    field((4901, 7), (3, 0), (STRING, 0), OMITEMPTY, 0), // message
    field((5102, 6), (4, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((1857, 17), (11, 0), (STRING, 0), OMITEMPTY, 0), // nominatedNodeName
    field((4824, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // hostIP
    field((4831, 7), (16, 0), (MESSAGE, 111), LIST | OMITEMPTY | MERGE, 3), // hostIPs
    field((5090, 5), (6, 0), (STRING, 0), OMITEMPTY, 0), // podIP
    field((5090, 6), (12, 0), (MESSAGE, 112), LIST | OMITEMPTY | MERGE, 3), // podIPs
    field((4376, 9), (7, 0), (TIME, 0), POINTER | OMITEMPTY, 0), // startTime
    field((903, 21), (10, 0), (MESSAGE, 113), LIST | OMITEMPTY, 0), // initContainerStatuses
    field((1687, 17), (8, 0), (MESSAGE, 113), LIST | OMITEMPTY, 0), // containerStatuses
    field((4689, 8), (9, 0), (STRING, 0), OMITEMPTY, 0), // qosClass
    field((384, 26), (13, 0), (MESSAGE, 113), LIST | OMITEMPTY, 0), // ephemeralContainerStatuses
    field((3285, 6), (14, 0), (STRING, 0), OMITEMPTY, 0), // resize
    field((966, 21), (15, 0), (MESSAGE, 123), LIST | OMITEMPTY | MERGE | RETAIN_KEYS, 5), // resourceClaimStatuses
    field((305, 27), (18, 0), (MESSAGE, 124), POINTER | OMITEMPTY, 0), // extendedResourceClaimStatus
    // core/v1.PodCondition
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((1598, 18), (7, 0), (INT64, 0), OMITEMPTY, 0), // observedGeneration
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    field((3058, 13), (3, 0), (TIME, 0), OMITEMPTY, 0), // lastProbeTime
    field((1526, 18), (4, 0), (TIME, 0), OMITEMPTY, 0), // lastTransitionTime
    field((5102, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // message
    // core/v1.HostIP
    field((2731, 2), (1, 0), (STRING, 0), 0, 0), // ip
    // core/v1.PodIP
    field((2731, 2), (1, 0), (STRING, 0), 0, 0), // ip
    // core/v1.ContainerStatus
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((5201, 5), (2, 0), (MESSAGE, 114), OMITEMPTY, 0), // state
    field((4232, 9), (3, 0), (MESSAGE, 114), OMITEMPTY, 0), // lastState
    field((5191, 5), (4, 0), (BOOL, 0), 0, 0), // ready
    field((3309, 12), (5, 0), (INT32, 0), 0, 0), // restartCount
    field((2075, 5), (6, 0), (STRING, 0), 0, 0), // image
    field((4852, 7), (7, 0), (STRING, 0), 0, 0), // imageID
    field((3517, 11), (8, 0), (STRING, 0), OMITEMPTY, 0), // containerID
    field((4385, 7), (9, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // started
    field((535, 18), (10, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // allocatedResources
    field((4331, 9), (11, 0), (MESSAGE, 65), POINTER | OMITEMPTY, 0), // resources
    field((3405, 12), (12, 0), (MESSAGE, 118), LIST | OMITEMPTY | MERGE, 4), // volumeMounts
    field((2913, 4), (13, 0), (MESSAGE, 119), POINTER | OMITEMPTY, 0), // user
    field((535, 24), (14, 0), (MESSAGE, 121), LIST | OMITEMPTY | MERGE, 5), // allocatedResourcesStatus
    field((4008, 10), (15, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // stopSignal
    // core/v1.ContainerState
    field((4999, 7), (1, 0), (MESSAGE, 115), POINTER | OMITEMPTY, 0), // waiting
    field((4950, 7), (2, 0), (MESSAGE, 116), POINTER | OMITEMPTY, 0), // running
    field((4048, 10), (3, 0), (MESSAGE, 117), POINTER | OMITEMPTY, 0), // terminated
    // core/v1.ContainerStateWaiting
    field((5102, 6), (1, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (2, 0), (STRING, 0), OMITEMPTY, 0), // message
    // core/v1.ContainerStateRunning
    field((4385, 9), (1, 0), (TIME, 0), OMITEMPTY, 0), // startedAt
    // core/v1.ContainerStateTerminated
    field((4178, 8), (1, 0), (INT32, 0), 0, 0), // exitCode
    field((5120, 6), (2, 0), (INT32, 0), OMITEMPTY, 0), // signal
    field((5102, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (4, 0), (STRING, 0), OMITEMPTY, 0), // message
    field((4385, 9), (5, 0), (TIME, 0), OMITEMPTY, 0), // startedAt
    field((3848, 10), (6, 0), (TIME, 0), OMITEMPTY, 0), // finishedAt
    field((3517, 11), (7, 0), (STRING, 0), OMITEMPTY, 0), // containerID
    // core/v1.VolumeMountStatus
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4259, 9), (2, 0), (STRING, 0), 0, 0), // mountPath
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((772, 17), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // recursiveReadOnly
    // core/v1.ContainerUser
    field((5176, 5), (1, 0), (MESSAGE, 120), POINTER | OMITEMPTY, 0), // linux
    // core/v1.LinuxContainerUser
    field((5289, 3), (1, 0), (INT64, 0), 0, 0), // uid
    field((5271, 3), (2, 0), (INT64, 0), 0, 0), // gid
    field((655, 18), (3, 0), (INT64, 0), LIST | OMITEMPTY, 0), // supplementalGroups
    // core/v1.ResourceStatus
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4331, 9), (2, 0), (MESSAGE, 122), LIST | OMITEMPTY, 0), // resources
    // core/v1.ResourceHealth
    field((3958, 10), (1, 0), (STRING, 0), 0, 0), // resourceID
    field((1247, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // health
    // core/v1.PodResourceClaimStatus
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((1942, 17), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // resourceClaimName
    // core/v1.PodExtendedResourceClaimStatus
    field((2511, 15), (1, 0), (MESSAGE, 125), LIST, 0), // requestMappings
    field((1942, 17), (2, 0), (STRING, 0), 0, 0), // resourceClaimName
    // core/v1.ContainerExtendedResourceRequest
    field((2954, 13), (1, 0), (STRING, 0), 0, 0), // containerName
    field((3297, 12), (2, 0), (STRING, 0), 0, 0), // resourceName
    field((3671, 11), (3, 0), (STRING, 0), 0, 0), // requestName
    // core/v1.Node
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 127), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 131), OMITEMPTY, 0), // status
    // core/v1.NodeSpec
    field((4665, 7), (1, 0), (STRING, 0), OMITEMPTY, 0), // podCIDR
    field((4665, 8), (7, 0), (STRING, 0), LIST | OMITEMPTY | MERGE, 0), // podCIDRs
    field((3928, 10), (3, 0), (STRING, 0), OMITEMPTY, 0), // providerID
    field((3162, 13), (4, 0), (BOOL, 0), OMITEMPTY, 0), // unschedulable
    field((5132, 6), (5, 0), (MESSAGE, 128), LIST | OMITEMPTY, 0), // taints
    field((3237, 12), (6, 0), (MESSAGE, 129), POINTER | OMITEMPTY, 0), // configSource
    field((3808, 10), (2, 0), (STRING, 0), OMITEMPTY, 0), // externalID
    // core/v1.Taint
    field((4866, 3), (1, 0), (STRING, 0), 0, 0), // key
    field((4448, 5), (2, 0), (STRING, 0), OMITEMPTY, 0), // value
    field((5036, 6), (3, 0), (STRING, 0), 0, 0), // effect
    field((4439, 9), (4, 0), (TIME, 0), POINTER | OMITEMPTY, 0), // timeAdded
    // core/v1.NodeConfigSource
    field((2361, 9), (2, 0), (MESSAGE, 130), POINTER | OMITEMPTY, 0), // configMap
    // core/v1.ConfigMapNodeConfigSource
    field((1823, 9), (1, 0), (STRING, 0), 0, 0), // namespace
    field((1823, 4), (2, 0), (STRING, 0), 0, 0), // name
    field((5289, 3), (3, 0), (STRING, 0), OMITEMPTY, 0), // uid
    field((2526, 15), (4, 0), (STRING, 0), OMITEMPTY, 0), // resourceVersion
    field((2123, 16), (5, 0), (STRING, 0), 0, 0), // kubeletConfigKey
    // core/v1.NodeStatus
    field((4505, 8), (1, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // capacity
    field((3462, 11), (2, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // allocatable
    field((5181, 5), (3, 0), (STRING, 0), OMITEMPTY, 0), // phase
    field((3778, 10), (4, 0), (MESSAGE, 132), LIST | OMITEMPTY | MERGE, 8), // conditions
    field((4088, 9), (5, 0), (MESSAGE, 133), LIST | OMITEMPTY | MERGE, 8), // addresses
    field((2376, 15), (6, 0), (MESSAGE, 134), OMITEMPTY, 0), // daemonEndpoints
    field((4617, 8), (7, 0), (MESSAGE, 136), OMITEMPTY, 0), // nodeInfo
    field((5048, 6), (8, 0), (MESSAGE, 138), LIST | OMITEMPTY, 0), // images
    field((3417, 12), (9, 0), (STRING, 0), LIST | OMITEMPTY, 0), // volumesInUse
    field((2646, 15), (10, 0), (MESSAGE, 139), LIST | OMITEMPTY, 0), // volumesAttached
    field((2361, 6), (11, 0), (MESSAGE, 140), POINTER | OMITEMPTY, 0), // config
    field((2541, 15), (12, 0), (MESSAGE, 141), LIST | OMITEMPTY, 0), // runtimeHandlers
    field((4545, 8), (13, 0), (MESSAGE, 143), POINTER | OMITEMPTY, 0), // features
    // core/v1.NodeCondition
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    field((1772, 17), (3, 0), (TIME, 0), OMITEMPTY, 0), // lastHeartbeatTime
    field((1526, 18), (4, 0), (TIME, 0), OMITEMPTY, 0), // lastTransitionTime
    field((5102, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // message
    // core/v1.NodeAddress
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((3451, 7), (2, 0), (STRING, 0), 0, 0), // address
    // core/v1.NodeDaemonEndpoints
    field((2421, 15), (1, 0), (MESSAGE, 135), OMITEMPTY, 0), // kubeletEndpoint
    // core/v1.DaemonEndpoint
    field((214, 4), (1, 0), (INT32, 0), 0, 0), // Port
    // core/v1.NodeSystemInfo
    field((4250, 9), (1, 0), (STRING, 0), 0, 0), // machineID
    field((4028, 10), (2, 0), (STRING, 0), 0, 0), // systemUUID
    field((5012, 6), (3, 0), (STRING, 0), 0, 0), // bootID
    field((3019, 13), (4, 0), (STRING, 0), 0, 0), // kernelVersion
    field((4915, 7), (5, 0), (STRING, 0), 0, 0), // osImage
    field((703, 23), (6, 0), (STRING, 0), 0, 0), // containerRuntimeVersion
    field((2759, 14), (7, 0), (STRING, 0), 0, 0), // kubeletVersion
    field((2107, 16), (8, 0), (STRING, 0), 0, 0), // kubeProxyVersion
    field((2436, 15), (9, 0), (STRING, 0), 0, 0), // operatingSystem
    field((3201, 12), (10, 0), (STRING, 0), 0, 0), // architecture
    field((5259, 4), (11, 0), (MESSAGE, 137), POINTER | OMITEMPTY, 0), // swap
    // core/v1.NodeSwapStatus
    field((4505, 8), (1, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // capacity
    // core/v1.ContainerImage
    field((1823, 5), (1, 0), (STRING, 0), LIST, 0), // names
    field((4358, 9), (2, 0), (INT64, 0), OMITEMPTY, 0), // sizeBytes
    // core/v1.AttachedVolume
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((3798, 10), (2, 0), (STRING, 0), 0, 0), // devicePath
    // core/v1.NodeConfigStatus
    field((4473, 8), (1, 0), (MESSAGE, 129), POINTER | OMITEMPTY, 0), // assigned
    field((861, 6), (2, 0), (MESSAGE, 129), POINTER | OMITEMPTY, 0), // active
    field((3045, 13), (3, 0), (MESSAGE, 129), POINTER | OMITEMPTY, 0), // lastKnownGood
    field((4160, 5), (4, 0), (STRING, 0), OMITEMPTY, 0), // error
    // core/v1.NodeRuntimeHandler
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((4545, 8), (2, 0), (MESSAGE, 142), POINTER | OMITEMPTY, 0), // features
    // core/v1.NodeRuntimeHandlerFeatures
    field((772, 23), (1, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // recursiveReadOnlyMounts
    field((2913, 14), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // userNamespaces
    // core/v1.NodeFeatures
    field((655, 24), (1, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // supplementalGroupsPolicy
    // core/v1.ConfigMap
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((4223, 9), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // immutable
    field((1432, 4), (2, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // data
    field((3758, 10), (3, 0), (MAP_OF_BYTES, 0), OMITEMPTY, 0), // binaryData
    // core/v1.Secret
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((4223, 9), (5, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // immutable
    field((1432, 4), (2, 0), (MAP_OF_BYTES, 0), OMITEMPTY, 0), // data
    field((4018, 10), (4, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // stringData
    field((5263, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // type
    // core/v1.Service
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 147), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 151), OMITEMPTY, 0), // status
    // core/v1.ServiceSpec
    field((5186, 5), (1, 0), (MESSAGE, 148), LIST | OMITEMPTY | MERGE, 6), // ports
    field((4729, 8), (2, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // selector
    field((3768, 9), (3, 0), (STRING, 0), OMITEMPTY, 0), // clusterIP
    field((3768, 10), (18, 0), (STRING, 0), LIST | OMITEMPTY, 0), // clusterIPs
    field((5263, 4), (4, 0), (STRING, 0), OMITEMPTY, 0), // type
    field((3583, 11), (5, 0), (STRING, 0), LIST | OMITEMPTY, 0), // externalIPs
    field((987, 15), (7, 0), (STRING, 0), OMITEMPTY, 0), // sessionAffinity
    field((2773, 14), (8, 0), (STRING, 0), OMITEMPTY, 0), // loadBalancerIP
    field((607, 24), (9, 0), (STRING, 0), LIST | OMITEMPTY, 0), // loadBalancerSourceRanges
    field((3249, 12), (10, 0), (STRING, 0), OMITEMPTY, 0), // externalName
    field((882, 21), (11, 0), (STRING, 0), OMITEMPTY, 0), // externalTrafficPolicy
    field((1247, 19), (12, 0), (INT32, 0), OMITEMPTY, 0), // healthCheckNodePort
    field((631, 24), (13, 0), (BOOL, 0), OMITEMPTY, 0), // publishNotReadyAddresses
    field((987, 21), (14, 0), (MESSAGE, 149), POINTER | OMITEMPTY, 0), // sessionAffinityConfig
    field((3878, 10), (19, 0), (STRING, 0), LIST | OMITEMPTY, 0), // ipFamilies
    field((2731, 14), (17, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // ipFamilyPolicy
    field((190, 29), (20, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // allocateLoadBalancerNodePorts
    field((1789, 17), (21, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // loadBalancerClass
    field((924, 21), (22, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // internalTrafficPolicy
    field((1380, 19), (23, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // trafficDistribution
    // core/v1.ServicePort
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((4681, 8), (2, 0), (STRING, 0), OMITEMPTY, 0), // protocol
    field((3484, 11), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // appProtocol
    field((1306, 4), (3, 0), (INT32, 0), 0, 0), // port
    field((3369, 10), (4, 0), (INT_OR_STRING, 0), OMITEMPTY, 0), // targetPort
    field((4633, 8), (5, 0), (INT32, 0), OMITEMPTY, 0), // nodePort
    // core/v1.SessionAffinityConfig
    field((4521, 8), (1, 0), (MESSAGE, 150), POINTER | OMITEMPTY, 0), // clientIP
    // core/v1.ClientIPConfig
    field((2899, 14), (1, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // timeoutSeconds
    // core/v1.ServiceStatus
    field((607, 12), (1, 0), (MESSAGE, 152), OMITEMPTY, 0), // loadBalancer
    field((3778, 10), (2, 0), (MESSAGE, 155), LIST | OMITEMPTY | MERGE, 8), // conditions
    // core/v1.LoadBalancerStatus
    field((4859, 7), (1, 0), (MESSAGE, 153), LIST | OMITEMPTY, 0), // ingress
    // core/v1.LoadBalancerIngress
    field((2731, 2), (1, 0), (STRING, 0), OMITEMPTY, 0), // ip
    field((2059, 8), (2, 0), (STRING, 0), OMITEMPTY, 0), // hostname
    field((5054, 6), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // ipMode
    field((5186, 5), (4, 0), (MESSAGE, 154), LIST | OMITEMPTY, 0), // ports
    // core/v1.PortStatus
    field((1306, 4), (1, 0), (INT32, 0), 0, 0), // port
    field((4681, 8), (2, 0), (STRING, 0), 0, 0), // protocol
    field((4160, 5), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // error
    // meta/v1.Condition
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    field((1598, 18), (3, 0), (INT64, 0), OMITEMPTY, 0), // observedGeneration
    field((1526, 18), (4, 0), (TIME, 0), 0, 0), // lastTransitionTime
    field((5102, 6), (5, 0), (STRING, 0), 0, 0), // reason
    field((4901, 7), (6, 0), (STRING, 0), 0, 0), // message
    // core/v1.ServiceAccount
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((4971, 7), (2, 0), (MESSAGE, 157), LIST | OMITEMPTY | MERGE, 5), // secrets
    field((2075, 16), (3, 0), (MESSAGE, 15), LIST | OMITEMPTY, 0), // imagePullSecrets
    field((277, 28), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // automountServiceAccountToken
    // core/v1.ObjectReference
    field((5227, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // kind
    field((1823, 9), (2, 0), (STRING, 0), OMITEMPTY, 0), // namespace
    field((1823, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((5289, 3), (4, 0), (STRING, 0), OMITEMPTY, 0), // uid
    field((3748, 10), (5, 0), (STRING, 0), OMITEMPTY, 0), // apiVersion
    field((2526, 15), (6, 0), (STRING, 0), OMITEMPTY, 0), // resourceVersion
    field((4187, 9), (7, 0), (STRING, 0), OMITEMPTY, 0), // fieldPath
    // core/v1.Endpoints
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((4985, 7), (2, 0), (MESSAGE, 159), LIST | OMITEMPTY, 0), // subsets
    // core/v1.EndpointSubset
    field((4088, 9), (1, 0), (MESSAGE, 160), LIST | OMITEMPTY, 0), // addresses
    field((1874, 17), (2, 0), (MESSAGE, 160), LIST | OMITEMPTY, 0), // notReadyAddresses
    field((5186, 5), (3, 0), (MESSAGE, 161), LIST | OMITEMPTY, 0), // ports
    // core/v1.EndpointAddress
    field((2731, 2), (1, 0), (STRING, 0), 0, 0), // ip
    field((2059, 8), (3, 0), (STRING, 0), OMITEMPTY, 0), // hostname
    field((4625, 8), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // nodeName
    field((4421, 9), (2, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // targetRef
    // core/v1.EndpointPort
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((1306, 4), (2, 0), (INT32, 0), 0, 0), // port
    field((4681, 8), (3, 0), (STRING, 0), OMITEMPTY, 0), // protocol
    field((3484, 11), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // appProtocol
    // core/v1.Event
    field((4601, 8), (1, 0), (MESSAGE, 1), 0, 0), // metadata
    field((2717, 14), (2, 0), (MESSAGE, 157), 0, 0), // involvedObject
    field((5102, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (4, 0), (STRING, 0), OMITEMPTY, 0), // message
    field((315, 6), (5, 0), (MESSAGE, 163), OMITEMPTY, 0), // source
    field((2675, 14), (6, 0), (TIME, 0), OMITEMPTY, 0), // firstTimestamp
    field((3071, 13), (7, 0), (TIME, 0), OMITEMPTY, 0), // lastTimestamp
    field((295, 5), (8, 0), (INT32, 0), OMITEMPTY, 0), // count
    field((5263, 4), (9, 0), (STRING, 0), OMITEMPTY, 0), // type
    field((4169, 9), (10, 0), (MICRO_TIME, 0), OMITEMPTY, 0), // eventTime
    field((5114, 6), (11, 0), (MESSAGE, 164), POINTER | OMITEMPTY, 0), // series
    field((5006, 6), (12, 0), (STRING, 0), OMITEMPTY, 0), // action
    field((4943, 7), (13, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // related
    field((1616, 18), (14, 0), (STRING, 0), 0, 0), // reportingComponent
    field((1908, 17), (15, 0), (STRING, 0), 0, 0), // reportingInstance
    // core/v1.EventSource
    field((4124, 9), (1, 0), (STRING, 0), OMITEMPTY, 0), // component
    field((2059, 4), (2, 0), (STRING, 0), OMITEMPTY, 0), // host
    // core/v1.EventSeries
    field((295, 5), (1, 0), (INT32, 0), OMITEMPTY, 0), // count
    field((2139, 16), (2, 0), (MICRO_TIME, 0), OMITEMPTY, 0), // lastObservedTime
    // core/v1.Namespace
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 166), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 167), OMITEMPTY, 0), // status
    // core/v1.NamespaceSpec
    field((3838, 10), (1, 0), (STRING, 0), LIST | OMITEMPTY, 0), // finalizers
    // core/v1.NamespaceStatus
    field((5181, 5), (1, 0), (STRING, 0), OMITEMPTY, 0), // phase
    field((3778, 10), (2, 0), (MESSAGE, 168), LIST | OMITEMPTY | MERGE, 8), // conditions
    // core/v1.NamespaceCondition
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    field((1526, 18), (4, 0), (TIME, 0), OMITEMPTY, 0), // lastTransitionTime
    field((5102, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // message
    // core/v1.PersistentVolume
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 170), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 184), OMITEMPTY, 0), // status
    // core/v1.PersistentVolumeSpec
    field((4505, 8), (1, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // capacity
    field((1755, 17), (1, 2), (MESSAGE, 8), POINTER | OMITEMPTY, 0), // gcePersistentDisk
    field((1029, 20), (2, 2), (MESSAGE, 9), POINTER | OMITEMPTY, 0), // awsElasticBlockStore
    field((4585, 8), (3, 2), (MESSAGE, 6), POINTER | OMITEMPTY, 0), // hostPath
    field((4196, 9), (4, 2), (MESSAGE, 171), POINTER | OMITEMPTY, 0), // glusterfs
    field((5280, 3), (5, 2), (MESSAGE, 13), POINTER | OMITEMPTY, 0), // nfs
    field((5283, 3), (6, 2), (MESSAGE, 172), POINTER | OMITEMPTY, 0), // rbd
    field((2745, 5), (7, 2), (MESSAGE, 174), POINTER | OMITEMPTY, 0), // iscsi
    field((5024, 6), (8, 2), (MESSAGE, 175), POINTER | OMITEMPTY, 0), // cinder
    field((5018, 6), (9, 2), (MESSAGE, 176), POINTER | OMITEMPTY, 0), // cephfs
    field((3236, 2), (10, 2), (MESSAGE, 27), POINTER | OMITEMPTY, 0), // fc
    field((4796, 7), (11, 2), (MESSAGE, 22), POINTER | OMITEMPTY, 0), // flocker
    field((3858, 10), (12, 2), (MESSAGE, 177), POINTER | OMITEMPTY, 0), // flexVolume
    field((4106, 9), (13, 2), (MESSAGE, 178), POINTER | OMITEMPTY, 0), // azureFile
    field((3188, 13), (14, 2), (MESSAGE, 30), POINTER | OMITEMPTY, 0), // vsphereVolume
    field((4936, 7), (15, 2), (MESSAGE, 31), POINTER | OMITEMPTY, 0), // quobyte
    field((4097, 9), (16, 2), (MESSAGE, 32), POINTER | OMITEMPTY, 0), // azureDisk
    field((1169, 20), (17, 2), (MESSAGE, 33), POINTER | OMITEMPTY, 0), // photonPersistentDisk
    field((2815, 14), (18, 2), (MESSAGE, 44), POINTER | OMITEMPTY, 0), // portworxVolume
    field((4957, 7), (19, 2), (MESSAGE, 179), POINTER | OMITEMPTY, 0), // scaleIO
    field((2171, 5), (20, 2), (MESSAGE, 180), POINTER | OMITEMPTY, 0), // local
    field((4403, 9), (21, 2), (MESSAGE, 181), POINTER | OMITEMPTY, 0), // storageos
    field((2747, 3), (22, 2), (MESSAGE, 182), POINTER | OMITEMPTY, 0), // csi
    field((3429, 11), (3, 0), (STRING, 0), LIST | OMITEMPTY, 0), // accessModes
    field((4513, 8), (4, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // claimRef
    field((219, 29), (5, 0), (STRING, 0), OMITEMPTY, 0), // persistentVolumeReclaimPolicy
    field((2299, 16), (6, 0), (STRING, 0), OMITEMPTY, 0), // storageClassName
    field((3273, 12), (7, 0), (STRING, 0), LIST | OMITEMPTY, 0), // mountOptions
    field((4058, 10), (8, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // volumeMode
    field((1562, 12), (9, 0), (MESSAGE, 183), POINTER | OMITEMPTY, 0), // nodeAffinity
    field((510, 25), (10, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // volumeAttributesClassName
    // core/v1.GlusterfsPersistentVolumeSource
    field((1508, 9), (1, 0), (STRING, 0), 0, 0), // endpoints
    field((5239, 4), (2, 0), (STRING, 0), 0, 0), // path
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((1508, 18), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // endpointsNamespace
    // core/v1.RBDPersistentVolumeSource
    field((4609, 8), (1, 0), (STRING, 0), LIST, 0), // monitors
    field((2075, 5), (2, 0), (STRING, 0), 0, 0), // image
    field((5042, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((5247, 4), (4, 0), (STRING, 0), OMITEMPTY, 0), // pool
    field((2913, 4), (5, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((4880, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // keyring
    field((4340, 9), (7, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (8, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.SecretReference
    field((1823, 4), (1, 0), (STRING, 0), OMITEMPTY, 0), // name
    field((1823, 9), (2, 0), (STRING, 0), OMITEMPTY, 0), // namespace
    // core/v1.ISCSIPersistentVolumeSource
    field((3369, 12), (1, 0), (STRING, 0), 0, 0), // targetPortal
    field((5274, 3), (2, 0), (STRING, 0), 0, 0), // iqn
    field((5277, 3), (3, 0), (INT32, 0), 0, 0), // lun
    field((2745, 14), (4, 0), (STRING, 0), OMITEMPTY, 0), // iscsiInterface
    field((5042, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (6, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4922, 7), (7, 0), (STRING, 0), LIST | OMITEMPTY, 0), // portals
    field((1670, 17), (8, 0), (BOOL, 0), OMITEMPTY, 0), // chapAuthDiscovery
    field((2346, 15), (11, 0), (BOOL, 0), OMITEMPTY, 0), // chapAuthSession
    field((4340, 9), (10, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // secretRef
    field((3006, 13), (12, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // initiatorName
    // core/v1.CinderPersistentVolumeSource
    field((4753, 8), (1, 0), (STRING, 0), 0, 0), // volumeID
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4340, 9), (4, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // secretRef
    // core/v1.CephFSPersistentVolumeSource
    field((4609, 8), (1, 0), (STRING, 0), LIST, 0), // monitors
    field((5239, 4), (2, 0), (STRING, 0), OMITEMPTY, 0), // path
    field((2913, 4), (3, 0), (STRING, 0), OMITEMPTY, 0), // user
    field((3978, 10), (4, 0), (STRING, 0), OMITEMPTY, 0), // secretFile
    field((4340, 9), (5, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (6, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.FlexPersistentVolumeSource
    field((4782, 6), (1, 0), (STRING, 0), 0, 0), // driver
    field((5042, 6), (2, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((4340, 9), (3, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // secretRef
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4908, 7), (5, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // options
    // core/v1.AzureFilePersistentVolumeSource
    field((2571, 10), (1, 0), (STRING, 0), 0, 0), // secretName
    field((4349, 9), (2, 0), (STRING, 0), 0, 0), // shareName
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((2571, 15), (4, 0), (STRING, 0), POINTER, 0), // secretNamespace
    // core/v1.ScaleIOPersistentVolumeSource
    field((4803, 7), (1, 0), (STRING, 0), 0, 0), // gateway
    field((833, 6), (2, 0), (STRING, 0), 0, 0), // system
    field((4340, 9), (3, 0), (MESSAGE, 173), POINTER, 0), // secretRef
    field((3998, 10), (4, 0), (BOOL, 0), OMITEMPTY, 0), // sslEnabled
    field((2251, 16), (5, 0), (STRING, 0), OMITEMPTY, 0), // protectionDomain
    field((3693, 11), (6, 0), (STRING, 0), OMITEMPTY, 0), // storagePool
    field((3682, 11), (7, 0), (STRING, 0), OMITEMPTY, 0), // storageMode
    field((2631, 10), (8, 0), (STRING, 0), OMITEMPTY, 0), // volumeName
    field((5042, 6), (9, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (10, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    // core/v1.LocalVolumeSource
    field((5239, 4), (1, 0), (STRING, 0), 0, 0), // path
    field((5042, 6), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // fsType
    // core/v1.StorageOSPersistentVolumeSource
    field((2631, 10), (1, 0), (STRING, 0), OMITEMPTY, 0), // volumeName
    field((2631, 15), (2, 0), (STRING, 0), OMITEMPTY, 0), // volumeNamespace
    field((5042, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((817, 8), (4, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((4340, 9), (5, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // secretRef
    // core/v1.CSIPersistentVolumeSource
    field((4782, 6), (1, 0), (STRING, 0), 0, 0), // driver
    field((3393, 12), (2, 0), (STRING, 0), 0, 0), // volumeHandle
    field((817, 8), (3, 0), (BOOL, 0), OMITEMPTY, 0), // readOnly
    field((5042, 6), (4, 0), (STRING, 0), OMITEMPTY, 0), // fsType
    field((510, 16), (5, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // volumeAttributes
    field((332, 26), (6, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // controllerPublishSecretRef
    field((1580, 18), (7, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // nodeStageSecretRef
    field((1129, 20), (8, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // nodePublishSecretRef
    field((435, 25), (9, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // controllerExpandSecretRef
    field((1285, 19), (10, 0), (MESSAGE, 173), POINTER | OMITEMPTY, 0), // nodeExpandSecretRef
    // core/v1.VolumeNodeAffinity
    field((47, 8), (1, 0), (MESSAGE, 92), POINTER | OMITEMPTY, 0), // required
    // core/v1.PersistentVolumeStatus
    field((5181, 5), (1, 0), (STRING, 0), OMITEMPTY, 0), // phase
    field((4901, 7), (2, 0), (STRING, 0), OMITEMPTY, 0), // message
    field((5102, 6), (3, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((749, 23), (4, 0), (TIME, 0), POINTER | OMITEMPTY, 0), // lastPhaseTransitionTime
    // core/v1.PersistentVolumeClaim
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 50), OMITEMPTY, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 186), OMITEMPTY, 0), // status
    // core/v1.PersistentVolumeClaimStatus
    field((5181, 5), (1, 0), (STRING, 0), OMITEMPTY, 0), // phase
    field((3429, 11), (2, 0), (STRING, 0), LIST | OMITEMPTY, 0), // accessModes
    field((4505, 8), (3, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // capacity
    field((3778, 10), (4, 0), (MESSAGE, 187), LIST | OMITEMPTY | MERGE, 8), // conditions
    field((535, 18), (5, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // allocatedResources
    field((410, 25), (7, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // allocatedResourceStatuses
    field((127, 32), (8, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // currentVolumeAttributesClassName
    field((1544, 18), (9, 0), (MESSAGE, 188), POINTER | OMITEMPTY, 0), // modifyVolumeStatus
    // core/v1.PersistentVolumeClaimCondition
    field((5263, 4), (1, 0), (STRING, 0), 0, 0), // type
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    field((3058, 13), (3, 0), (TIME, 0), OMITEMPTY, 0), // lastProbeTime
    field((1526, 18), (4, 0), (TIME, 0), OMITEMPTY, 0), // lastTransitionTime
    field((5102, 6), (5, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4901, 7), (6, 0), (STRING, 0), OMITEMPTY, 0), // message
    // core/v1.ModifyVolumeStatus
    field((159, 31), (1, 0), (STRING, 0), OMITEMPTY, 0), // targetVolumeAttributesClassName
    field((5126, 6), (2, 0), (STRING, 0), 0, 0), // status
    // coordination/v1.Lease
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 190), OMITEMPTY, 0), // spec
    // coordination/v1.LeaseSpec
    field((2689, 14), (1, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // holderIdentity
    field((1089, 20), (2, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // leaseDurationSeconds
    field((3440, 11), (3, 0), (MICRO_TIME, 0), POINTER | OMITEMPTY, 0), // acquireTime
    field((4322, 9), (4, 0), (MICRO_TIME, 0), POINTER | OMITEMPTY, 0), // renewTime
    field((2155, 16), (5, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // leaseTransitions
    field((4745, 8), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // strategy
    field((2496, 15), (7, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // preferredHolder
    // discovery/v1.EndpointSlice
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((3451, 11), (4, 0), (STRING, 0), 0, 0), // addressType
    field((1508, 9), (2, 0), (MESSAGE, 192), LIST, 0), // endpoints
    field((5186, 5), (3, 0), (MESSAGE, 197), LIST, 0), // ports
    // discovery/v1.Endpoint
    field((4088, 9), (1, 0), (STRING, 0), LIST, 0), // addresses
    field((3778, 10), (2, 0), (MESSAGE, 193), OMITEMPTY, 0), // conditions
    field((2059, 8), (3, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // hostname
    field((4421, 9), (4, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // targetRef
    field((1472, 18), (5, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // deprecatedTopology
    field((4625, 8), (6, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // nodeName
    field((5267, 4), (7, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // zone
    field((5161, 5), (8, 0), (MESSAGE, 194), POINTER | OMITEMPTY, 0), // hints
    // discovery/v1.EndpointConditions
    field((5191, 5), (1, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // ready
    field((4978, 7), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // serving
    field((3726, 11), (3, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // terminating
    // discovery/v1.EndpointHints
    field((4577, 8), (1, 0), (MESSAGE, 195), LIST | OMITEMPTY, 0), // forZones
    field((4569, 8), (2, 0), (MESSAGE, 196), LIST | OMITEMPTY, 0), // forNodes
    // discovery/v1.ForZone
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    // discovery/v1.ForNode
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    // discovery/v1.EndpointPort
    field((1823, 4), (1, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // name
    field((4681, 8), (2, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // protocol
    field((1306, 4), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // port
    field((3484, 11), (4, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // appProtocol
    // events/v1.Event
    field((4601, 8), (1, 0), (MESSAGE, 1), 0, 0), // metadata
    field((4169, 9), (2, 0), (MICRO_TIME, 0), 0, 0), // eventTime
    field((5114, 6), (3, 0), (MESSAGE, 199), POINTER | OMITEMPTY, 0), // series
    field((1304, 19), (4, 0), (STRING, 0), OMITEMPTY, 0), // reportingController
    field((1908, 17), (5, 0), (STRING, 0), OMITEMPTY, 0), // reportingInstance
    field((5006, 6), (6, 0), (STRING, 0), OMITEMPTY, 0), // action
    field((5102, 6), (7, 0), (STRING, 0), OMITEMPTY, 0), // reason
    field((4313, 9), (8, 0), (MESSAGE, 157), OMITEMPTY, 0), // regarding
    field((4943, 7), (9, 0), (MESSAGE, 157), POINTER | OMITEMPTY, 0), // related
    field((5235, 4), (10, 0), (STRING, 0), OMITEMPTY, 0), // note
    field((5263, 4), (11, 0), (STRING, 0), OMITEMPTY, 0), // type
    field((2027, 16), (12, 0), (MESSAGE, 163), OMITEMPTY, 0), // deprecatedSource
    field((583, 24), (13, 0), (TIME, 0), OMITEMPTY, 0), // deprecatedFirstTimestamp
    field((726, 23), (14, 0), (TIME, 0), OMITEMPTY, 0), // deprecatedLastTimestamp
    field((2391, 15), (15, 0), (INT32, 0), OMITEMPTY, 0), // deprecatedCount
    // events/v1.EventSeries
    field((295, 5), (1, 0), (INT32, 0), 0, 0), // count
    field((2139, 16), (2, 0), (MICRO_TIME, 0), 0, 0), // lastObservedTime
    // node/v1.RuntimeClass
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((4817, 7), (2, 0), (STRING, 0), 0, 0), // handler
    field((4657, 8), (3, 0), (MESSAGE, 201), POINTER | OMITEMPTY, 0), // overhead
    field((2556, 10), (4, 0), (MESSAGE, 202), POINTER | OMITEMPTY, 0), // scheduling
    // node/v1.Overhead
    field((4673, 8), (1, 0), (MAP_OF_QUANTITY, 0), OMITEMPTY, 0), // podFixed
    // node/v1.Scheduling
    field((1840, 12), (1, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // nodeSelector
    field((3737, 11), (2, 0), (MESSAGE, 100), LIST | OMITEMPTY, 0), // tolerations
    // storage/v1.CSIDriver
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 204), 0, 0), // spec
    // storage/v1.CSIDriverSpec
    field((2661, 14), (1, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // attachRequired
    field((2801, 14), (2, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // podInfoOnMount
    field((1189, 20), (3, 0), (STRING, 0), LIST | OMITEMPTY, 0), // volumeLifecycleModes
    field((2601, 15), (4, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // storageCapacity
    field((2993, 13), (5, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // fsGroupPolicy
    field((3149, 13), (6, 0), (MESSAGE, 205), LIST | OMITEMPTY, 0), // tokenRequests
    field((1925, 17), (7, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // requiresRepublish
    field((3333, 12), (8, 0), (BOOL, 0), POINTER | OMITEMPTY, 0), // seLinuxMount
    field((93, 34), (9, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // nodeAllocatableUpdatePeriodSeconds
    // storage/v1.TokenRequest
    field((4497, 8), (1, 0), (STRING, 0), 0, 0), // audience
    field((1738, 17), (2, 0), (INT64, 0), POINTER | OMITEMPTY, 0), // expirationSeconds
    // storage/v1.CSINode
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 207), 0, 0), // spec
    // storage/v1.CSINodeSpec
    field((4782, 7), (1, 0), (MESSAGE, 208), LIST | MERGE, 5), // drivers
    // storage/v1.CSINodeDriver
    field((1823, 4), (1, 0), (STRING, 0), 0, 0), // name
    field((5078, 6), (2, 0), (STRING, 0), 0, 0), // nodeID
    field((3381, 12), (3, 0), (STRING, 0), LIST, 0), // topologyKeys
    field((3462, 11), (4, 0), (MESSAGE, 209), POINTER | OMITEMPTY, 0), // allocatable
    // storage/v1.VolumeNodeResources
    field((295, 5), (1, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // count
    // storage/v1.VolumeAttachment
    field((4601, 8), (1, 0), (MESSAGE, 1), OMITEMPTY, 0), // metadata
    field((5255, 4), (2, 0), (MESSAGE, 211), 0, 0), // spec
    field((5126, 6), (3, 0), (MESSAGE, 213), OMITEMPTY, 0), // status
    // storage/v1.VolumeAttachmentSpec
    field((4489, 8), (1, 0), (STRING, 0), 0, 0), // attacher
    field((315, 6), (2, 0), (MESSAGE, 212), 0, 0), // source
    field((4625, 8), (3, 0), (STRING, 0), 0, 0), // nodeName
    // storage/v1.VolumeAttachmentSource
    field((1149, 20), (1, 0), (STRING, 0), POINTER | OMITEMPTY, 0), // persistentVolumeName
    field((2091, 16), (2, 0), (MESSAGE, 170), POINTER | OMITEMPTY, 0), // inlineVolumeSpec
    // storage/v1.VolumeAttachmentStatus
    field((4481, 8), (1, 0), (BOOL, 0), 0, 0), // attached
    field((1418, 18), (2, 0), (MAP_OF_STRING, 0), OMITEMPTY, 0), // attachmentMetadata
    field((3495, 11), (3, 0), (MESSAGE, 214), POINTER | OMITEMPTY, 0), // attachError
    field((3561, 11), (4, 0), (MESSAGE, 214), POINTER | OMITEMPTY, 0), // detachError
    // storage/v1.VolumeError
    field((715, 4), (1, 0), (TIME, 0), OMITEMPTY, 0), // time
    field((4901, 7), (2, 0), (STRING, 0), OMITEMPTY, 0), // message
    field((4160, 9), (3, 0), (INT32, 0), POINTER | OMITEMPTY, 0), // errorCode
];

/// By which field the elements of a merged list are matched.
pub(super) static MERGE_KEYS: [&str; 10] = [
    "",
    "containerPort",
    "devicePath",
    "ip",
    "mountPath",
    "name",
    "port",
    "topologyKey",
    "type",
    "uid",
];

/// The names of all fields.
pub(super) static NAMES: &str = "\
    preferredDuringSchedulingIgnoredDuringExecutionrequiredDuringSchedulingIgnoredDuringExecutionnodeAll\
    ocatableUpdatePeriodSecondscurrentVolumeAttributesClassNametargetVolumeAttributesClassNameallocateLo\
    adBalancerNodePortspersistentVolumeReclaimPolicyterminationGracePeriodSecondsautomountServiceAccount\
    TokenextendedResourceClaimStatuscontrollerPublishSecretRefdeletionGracePeriodSecondsephemeralContain\
    erStatusesallocatedResourceStatusescontrollerExpandSecretRefresourceClaimTemplateNametopologySpreadC\
    onstraintsvolumeAttributesClassNameallocatedResourcesStatusallowPrivilegeEscalationdeprecatedFirstTi\
    mestamploadBalancerSourceRangespublishNotReadyAddressessupplementalGroupsPolicyterminationMessagePol\
    icycontainerRuntimeVersiondeprecatedLastTimestamplastPhaseTransitionTimerecursiveReadOnlyMountsgmsaC\
    redentialSpecNamereadOnlyRootFilesystemterminationMessagePathactiveDeadlineSecondsexternalTrafficPol\
    icyinitContainerStatusesinternalTrafficPolicypersistentVolumeClaimresourceClaimStatusessessionAffini\
    tyConfigshareProcessNamespaceawsElasticBlockStorecertificateChainPathcredentialBundlePathleaseDurati\
    onSecondsmaxExpirationSecondsnodePublishSecretRefpersistentVolumeNamephotonPersistentDiskvolumeLifec\
    ycleModesephemeralContainersfsGroupChangePolicyhealthCheckNodePortinitialDelaySecondsnodeExpandSecre\
    tRefreportingControllerseLinuxChangePolicyserviceAccountTokentargetContainerNametrafficDistributionv\
    olumeClaimTemplateattachmentMetadatablockOwnerDeletionclusterTrustBundledeprecatedTopologyenableServ\
    iceLinksendpointsNamespacelastTransitionTimemodifyVolumeStatusnodeAffinityPolicynodeStageSecretRefob\
    servedGenerationreportingComponentrestartPolicyRulesserviceAccountNamechapAuthDiscoverycontainerStat\
    usescreationTimestampdeletionTimestampexpirationSecondsgcePersistentDisklastHeartbeatTimeloadBalance\
    rClassmismatchLabelKeysnamespaceSelectornodeSelectorTermsnominatedNodeNamenotReadyAddressespriorityC\
    lassNamereportingInstancerequiresRepublishresourceClaimNamesetHostnameAsFQDNstoragePolicyNametolerat\
    ionSecondswhenUnsatisfiabledeprecatedSourcefailureThresholdhostnameOverrideimagePullSecretsinlineVol\
    umeSpeckubeProxyVersionkubeletConfigKeylastObservedTimeleaseTransitionslocalhostProfilematchExpressi\
    onsmountPropagationnodeTaintsPolicypreemptionPolicyprotectionDomainresourceFieldRefruntimeClassNames\
    torageClassNamesuccessThresholdappArmorProfilechapAuthSessionconfigMapKeyRefdaemonEndpointsdeprecate\
    dCountimagePullPolicykubeletEndpointoperatingSystemownerReferencespodAffinityTermpodAntiAffinitypref\
    erredHolderrequestMappingsresourceVersionruntimeHandlersschedulingGatessecretNamespacesecurityContex\
    tstorageCapacitystoragePolicyIDvolumeNamespacevolumesAttachedattachRequiredfirstTimestampholderIdent\
    ityinitContainersinvolvedObjectipFamilyPolicyiscsiInterfacekubeletVersionloadBalancerIPpodCertificat\
    epodInfoOnMountportworxVolumereadinessGatesreadinessProberesourceClaimsseLinuxOptionsseccompProfilet\
    imeoutSecondsuserNamespaceswindowsOptionsconditionTypecontainerNamecontainerPortdataSourceReffsGroup\
    PolicyinitiatorNamekernelVersionlabelSelectorlastKnownGoodlastProbeTimelastTimestamplivenessProbeman\
    agedFieldsperiodSecondsrunAsUserNameschedulerNametokenRequestsunschedulablevolumeDevicesvsphereVolum\
    earchitecturecapabilitiesconfigMapRefconfigSourceexternalNamegenerateNamemountOptionsresizePolicyres\
    ourceNamerestartCountrunAsNonRootseLinuxMountsecretKeyRefstartupProbetargetPortaltopologyKeysvolumeH\
    andlevolumeMountsvolumesInUseaccessModesacquireTimeaddressTypeallocatableannotationsappProtocolattac\
    hErrorcachingModecontainerIDdatasetNamedatasetUUIDdefaultModedetachErrordownwardAPIexternalIPshostAl\
    iaseshostNetworkhostProcesshttpHeadersmatchFieldsmatchLabelsnameserversrequestNamestorageModestorage\
    PoolsubPathExprsubresourceterminatingtolerationsapiVersionbinaryDataclusterIPsconditionscontainersde\
    vicePathexternalIDfieldsTypefileKeyReffinalizersfinishedAtflexVolumegenerationipFamiliesminDomainsna\
    mespacespreferenceprivilegedproviderIDpullPolicyrepositoryresourceIDrunAsGroupsecretFilesignerNamess\
    lEnabledstopSignalstringDatasystemUUIDtargetWWNsterminatedvolumeModevolumePathworkingDiraddressesazu\
    reDiskazureFileclaimNamecomponentdirectorydnsConfigdnsPolicyerrorCodeeventTimeexitCodesfieldPathglus\
    terfshostUsershostnamesimmutablelastStatelifecyclemachineIDmountPathoperationpartitionpostStartprocM\
    ountprojectedregardingrenewTimeresourcessecretRefshareNamesizeBytessizeLimitstartTimestartedAtstdinO\
    ncestorageossubdomaintargetReftcpSockettimeAddedvalueFromaffinityapiGroupassignedattachedattacheraud\
    iencecapacityclaimRefclientIPdiskNameemptyDirfeaturesfieldReffieldsV1forNodesforZoneshostPathhostPor\
    tmetadatamonitorsnodeInfonodeNamenodePortoperatoroptionaloverheadpodCIDRspodFixedprotocolqosClassreg\
    istryrequestsrevisionsearchesselectorselfLinkstrategyvolumeIDcommanddiskURIdivisordriversenvFromfloc\
    kergatewaygitRepohandlerhostIPChostIPshostPIDhttpGetimageIDingresskeyPathkeyTypekeyringmanagermaxSke\
    wmessageoptionsosImageportalspreStopquobyterelatedrunningscaleIOsecondssecretsservingsubsetssysctlsw\
    aitingactionbootIDcephfscinderclaimseffectfsTypeimagesipModelabelslimitsmediumnodeIDpdNamepodIPspref\
    ixreasonschemeseriessignalstatustaintstenantvaluesweightgrouphintsitemslevellinuxphaseportsreadyslee\
    pstatewwidsargsdropexecgrpckindmodenotepathpdIDpoolrolespecswaptypezonegidiqnlunnfsrbdttyuid\
    ";
