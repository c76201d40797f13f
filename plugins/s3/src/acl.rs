//! The grants of an object beside its owner's, where the bucket has ACLs enabled.

use credenza_sdk::{AttributeValue, Attributes, Entry, Result};

use crate::bucket::{Bucket, shown};
use crate::fault::DOCUMENT_BYTES_MAX;
use crate::wire::{Wire, request};
use credenza_sdk::percent;
use credenza_sdk::xml::Element;

/// The attribute that keeps it.
pub(crate) const ACL_NAME: &str = "s3.acl";
const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const KNOWN_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// ACLs that have a name, by the grants they give beside the owner's
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>).
const CANNED: [(&str, &[(&str, &str)]); 3] = [
    ("public-read", &[("READ", ALL_USERS)]),
    ("public-read-write", &[("READ", ALL_USERS), ("WRITE", ALL_USERS)]),
    ("authenticated-read", &[("READ", KNOWN_USERS)]),
];

impl<W: Wire> Bucket<W> {
    /// The grants of an object as an attribute, none when only its owner has any: the name of an ACL, or a line for each grant.
    ///
    /// # Errors
    /// The cause, by class.
    pub(crate) fn acl(&self, entry: &Entry) -> Result<Attributes> {
        let action = format!("reading the grants of {}", shown(&entry.key));
        let mut pairs = vec![("acl", None)];
        pairs.extend(entry.locator.as_deref().map(|id| ("versionId", Some(id))));
        let answer =
            self.ask(request("GET", self.place.object(&entry.key) + &percent::query(&pairs)), None, &action)?;
        let document = self.document(&answer, &["AccessControlPolicy"], DOCUMENT_BYTES_MAX, &action)?;
        let acl = name_of(grants(&document));
        Ok(acl.map(|acl| (ACL_NAME.to_owned(), AttributeValue::Text(acl))).into_iter().collect())
    }
}

/// Whether an ACL can be given to a new object by its name.
pub(crate) fn is_canned(acl: &str) -> bool {
    CANNED.iter().any(|(name, _)| *name == acl)
}

/// What is granted, to whom, without what the owner has.
fn grants(document: &Element) -> Vec<(String, String)> {
    let text = |element: &Element, name: &str| element.text_of(name).unwrap_or_default().trim().to_owned();
    let owner = document.child("Owner").map(|owner| text(owner, "ID")).unwrap_or_default();
    let listed = document.child("AccessControlList").into_iter().flat_map(|list| list.all("Grant"));
    let one = |grant: &Element| {
        let grantee = grant.child("Grantee")?;
        let names = ["URI", "ID", "EmailAddress"].map(|name| text(grantee, name));
        let who = names.into_iter().find(|name| !name.is_empty())?;
        let what = text(grant, "Permission");
        (!(who == owner && what == "FULL_CONTROL")).then_some((what, who))
    };
    let mut grants: Vec<(String, String)> = listed.filter_map(one).collect();
    grants.sort();
    grants.dedup();
    grants
}

fn name_of(grants: Vec<(String, String)>) -> Option<String> {
    if grants.is_empty() {
        return None;
    }
    let given: Vec<(&str, &str)> = grants.iter().map(|(what, who)| (what.as_str(), who.as_str())).collect();
    let canned = CANNED.iter().find(|(_, wanted)| *wanted == given).map(|(name, _)| (*name).to_owned());
    Some(canned.unwrap_or_else(|| {
        let lines: Vec<String> = given.iter().map(|(what, who)| format!("{what} {who}")).collect();
        lines.join("\n")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl_of(grants: &[(&str, &str, &str)]) -> Option<String> {
        let grant = |(kind, who, what): &(&str, &str, &str)| {
            format!("<Grant><Grantee><{kind}>{who}</{kind}></Grantee><Permission>{what}</Permission></Grant>")
        };
        let grants: String = grants.iter().map(grant).collect();
        let document = format!(
            "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
        );
        name_of(super::grants(&Element::parse(document.as_bytes()).unwrap()))
    }

    #[test]
    fn what_only_the_owner_has_is_no_attribute() {
        assert_eq!(acl_of(&[("ID", "me", "FULL_CONTROL")]), None);
        assert_eq!(acl_of(&[]), None);
    }

    #[test]
    fn an_acl_with_a_name_is_kept_by_its_name() {
        let owner = ("ID", "me", "FULL_CONTROL");
        assert_eq!(acl_of(&[owner, ("URI", ALL_USERS, "READ")]).as_deref(), Some("public-read"));
        assert_eq!(acl_of(&[("URI", KNOWN_USERS, "READ"), owner]).as_deref(), Some("authenticated-read"));
        assert!(is_canned("public-read") && !is_canned("READ other"));
    }

    #[test]
    fn any_other_grant_is_kept_as_it_is() {
        let acl = acl_of(&[("ID", "other", "READ"), ("URI", ALL_USERS, "READ")]).unwrap();
        assert_eq!(acl, format!("READ {ALL_USERS}\nREAD other"));
    }
}
