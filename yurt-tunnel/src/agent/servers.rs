//! Which servers there are, and to which of them a node connects (pure).
//!
//! Each node has an order of its own (rendezvous hashing), so that nodes spread evenly, and one server that comes or goes
//! moves few of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use crate::protocol::{MOST_ADDRESSES, MOST_MEMBERS, Member};

/// Servers by id, with their addresses.
pub type Servers = BTreeMap<String, Vec<String>>;

/// Where to dial next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is; none where only the address is known.
    pub id: Option<String>,
    /// `host:port`.
    pub address: String,
}

/// What is known of servers, by whom it was said.
#[derive(Debug, Default)]
pub struct Known {
    /// By the folder, which a kubelet keeps up to date within a minute or two.
    pub listed: Servers,
    /// By the server that spoke last, which hears of changes at once.
    pub told: Servers,
}

impl Known {
    /// All of them. Of two that say something of a server, the one that hears of changes first counts. One that has gone is
    /// dialled in vain until both know that.
    pub fn all(&self) -> Servers {
        let mut all = self.told.clone();
        for (id, addresses) in &self.listed {
            if all.len() < MOST_MEMBERS || all.contains_key(id) {
                all.entry(id.clone()).or_insert_with(|| addresses.clone());
            }
        }
        all
    }
}

/// From what a server said. What is too much is left out.
pub fn of_members(members: Vec<Member>) -> Servers {
    let members = members.into_iter().take(MOST_MEMBERS);
    members
        .map(|member| {
            (
                member.id,
                member.addresses.into_iter().take(MOST_ADDRESSES).collect(),
            )
        })
        .collect()
}

/// From a folder with one file for each server, its name the id, its lines `host:port`, as a ConfigMap is mounted.
pub fn of_folder(folder: &Path) -> std::io::Result<Servers> {
    let mut servers = Servers::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        // Those of a mounted volume itself begin with dots.
        if id.starts_with('.') || !path.is_file() || servers.len() == MOST_MEMBERS {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        servers.insert(id.to_owned(), addresses(&text));
    }
    Ok(servers)
}

fn addresses(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .take(MOST_ADDRESSES)
        .map(ToOwned::to_owned)
        .collect()
}

/// All servers in the order of this node.
pub fn order(node: &str, servers: &Servers) -> Vec<String> {
    let mut ids: Vec<_> = servers.keys().cloned().collect();
    ids.sort_by_cached_key(|id| {
        let mut hasher = DefaultHasher::new();
        (node, id).hash(&mut hasher);
        hasher.finish()
    });
    ids
}

/// A server that should be held instead of `own`: one of the first `sessions` in the order of this node, which `own` is
/// not, and which no other session has: these are `held`.
pub fn better(node: &str, servers: &Servers, own: &str, held: &[String], sessions: usize) -> Option<String> {
    let mut first = order(node, servers);
    first.truncate(sessions);
    if first.iter().any(|id| id == own) {
        return None;
    }
    first.into_iter().find(|id| !held.contains(id))
}

