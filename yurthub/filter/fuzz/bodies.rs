//! What the fuzz target checks. A plain function, also run by `tests/corpus.rs` over the corpus and over
//! damaged real bytes.
//!
//! The first byte of the input chooses the encoding (even: JSON) and the resource, the rest is the item.
#![allow(clippy::panic, reason = "what breaks a property is to be found")]
#![allow(unreachable_pub, reason = "used from another crate root too")]

use bytes::Bytes;
use yurthub_filter::{Encoding, Filtered, Filters, Place, Server, Settings};
use yurthub_object::meta;

/// Chosen by the first byte, halved.
pub const RESOURCES: [&str; 3] = ["services", "pods", "configmaps"];

const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// A filtered item has the same metadata, and no filter changes it again.
pub fn apply(data: &[u8]) {
    let Some((choice, item)) = data.split_first() else {
        return;
    };
    let encoding = [Encoding::Json, Encoding::Protobuf][usize::from(choice % 2)];
    let place = Place::all("", RESOURCES[usize::from(choice / 2) % RESOURCES.len()]);
    let server = Some(Server {
        host: [169, 254, 2, 1].into(),
        port: 10268,
    });
    let settings = Settings {
        trust_bundle: Some(CA.to_owned()),
        kubernetes_service: server,
        service_env: server,
        kube_proxy_config: server,
    };
    let Ok(filters) = Filters::new(&settings) else {
        panic!("the settings are good")
    };
    let before = Bytes::copy_from_slice(item);
    if let Ok(Filtered::Changed { item: after, .. }) = filters.apply(&place, encoding, &before) {
        assert_ne!(after, before, "changed to the same");
        assert_eq!(filters.apply(&place, encoding, &after), Ok(Filtered::Keep));
        assert_eq!(meta::read(encoding, &after), meta::read(encoding, &before));
    }
}
