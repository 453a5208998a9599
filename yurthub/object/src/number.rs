//! The numbers of fields of built-in kinds, for those who change an object in its depth.
//!
//! Source: `k8s.io/api/core/v1/generated.proto`. A number of protobuf never changes its meaning, so the
//! table holds for each version of Kubernetes; it names the fields that something here uses, no others.

macro_rules! messages {
    ($($message:ident { $($field:ident = $number:literal),+ $(,)? })+) => {$(
        #[doc = concat!("Fields of the message `", stringify!($message), "`.")]
        pub mod $message {$(
            #[doc = concat!("The field `", stringify!($field), "`.")]
            pub const $field: u32 = $number;
        )+}
    )+};
}

messages! {
    service { SPEC = 2 }
    service_spec {
        PORTS = 1,
        CLUSTER_IP = 3,
        IP_FAMILY_POLICY = 17,
        CLUSTER_IPS = 18,
        IP_FAMILIES = 19,
    }
    service_port { NAME = 1, PORT = 3 }
    config_map { DATA = 2 }
    pod { SPEC = 2 }
    pod_spec {
        CONTAINERS = 2,
        INIT_CONTAINERS = 20,
        EPHEMERAL_CONTAINERS = 34,
    }
    ephemeral_container { COMMON = 1 }
    // `EphemeralContainerCommon` has the same numbers.
    container { ENV = 7 }
    env_var { NAME = 1, VALUE = 2, VALUE_FROM = 3 }
    // Each `map<K, V>` of protobuf is a repeated message of this form.
    map_entry { KEY = 1, VALUE = 2 }
}
