//! Which controllers run: `--controllers`, as in kube-controller-manager (pure).

use thiserror::Error;

/// A name that is no controller's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("--controllers names `{name}`, which is no controller; there are {known}, and * for all")]
pub struct Unknown {
    name: String,
    known: String,
}

/// Those of `known` that the names ask for: `*` all, `name` this one, `-name` not this one. What is not named runs where `*`
/// is there. The first mention of a name counts.
pub fn of(names: &[String], known: &[&'static str]) -> Result<Vec<&'static str>, Unknown> {
    let plain = |name: &String| name.strip_prefix('-').unwrap_or(name).to_owned();
    if let Some(name) = names
        .iter()
        .map(plain)
        .find(|name| name != "*" && !known.contains(&name.as_str()))
    {
        return Err(Unknown {
            name,
            known: known.join(", "),
        });
    }
    let all = names.iter().any(|name| name == "*");
    let runs = |controller: &&&'static str| {
        let mention = names.iter().find(|name| plain(name) == ***controller);
        mention.map_or(all, |name| !name.starts_with('-'))
    };
    Ok(known.iter().filter(runs).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_as_in_kube_controller_manager() {
        let choose = |text: &str| {
            let names: Vec<_> = text.split(',').map(str::to_owned).collect();
            of(&names, &["a", "b", "c"])
        };
        assert_eq!(choose("*"), Ok(vec!["a", "b", "c"]));
        assert_eq!(choose("*,-b"), Ok(vec!["a", "c"]));
        assert_eq!(choose("-b,*,b"), Ok(vec!["a", "c"]));
        assert_eq!(choose("b"), Ok(vec!["b"]));
        assert_eq!(choose("-b"), Ok(vec![]));
        let error = choose("*,-d").unwrap_err().to_string();
        assert!(error.contains("`d`") && error.contains("a, b, c"), "{error}");
        assert!(choose("").is_err());
    }
}
