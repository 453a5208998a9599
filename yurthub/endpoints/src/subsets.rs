//! Endpoints: each address in the list that its readiness asks for, with the IP that its pod has.
//!
//! Of one address only the IP is edited; what else it holds moves with it.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use yurthub_object::{
    Encoding, Reason,
    edit::{NewValue, set_field, set_member},
    json,
    rebuild::{Change, Splice, each_element, each_message, insert_at},
    wire,
};

use crate::{
    Targets,
    numbers::{endpoint_address, endpoint_subset, endpoints},
    reality::{Endpoint, Family, Reality, Verdict},
    target::Target,
};

/// A list of a subset by its JSON name and its protobuf number: the ready addresses, then the others.
const LISTS: [(&str, u32); 2] = [
    ("addresses", endpoint_subset::ADDRESSES),
    ("notReadyAddresses", endpoint_subset::NOT_READY_ADDRESSES),
];

/// What an address is judged by.
struct Judge<'a> {
    encoding: Encoding,
    reality: &'a Reality<'a>,
    publish_not_ready: bool,
}

/// The object as it is to be shown; `None` when it is shown as it is.
pub(crate) fn show(
    encoding: Encoding,
    item: &[u8],
    reality: &Reality<'_>,
    publish_not_ready: bool,
) -> Change {
    let judge = Judge {
        encoding,
        reality,
        publish_not_ready,
    };
    match encoding {
        Encoding::Json => each_element(item, "subsets", |raw| judge.json_subset(raw)),
        Encoding::Protobuf => each_message(item, endpoints::SUBSETS, |raw| judge.protobuf_subset(raw)),
    }
}

/// Adds what the object's addresses stand for.
pub(crate) fn targets(encoding: Encoding, item: &[u8], targets: &mut Targets) -> Result<(), Reason> {
    let mut add = |raw: &[u8]| {
        View::read(encoding, raw)?.target.add_to(targets);
        Ok(None)
    };
    let mut each_list = |raw: &[u8]| {
        for (name, number) in LISTS {
            match encoding {
                Encoding::Json => each_element(raw, name, &mut add)?,
                Encoding::Protobuf => each_message(raw, number, &mut add)?,
            };
        }
        Ok(None)
    };
    match encoding {
        Encoding::Json => each_element(item, "subsets", &mut each_list),
        Encoding::Protobuf => each_message(item, endpoints::SUBSETS, &mut each_list),
    }
    .map(|_unchanged| ())
}

/// What the rules read of one address.
#[derive(Default)]
struct View<'a> {
    target: Target<'a>,
    ip: Cow<'a, str>,
}

impl<'a> View<'a> {
    fn read(encoding: Encoding, raw: &'a [u8]) -> Result<Self, Reason> {
        let mut view = Self::default();
        match encoding {
            Encoding::Json => {
                let text = |name| json::string(json::find(raw, &[name])?.unwrap_or(b"null"));
                view.ip = text("ip")?;
                view.target.node = text("nodeName")?;
                let reference = json::find(raw, &["targetRef"])?.unwrap_or(b"null");
                view.target.read_reference(encoding, reference)?;
            }
            Encoding::Protobuf => {
                let text = |number| wire::text(raw, &[number]).map(Cow::Borrowed);
                view.ip = text(endpoint_address::IP)?;
                view.target.node = text(endpoint_address::NODE_NAME)?;
                let reference = wire::message(raw, &[endpoint_address::TARGET_REF])?;
                view.target.read_reference(encoding, reference)?;
            }
        }
        Ok(view)
    }
}

/// How an address is to be shown: in which of [`LISTS`], and with which bytes if with other ones.
struct Placed {
    list: usize,
    edited: Option<Vec<u8>>,
}