/// Where to dial at the `attempt`-th time since one succeeded, of servers that are not `held`. `bootstrap` are addresses of
/// which nobody says whose they are; they come after servers that are known. None: there is nothing to dial.
pub fn next(
    node: &str,
    servers: &Servers,
    held: &[String],
    bootstrap: &[String],
    attempt: usize,
) -> Option<Candidate> {
    let free = order(node, servers).into_iter().filter(|id| !held.contains(id));
    let known = free.flat_map(|id| {
        let addresses = servers.get(&id).into_iter().flatten();
        addresses
            .map(|address| Candidate {
                id: Some(id.clone()),
                address: address.clone(),
            })
            .collect::<Vec<_>>()
    });
    let mut all: Vec<_> = known.collect();
    let all_held = !servers.is_empty() && all.is_empty();
    if !all_held || held.is_empty() {
        all.extend(bootstrap.iter().map(|address| Candidate {
            id: None,
            address: address.clone(),
        }));
    }
    let count = all.len();
    all.into_iter().nth(attempt.checked_rem(count)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(ids: &[&str]) -> Servers {
        ids.iter()
            .map(|id| ((*id).to_owned(), vec![format!("{id}:10250")]))
            .collect()
    }

    #[test]
    fn what_a_server_tells_is_added_to_what_the_folder_lists() {
        let servers = |of: &[(&str, &str)]| -> Servers {
            let each = of.iter();
            each.map(|(id, address)| ((*id).to_owned(), vec![(*address).to_owned()]))
                .collect()
        };
        let known = Known {
            listed: servers(&[("a", "a:1"), ("b", "b:1")]),
            told: servers(&[("b", "b:2"), ("c", "c:2")]),
        };
        assert_eq!(known.all(), servers(&[("a", "a:1"), ("b", "b:2"), ("c", "c:2")]));
        let many = (0..2 * MOST_MEMBERS).map(|number| (number.to_string(), Vec::new()));
        let known = Known {
            listed: many.collect(),
            ..known
        };
        assert_eq!(known.all().len(), MOST_MEMBERS);
    }

    #[test]
    fn nodes_spread_evenly_and_few_move_when_a_server_goes() {
        let (all, fewer) = (servers(&["a", "b", "c"]), servers(&["a", "b"]));
        let mut counts = BTreeMap::new();
        for number in 0..3000 {
            let node = format!("edge{number}");
            let (before, after) = (order(&node, &all), order(&node, &fewer));
            *counts.entry(before[0].clone()).or_insert(0) += 1;
            if before[0] != "c" {
                assert_eq!(before[0], after[0]);
            }
        }
        assert!(
            counts.values().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn what_is_held_is_not_dialled_and_bootstrap_comes_last() {
        let all = servers(&["a", "b"]);
        let first = next("n", &all, &[], &["lb:1".into()], 0).unwrap();
        let held = first.id.unwrap();
        let second = next("n", &all, std::slice::from_ref(&held), &["lb:1".into()], 0).unwrap();
        assert_ne!(second.id.unwrap(), held);
        let third = next("n", &all, std::slice::from_ref(&held), &["lb:1".into()], 1).unwrap();
        assert_eq!(
            third,
            Candidate {
                id: None,
                address: "lb:1".into()
            }
        );
        assert_eq!(
            next("n", &all, &["a".into(), "b".into()], &["lb:1".into()], 0),
            None
        );
        assert_eq!(
            next("n", &Servers::new(), &["a".into()], &["lb:1".into()], 7)
                .unwrap()
                .address,
            "lb:1"
        );
        assert_eq!(next("n", &Servers::new(), &[], &[], 0), None);
    }

    #[test]
    fn a_session_moves_only_to_a_server_that_comes_first_and_is_free() {
        let all = servers(&["a", "b", "c"]);
        let first = order("n", &all);
        let held = |at: usize| vec![first[at].clone()];
        for (own, others, expected) in [
            (0, held(1), None),
            (1, held(0), None),
            (2, held(0), Some(1)),
            (2, held(1), Some(0)),
        ] {
            let better = better("n", &all, &first[own], &others, 2);
            assert_eq!(better, expected.map(|at| first[at].clone()), "{own} {others:?}");
        }
        // One that is not listed any more.
        assert_eq!(better("n", &all, "gone", &held(0), 2), Some(first[1].clone()));
        assert_eq!(better("n", &servers(&["a"]), "gone", &["a".to_owned()], 2), None);
    }

    #[test]
    fn a_folder_is_read_as_a_configmap_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        std::fs::write(
            folder.path().join("cp1"),
            "10.0.0.1:10262\n\n# second\n[fd00::1]:10262\n",
        )
        .unwrap();
        let servers = of_folder(folder.path()).unwrap();
        assert_eq!(servers["cp1"], ["10.0.0.1:10262", "[fd00::1]:10262"]);
        assert_eq!(servers.len(), 1);
    }
}
