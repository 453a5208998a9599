//! EndpointSlices: each endpoint in its place, with other addresses and conditions where a rule says so.

use std::{borrow::Cow, net::IpAddr};

use yurthub_object::{
    Encoding, Reason,
    edit::{NewValue, set_field, set_member},
    json,
    rebuild::{Change, each_element, each_message, set_repeated},
    wire,
};

use crate::{
    Targets,
    numbers::{endpoint, endpoint_conditions, endpoint_slice},
    reality::{Endpoint, Family, Reality, State, Verdict},
    target::Target,
};

/// A condition by its JSON name and its protobuf number, in the order of [`View::conditions`].
const CONDITIONS: [(&str, u32); 3] = [
    ("ready", endpoint_conditions::READY),
    ("serving", endpoint_conditions::SERVING),
    ("terminating", endpoint_conditions::TERMINATING),
];

/// Of an endpoint that is kept.
const READY: State = State {
    addresses: None,
    ready: true,
    serving: true,
    terminating: None,
};

/// The slice as it is to be shown; `None` when it is shown as it is.
pub(crate) fn show(
    encoding: Encoding,
    item: &[u8],
    reality: &Reality<'_>,
    publish_not_ready: bool,
) -> Change {
    let Some(family) = family(encoding, item)? else {
        return Ok(None);
    };
    each_endpoint(encoding, item, |raw| {
        let view = View::read(encoding, raw)?;
        let endpoint = Endpoint {
            pod: view.target.pod(),
            node: &view.target.node,
            family,
        };
        match reality.decide(endpoint, publish_not_ready) {
            Verdict::AsInCloud => Ok(None),
            Verdict::Kept => match view.conditions {
                // Of `ready` unset means yes, of `terminating` no (`EndpointConditions` in `k8s.io/api/discovery/v1`).
                [Some(false), _, None | Some(false)] => rewrite(encoding, raw, &view, &READY),
                _ => Ok(None),
            },
            Verdict::State(state) => rewrite(encoding, raw, &view, &state),
        }
    })
}

/// Adds what the slice's endpoints stand for.
pub(crate) fn targets(encoding: Encoding, item: &[u8], targets: &mut Targets) -> Result<(), Reason> {
    if family(encoding, item)?.is_none() {
        return Ok(());
    }
    each_endpoint(encoding, item, |raw| {
        View::read(encoding, raw)?.target.add_to(targets);
        Ok(None)
    })
    .map(|_unchanged| ())
}

/// The family of a slice's addresses; `None` for names and for types that are not known.
fn family(encoding: Encoding, item: &[u8]) -> Result<Option<Family>, Reason> {
    let address_type = match encoding {
        Encoding::Json => json::string(json::find(item, &["addressType"])?.unwrap_or(b"null"))?,
        Encoding::Protobuf => Cow::Borrowed(wire::text(item, &[endpoint_slice::ADDRESS_TYPE])?),
    };
    Ok(match &*address_type {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    })
}

fn each_endpoint(encoding: Encoding, item: &[u8], change: impl FnMut(&[u8]) -> Change) -> Change {
    match encoding {
        Encoding::Json => each_element(item, "endpoints", change),
        Encoding::Protobuf => each_message(item, endpoint_slice::ENDPOINTS, change),
    }
}

/// What the rules read and set of one endpoint.
#[derive(Default)]
struct View<'a> {
    target: Target<'a>,
    addresses: Vec<Cow<'a, str>>,
    conditions: [Option<bool>; 3],
}

impl<'a> View<'a> {
    fn read(encoding: Encoding, raw: &'a [u8]) -> Result<Self, Reason> {
        match encoding {
            Encoding::Json => Self::read_json(raw),
            Encoding::Protobuf => Self::read_protobuf(raw),
        }
    }

    fn read_json(raw: &'a [u8]) -> Result<Self, Reason> {
        let mut view = Self::default();
        let mut seen = [false; 4];
        let mut members = json::Members::at(raw, 0)?;
        while let Some(member) = members.next()? {
            let index = match member.key {
                b"addresses" => 0,
                b"conditions" => 1,
                b"nodeName" => 2,
                b"targetRef" => 3,
                _ => continue,
            };
            // Of duplicates the first counts, as in edits.
            if seen
                .get_mut(index)
                .is_some_and(|seen| std::mem::replace(seen, true))
            {
                continue;
            }
            let value = raw.get(members.value()?).ok_or(Reason::Truncated)?;
            match index {
                0 => view.addresses = json_texts(value)?,
                1 => view.conditions = json_conditions(value)?,
                2 => view.target.node = json::string(value)?,
                _ => view.target.read_reference(Encoding::Json, value)?,
            }
        }
        Ok(view)
    }

