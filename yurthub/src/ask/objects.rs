//! The answer of `/objects` as table, JSON, YAML or names. Pure.
//!
//! Where it comes from, at which version, and what of it is this node's own word is said beside the data.

use serde_json::{Value, json};
use yurthub_display::{columns, yaml};

use super::{Exit, Said, aligned, list, number, shown, text};
use crate::args::{Get, ObjectFormat};
use crate::mirror::key::Escaped;

/// Path and query of the question.
pub(super) fn path(get: &Get) -> String {
    let part = |key: &str, value: &Option<String>| {
        let value = value.as_deref();
        value
            .map(|value| format!("&{key}={}", Escaped(value)))
            .unwrap_or_default()
    };
    let secrets = if get.show_secrets { "&secrets=shown" } else { "" };
    format!(
        "/objects?resource={}{}{}{secrets}",
        Escaped(&get.resource),
        part("namespace", &get.namespace),
        part("name", &get.name)
    )
}

pub(super) fn said(answer: &Value, get: &Get, now: i64) -> Said {
    let found = list(answer, "/objects");
    let mut notes = notes(answer, found);
    if found.is_empty() {
        let name = get
            .name
            .as_deref()
            .map(|name| format!(" \"{name}\""))
            .unwrap_or_default();
        notes.push(format!(
            "yurthub: this node's mirror holds no {}{name}{}; `yurthub scopes` lists what it holds",
            text(answer, "/resource"),
            place(get)
        ));
        // As kubectl: an empty list is an answer, a missing object is not.
        return Said {
            data: String::new(),
            notes,
            exit: if get.name.is_some() {
                Exit::Failed
            } else {
                Exit::Fine
            },
        };
    }
    let data = match get.output {
        ObjectFormat::Table => table(answer, found, false, now),
        ObjectFormat::Wide => table(answer, found, true, now),
        ObjectFormat::Name => names(answer, found),
        ObjectFormat::Json => format!("{:#}\n", whole(found, get)),
        ObjectFormat::Yaml => yaml::document(&whole(found, get)),
    };
    Said {
        data,
        notes,
        exit: Exit::Fine,
    }
}

fn place(get: &Get) -> String {
    let namespace = get.namespace.as_deref();
    namespace
        .map(|namespace| format!(" in {namespace}"))
        .unwrap_or_default()
}

/// One line for each scope that something was found in, and what is missing.
fn notes(answer: &Value, found: &[Value]) -> Vec<String> {
    let mut notes = Vec::new();
    for scope in list(answer, "/scopes") {
        let name = text(scope, "/scope");
        let here = found.iter().filter(|entry| text(entry, "/scope") == name);
        let (count, written) = here.fold((0, 0), |(count, written), entry| {
            (count + 1, written + usize::from(is_written(entry)))
        });
        if count == 0 {
            continue;
        }
        let own = match written {
            0 => String::new(),
            written => format!("; {written} with a status that the cloud does not have yet"),
        };
        notes.push(shown(&format!(
            "# {count} of {name}: {} at version {}{own}",
            text(scope, "/state"),
            text(scope, "/version")
        )));
    }
    for (name, what) in [
        (
            "/leftOut",
            "not shown: too many at once; ask by namespace or name",
        ),
        ("/unreadable", "could not be read"),
    ] {
        match number(answer, name) {
            0 => {}
            count => notes.push(format!("# {count} more {what}")),
        }
    }
    notes
}

fn is_written(entry: &Value) -> bool {
    entry.get("written") == Some(&Value::Bool(true))
}

fn table(answer: &Value, found: &[Value], wide: bool, now: i64) -> String {
    let (group, resource) = (text(answer, "/group"), text(answer, "/resource"));
    let columns = columns::of(group, resource);
    let namespaced = found
        .iter()
        .any(|entry| !text(entry, "/object/metadata/namespace").is_empty());
    let kept = |index: usize| wide || columns.get(index).is_none_or(|column| !column.wide);
    let mut heading: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(index, _)| kept(*index))
        .map(|(_, column)| column.name.to_uppercase())
        .collect();
    if namespaced {
        heading.insert(0, "NAMESPACE".to_owned());
    }
    if wide {
        heading.extend(["VERSION".to_owned(), "LOCAL".to_owned()]);
    }
    let mut rows = vec![heading];
    for entry in found {
        let object = entry.get("object").unwrap_or(&Value::Null);
        let cells = columns::cells(group, resource, object, now);
        let mut row: Vec<String> = cells
            .into_iter()
            .enumerate()
            .filter(|(index, _)| kept(*index))
            .map(|(_, cell)| cell)
            .collect();
        if namespaced {
            row.insert(0, text(object, "/metadata/namespace").to_owned());
        }
        if wide {
            row.push(text(object, "/metadata/resourceVersion").to_owned());
            row.push(if is_written(entry) { "status" } else { "-" }.to_owned());
        }
        rows.push(row);
    }
    aligned(&rows)
}

