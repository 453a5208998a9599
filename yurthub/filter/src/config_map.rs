//! One text in the `data` of a `ConfigMap`, in either encoding.

use yurthub_object::{
    Encoding,
    edit::NewValue,
    json,
    number::{config_map, map_entry},
    rewrite::{self, Rewritten},
    wire,
};

/// Changes the text under `key`, where there is one.
pub(crate) fn data(
    encoding: Encoding,
    item: &[u8],
    key: &str,
    change: impl Fn(&str) -> Option<String>,
) -> Rewritten {
    match encoding {
        Encoding::Json => rewrite::member(item, "data", |data| {
            rewrite::member(data, key, |raw| {
                change(&json::string(raw)?).map_or(Ok(None), |text| rewrite::string(raw, &text))
            })
        }),
        Encoding::Protobuf => rewrite::payloads(item, config_map::DATA, |entry| {
            if wire::text(entry, &[map_entry::KEY])? != key {
                return Ok(None);
            }
            let text = wire::text(entry, &[map_entry::VALUE])?;
            change(text).map_or(Ok(None), |text| {
                rewrite::scalar(entry, map_entry::VALUE, &NewValue::Bytes(text.as_bytes()))
            })
        }),
    }
}