    fn read_protobuf(raw: &'a [u8]) -> Result<Self, Reason> {
        let mut view = Self::default();
        for field in wire::fields(raw) {
            let wire::Field { number, value, .. } = field?;
            match number {
                endpoint::ADDRESSES => view.addresses.push(Cow::Borrowed(value.text()?)),
                endpoint::CONDITIONS => view.conditions = protobuf_conditions(value.bytes()?)?,
                endpoint::NODE_NAME => view.target.node = Cow::Borrowed(value.text()?),
                endpoint::TARGET_REF => view.target.read_reference(Encoding::Protobuf, value.bytes()?)?,
                _ => {}
            }
        }
        Ok(view)
    }

    /// Whether its addresses are these, whatever way they are written.
    fn has_addresses(&self, addresses: &[IpAddr]) -> bool {
        let written = self.addresses.iter().map(|text| text.parse().ok());
        written.eq(addresses.iter().copied().map(Some))
    }
}

fn json_texts(raw: &[u8]) -> Result<Vec<Cow<'_, str>>, Reason> {
    let mut texts = Vec::new();
    let mut elements = json::Elements::at(raw, 0)?;
    while let Some(range) = elements.next()? {
        texts.push(json::string(raw.get(range).ok_or(Reason::Truncated)?)?);
    }
    Ok(texts)
}

fn json_conditions(raw: &[u8]) -> Result<[Option<bool>; 3], Reason> {
    let mut conditions = [None; 3];
    for (condition, (name, _)) in conditions.iter_mut().zip(CONDITIONS) {
        *condition = match json::find(raw, &[name])? {
            None | Some(b"null") => None,
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            Some(_) => return Err(Reason::WrongType),
        };
    }
    Ok(conditions)
}

fn protobuf_conditions(raw: &[u8]) -> Result<[Option<bool>; 3], Reason> {
    let mut conditions = [None; 3];
    for (condition, (_, number)) in conditions.iter_mut().zip(CONDITIONS) {
        if let Some(value) = wire::find(raw, &[number])? {
            *condition = Some(value.varint()? != 0);
        }
    }
    Ok(conditions)
}

/// The endpoint in another state; `None` when it is in that state.
fn rewrite(encoding: Encoding, raw: &[u8], view: &View<'_>, state: &State) -> Change {
    let mut edited = None;
    if let Some(addresses) = &state.addresses
        && !view.has_addresses(addresses)
    {
        edited = Some(set_addresses(encoding, raw, addresses)?);
    }
    let wanted = [Some(state.ready), Some(state.serving), state.terminating];
    for ((place, has), wanted) in CONDITIONS.iter().zip(view.conditions).zip(wanted) {
        if let Some(wanted) = wanted
            && has != Some(wanted)
        {
            let endpoint = edited.as_deref().unwrap_or(raw);
            edited = Some(set_condition(encoding, endpoint, *place, wanted)?);
        }
    }
    Ok(edited)
}

fn set_addresses(encoding: Encoding, raw: &[u8], addresses: &[IpAddr]) -> Result<Vec<u8>, Reason> {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    match encoding {
        Encoding::Json => {
            let mut list = Vec::new();
            json::put(&mut list, &texts);
            set_member(raw, &["addresses"], &list)
        }
        Encoding::Protobuf => set_repeated(raw, endpoint::ADDRESSES, texts.iter().map(String::as_bytes)),
    }
}

fn set_condition(encoding: Encoding, raw: &[u8], place: (&str, u32), value: bool) -> Result<Vec<u8>, Reason> {
    let (name, number) = place;
    match encoding {
        Encoding::Json => {
            let value: &[u8] = if value { b"true" } else { b"false" };
            set_member(raw, &["conditions", name], value)
        }
        Encoding::Protobuf => {
            let path = [endpoint::CONDITIONS, number];
            set_field(raw, &path, &NewValue::Varint(value.into()))
        }
    }
}