fn names(answer: &Value, found: &[Value]) -> String {
    let group = match text(answer, "/group") {
        "" => String::new(),
        group => format!(".{group}"),
    };
    let mut names = String::new();
    for entry in found {
        names.push_str(&text(entry, "/object/kind").to_lowercase());
        names.push_str(&group);
        names.push('/');
        names.push_str(&shown(text(entry, "/object/metadata/name")));
        names.push('\n');
    }
    names
}

/// The one object that was asked for by name, else a list.
fn whole(found: &[Value], get: &Get) -> Value {
    let mut objects = found.iter().filter_map(|entry| entry.get("object").cloned());
    if get.name.is_some() && found.len() == 1 {
        return objects.next().unwrap_or_default();
    }
    json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: Option<&str>, output: ObjectFormat) -> Get {
        Get {
            resource: "pods".into(),
            name: name.map(str::to_owned),
            namespace: None,
            all_namespaces: false,
            output,
            show_secrets: false,
        }
    }

    fn answer() -> Value {
        json!({
            "group": "", "resource": "pods", "leftOut": 2, "unreadable": 0,
            "scopes": [
                {"scope": "pods [spec.nodeName=edge1]", "state": "detached", "version": "812", "objects": 1},
                {"scope": "pods in other", "state": "live", "version": "1", "objects": 0}],
            "objects": [{"scope": "pods [spec.nodeName=edge1]", "written": true, "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "9", "creationTimestamp": "1970-01-01T00:00:00Z"},
                "spec": {"nodeName": "edge1", "containers": [{}]}, "status": {"phase": "Running", "podIP": "10.0.0.2"}}}],
        })
    }

    #[test]
    fn a_table_says_where_it_comes_from() {
        let said = said(&answer(), &get(None, ObjectFormat::Wide), 60);
        assert_eq!(
            said.data,
            "NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE   IP         NODE    \
             NOMINATED NODE   READINESS GATES   VERSION   LOCAL\n\
             shop        web    0/1     Running   0          60s   10.0.0.2   edge1   \
             <none>           <none>            9         status\n"
        );
        assert_eq!(
            said.notes,
            [
                "# 1 of pods [spec.nodeName=edge1]: detached at version 812; 1 with a status that the cloud does not have yet",
                "# 2 more not shown: too many at once; ask by namespace or name"
            ]
        );
    }

    #[test]
    fn an_object_by_name_stands_alone_and_several_are_a_list() {
        let one = said(&answer(), &get(Some("web"), ObjectFormat::Yaml), 0);
        assert!(
            one.data.starts_with("apiVersion: v1\nkind: Pod\n"),
            "{}",
            one.data
        );
        let all = said(&answer(), &get(None, ObjectFormat::Json), 0);
        let all: Value = serde_json::from_str(&all.data).unwrap();
        assert_eq!(all["items"][0]["metadata"]["name"], "web");
        assert_eq!(
            said(&answer(), &get(None, ObjectFormat::Name), 0).data,
            "pod/web\n"
        );
    }

    #[test]
    fn nothing_found_is_a_failure_only_of_a_name() {
        let nothing = json!({"resource": "pods", "objects": [], "scopes": []});
        assert_eq!(
            said(&nothing, &get(None, ObjectFormat::Table), 0).exit,
            Exit::Fine
        );
        let named = said(&nothing, &get(Some("web"), ObjectFormat::Table), 0);
        assert_eq!((named.exit, named.data.as_str()), (Exit::Failed, ""));
        assert!(
            named.notes[0].contains("holds no pods \"web\""),
            "{:?}",
            named.notes
        );
    }

    #[test]
    fn questions_are_escaped() {
        let mut get = get(Some("a/b&c"), ObjectFormat::Table);
        get.namespace = Some("shop".into());
        get.show_secrets = true;
        assert_eq!(
            path(&get),
            "/objects?resource=pods&namespace=shop&name=a%2Fb%26c&secrets=shown"
        );
    }
}