impl Judge<'_> {
    /// Judges an address that stands in the list `listed`.
    fn place(&self, raw: &[u8], listed: usize) -> Result<Placed, Reason> {
        let view = View::read(self.encoding, raw)?;
        let mut placed = Placed {
            list: listed,
            edited: None,
        };
        let Ok(ip) = view.ip.parse::<IpAddr>() else {
            // The apiserver lets no such address pass; there is no telling its family.
            return Ok(placed);
        };
        let endpoint = Endpoint {
            pod: view.target.pod(),
            node: &view.target.node,
            family: Family::of(ip),
        };
        match self.reality.decide(endpoint, self.publish_not_ready) {
            Verdict::AsInCloud => {}
            // What is being deleted does not stand here at all, or as its Service publishes it.
            Verdict::Kept => placed.list = 0,
            Verdict::State(state) => {
                placed.list = usize::from(!state.ready);
                if let Some(wanted) = state.addresses.unwrap_or_default().first()
                    && *wanted != ip.to_canonical()
                {
                    placed.edited = Some(self.set_ip(raw, *wanted)?);
                }
            }
        }
        Ok(placed)
    }

    fn set_ip(&self, raw: &[u8], ip: IpAddr) -> Result<Vec<u8>, Reason> {
        let ip = ip.to_string();
        match self.encoding {
            Encoding::Json => set_member(raw, &["ip"], format!("\"{ip}\"").as_bytes()),
            Encoding::Protobuf => set_field(raw, &[endpoint_address::IP], &NewValue::Bytes(ip.as_bytes())),
        }
    }

    fn protobuf_subset(&self, raw: &[u8]) -> Change {
        let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        let mut moved = [Vec::new(), Vec::new()];
        for field in wire::fields(raw) {
            let wire::Field { number, value, span } = field?;
            let Some(listed) = LISTS.iter().position(|(_, list)| *list == number) else {
                continue;
            };
            let address = value.bytes()?;
            let Placed { list, edited } = self.place(address, listed)?;
            if list != listed {
                if let (Some(moved), Some((_, number))) = (moved.get_mut(list), LISTS.get(list)) {
                    wire::put_bytes(moved, *number, edited.as_deref().unwrap_or(address));
                }
                edits.push((span, Vec::new()));
            } else if let Some(edited) = edited {
                let mut field = Vec::with_capacity(wire::field_len(number, edited.len()));
                wire::put_bytes(&mut field, number, &edited);
                edits.push((span, field));
            }
        }
        for (moved, (_, number)) in moved.into_iter().zip(LISTS) {
            if !moved.is_empty() {
                let at = insert_at(raw, number)?;
                edits.push((at..at, moved));
            }
        }
        // What is put at an offset comes before what is taken out from there on; what is put at the
        // same one keeps its order.
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut splice = Splice::new(raw);
        for (range, new) in edits {
            splice.replace(range, &new);
        }
        Ok(splice.finish())
    }

    fn json_subset(&self, raw: &[u8]) -> Change {
        let mut lists = [JsonList::default(), JsonList::default()];
        let mut members = Vec::new();
        let mut cursor = json::Members::at(raw, 0)?;
        while let Some(member) = cursor.next()? {
            let value = cursor.value()?;
            let text = raw.get(member.start..value.end).ok_or(Reason::Truncated)?;
            let named = LISTS.iter().position(|(name, _)| name.as_bytes() == member.key);
            // Of duplicates the first counts, as in edits.
            let first = named.filter(|list| lists.get(*list).is_some_and(|list| !list.present));
            if let Some(listed) = first {
                let value = raw.get(value).ok_or(Reason::Truncated)?;
                self.sort_json(value, listed, &mut lists)?;
            }
            members.push((first, text));
        }
        if lists.iter().all(|list| !list.changed) {
            return Ok(None);
        }
        Ok(Some(join_subset(&members, &lists)))
    }

    /// Puts the addresses of the array `raw` into the lists where they belong.
    fn sort_json<'a>(
        &self,
        raw: &'a [u8],
        listed: usize,
        lists: &mut [JsonList<'a>; 2],
    ) -> Result<(), Reason> {
        let mut elements = json::Elements::at(raw, 0)?;
        while let Some(range) = elements.next()? {
            let address = raw.get(range).ok_or(Reason::Truncated)?;
            let Placed { list, edited } = self.place(address, listed)?;
            for (index, place) in lists.iter_mut().enumerate() {
                place.changed |= (index == listed || index == list) && (list != listed || edited.is_some());
            }
            let bytes = edited.map_or(Cow::Borrowed(address), Cow::Owned);
            match lists.get_mut(list) {
                Some(place) if list == listed => place.stay.push(bytes),
                Some(place) => place.come.push(bytes),
                None => {}
            }
        }
        if let Some(list) = lists.get_mut(listed) {
            list.present = true;
        }
        Ok(())
    }
}

/// One of [`LISTS`] in JSON.
#[derive(Default)]
struct JsonList<'a> {
    present: bool,
    changed: bool,
    /// The addresses that stood here.
    stay: Vec<Cow<'a, [u8]>>,
    /// The addresses that come from the other list.
    come: Vec<Cow<'a, [u8]>>,
}

impl JsonList<'_> {
    /// `"name":[…]`; `None` when it is empty.
    fn member(&self, name: &str) -> Option<Vec<u8>> {
        let addresses: Vec<_> = self.stay.iter().chain(&self.come).map(AsRef::as_ref).collect();
        if addresses.is_empty() {
            return None;
        }
        let list: Vec<u8> = addresses.join(&b","[..]);
        Some([b"\"", name.as_bytes(), b"\":[", &list, b"]"].concat())
    }
}

/// Puts a subset together from its members, the raw ones and, for those that name one of [`LISTS`], what
/// became of the list. A list that did not stand there comes where the other one stands, in Go's order.
fn join_subset(members: &[(Option<usize>, &[u8])], lists: &[JsonList<'_>; 2]) -> Vec<u8> {
    let mut out: Vec<Cow<'_, [u8]>> = Vec::with_capacity(members.len() + 1);
    for (named, text) in members {
        let Some(named) = named else {
            out.push(Cow::Borrowed(text));
            continue;
        };
        for (index, (list, (name, _))) in lists.iter().zip(LISTS).enumerate() {
            if index == *named && !list.changed {
                out.push(Cow::Borrowed(text));
            } else if index == *named || !list.present {
                out.extend(list.member(name).map(Cow::Owned));
            }
        }
    }
    let joined: Vec<u8> = out.join(&b","[..]);
    [b"{", joined.as_slice(), b"}"].concat()
}
