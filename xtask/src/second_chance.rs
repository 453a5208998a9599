//! Which failed tests are run again, alone: a machine that does too much at a time can make a deadline pass. Who fails
//! twice has failed; who passes then is named in the report, because a test that is not always right is a defect.
//!
//! Invariant: only tests that ended by themselves and are known by name are run again, few of them, and once.

/// More failures than this are no accident.
const MOST: usize = 4;

/// The failed tests of one test binary.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What cargo needs to run the binary: `-p yurthub --test it`.
    pub(crate) target: Vec<String>,
    /// Their names.
    pub(crate) tests: Vec<String>,
}

/// Collects failures from what cargo and libtest print, in the order in which they do.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Of the binary that runs.
    tests: Vec<String>,
    all: Vec<Failed>,
    /// One failed without saying in which test.
    unknown: bool,
}

impl Failures {
    /// Notes a line.
    pub(crate) fn note(&mut self, line: &str) {
        if let Some(test) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.tests.push(test.to_owned());
        } else if let Some((_, rest)) = line.split_once("error: test failed, to rerun pass `") {
            let target = rest.trim_end_matches('`').split_whitespace();
            let failed = Failed {
                target: target.map(str::to_owned).collect(),
                tests: std::mem::take(&mut self.tests),
            };
            // Names of documentation tests are no filters.
            self.unknown |= failed.tests.is_empty() || failed.target.iter().any(|arg| arg == "--doc");
            self.all.push(failed);
        } else if line.contains("error: doctest failed") {
            self.unknown = true;
        }
    }

    /// What is to be run again; `None`: the failure stands.
    pub(crate) fn again(self) -> Option<Vec<Failed>> {
        let count: usize = self.all.iter().map(|failed| failed.tests.len()).sum();
        let few = (1..=MOST).contains(&count);
        (few && !self.unknown && self.tests.is_empty()).then_some(self.all)
    }
}

impl Failed {
    /// Arguments of cargo that run these tests, one after the other, and no others.
    pub(crate) fn args(&self) -> Vec<&str> {
        let target = self.target.iter().map(String::as_str);
        let tests = self.tests.iter().map(String::as_str);
        let exact = ["--", "--exact", "--test-threads", "1"];
        ["test"]
            .into_iter()
            .chain(target)
            .chain(exact)
            .chain(tests)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Option<Vec<Failed>> {
        let mut failures = Failures::default();
        for line in lines {
            failures.note(line);
        }
        failures.again()
    }

    const FIRST: &str = "test cut::one ... FAILED";
    const TARGET: &str = "error: test failed, to rerun pass `-p yurthub --test it`";

    #[test]
    fn failed_tests_are_run_again_by_name() {
        let again = after(&["test cut::other ... ok", FIRST, TARGET, "error: 1 target failed:"]).unwrap();
        let [failed] = again.as_slice() else {
            panic!("{again:?}");
        };
        let args = failed.args().join(" ");
        assert_eq!(
            args,
            "test -p yurthub --test it -- --exact --test-threads 1 cut::one"
        );
    }

    #[test]
    fn each_binary_has_its_own() {
        let again = after(&[FIRST, TARGET, FIRST, "test b ... FAILED", TARGET]).unwrap();
        let counts: Vec<_> = again.iter().map(|failed| failed.tests.len()).collect();
        assert_eq!(counts, [1, 2]);
    }

    #[test]
    fn what_is_no_accident_stands() {
        let many = [FIRST; MOST + 1];
        let documentation = "error: test failed, to rerun pass `-p yurthub --doc`";
        for lines in [
            vec![],
            // A binary that died says no names.
            vec![TARGET],
            vec![FIRST, TARGET, TARGET],
            // It was killed before its end.
            vec![FIRST],
            vec![FIRST, documentation],
            [many.as_slice(), &[TARGET]].concat(),
        ] {
            assert_eq!(after(&lines), None, "{lines:?}");
        }
    }
}
