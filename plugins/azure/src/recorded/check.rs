//! The self-test against recorded answers.

use credenza_sdk::Check;

use super::*;

fn names(lines: &[Check]) -> Vec<(&str, bool)> {
    lines.iter().map(|line| (line.name.as_str(), line.outcome.is_ok())).collect()
}

#[test]
fn a_source_is_listed_and_read() {
    let part = reply(206, &[("content-range", "bytes 0-0/3"), ("etag", "0xE")], "a");
    let source = container(&[], vec![page(&["k"], None), part, error(412, "ConditionNotMet")]);
    let lines_of_check = source.check_source();
    let expected = [("credentials", true), ("container", true), ("list", true), ("read", true), ("conditions", true)];
    assert_eq!(names(&lines_of_check), expected);
    assert_eq!(asked(&source)[2].header("if-match"), Some("\"0x0\""));
}

#[test]
fn a_failure_has_the_name_of_what_it_tells() {
    for (answer, expected) in [
        (error(403, "AuthenticationFailed"), &[("credentials", false)][..]),
        (error(404, "ContainerNotFound"), &[("credentials", true), ("container", false)]),
        (error(403, "AuthorizationPermissionMismatch"), &[("credentials", true), ("container", true), ("list", false)]),
        (error(503, "ServerBusy"), &[("list", false)]),
    ] {
        assert_eq!(names(&container(&[], vec![answer]).check_source()), expected);
    }
}

#[test]
fn a_store_is_looked_at_and_not_written() {
    let store = container(&[], vec![page(&[], None), error(404, "BlobNotFound")]);
    let reported = store.check_store();
    assert_eq!(reported.last().unwrap().outcome.as_ref().unwrap(), "no repository yet");
    assert!(lines(&store).iter().all(|line| !line.starts_with("PUT")));
}

#[test]
fn a_destination_is_written_under_a_condition_that_cannot_hold() {
    let target = container(&[], vec![error(412, "ConditionNotMet"), error(404, "BlobNotFound")]);
    assert!(target.check_destination().iter().all(|line| line.outcome.is_ok()));
    let requests = asked(&target);
    assert_eq!(
        (requests[0].line().as_str(), requests[0].header("if-match")),
        ("PUT /.credenza-check", Some("\"0x0\""))
    );
    let refused = container(&[], vec![error(403, "AuthorizationPermissionMismatch"), error(404, "BlobNotFound")]);
    assert_eq!(names(&refused.check_destination())[2], ("write", false));
    let careless = container(&[], vec![reply(201, &[], ""), error(404, "BlobNotFound")]);
    assert!(careless.check_destination()[0].outcome.is_err(), "a blob was made, and that is said");
}
