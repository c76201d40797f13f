//! The self-tests against recorded answers.

use super::*;

fn names_of(checks: Vec<credenza_sdk::Check>) -> Vec<(String, bool)> {
    checks.into_iter().map(|check| (check.name, check.outcome.is_ok())).collect()
}

#[test]
fn a_self_test_names_each_right() {
    let source = bucket(&[], vec![page(&["a"], None), error(403, "AccessDenied"), reply(200, &[DATE], ENABLED)]);
    let proven = [("signature", true), ("region", true), ("bucket", true), ("list", true)];
    let expected = proven.iter().chain(&[("read", false), ("versions", true)]);
    let expected: Vec<(String, bool)> = expected.map(|(name, ok)| ((*name).to_owned(), *ok)).collect();
    assert_eq!(names_of(source.check_source()), expected);
    let destination = bucket(&[], vec![reply(404, &[], ""), begun(), reply(204, &[], "")]);
    assert!(destination.check_destination().iter().all(|check| check.outcome.is_ok()));
}

#[test]
fn a_self_test_ends_with_the_step_that_the_first_request_failed() {
    let refusals = [
        (error(403, "RequestTimeTooSkewed"), vec![("signature", false)]),
        (reply(301, &[("x-amz-bucket-region", "eu-west-1")], ""), vec![("signature", true), ("region", false)]),
        (error(404, "NoSuchBucket"), vec![("signature", true), ("region", true), ("bucket", false)]),
        (reply(200, &[], "<html><body>Sign in</body></html>"), vec![("list", false)]),
        (error(403, "AccessDenied"), vec![("signature", true), ("region", true), ("bucket", true), ("list", false)]),
    ];
    for (refusal, expected) in refusals {
        let expected: Vec<(String, bool)> = expected.into_iter().map(|(name, ok)| (name.to_owned(), ok)).collect();
        assert_eq!(names_of(bucket(&[], vec![refusal]).check_source()), expected);
    }
}

#[test]
fn a_self_test_says_when_a_server_ignores_conditions_or_lists_in_no_order() {
    let object = || reply(206, &[("content-range", "bytes 0-0/3"), ("etag", "\"e\"")], "x");
    let other = || reply(200, &[], "<ListBucketResult/>");
    let source = bucket(&[], vec![page(&["b", "a"], None), object(), object(), other()]);
    let texts: Vec<String> =
        source.check_source().into_iter().map(|check| check.outcome.unwrap_or_else(|e| e.message)).collect();
    for text in ["in no order", "ignored by the server", "are not kept, or not reported"] {
        assert!(texts.iter().any(|said| said.contains(text)), "{text}: {texts:?}");
    }
}
