//! Who may do what with an object beside its owner: the ACLs that have a name.
//!
//! Every bucket has ACLs enabled. Nobody is kept from anything by them: what a key may do is said by [`crate::policy`].

use super::Storage;
use super::read::find;
use s3s::dto::*;
use s3s::{S3Request, S3Result};

const OWNER: &str = "owner";
const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const KNOWN_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

impl Storage {
    pub(super) async fn get_object_acl(&self, request: S3Request<GetObjectAclInput>) -> S3Result<GetObjectAclOutput> {
        let input = request.input;
        let acl = self.with(&input.bucket, |bucket| {
            Ok(find(bucket, &input.key, input.version_id.as_deref())?.attributes.acl.clone())
        })?;
        let group = |uri: &str, permission| (Type::GROUP, None, Some(uri.to_owned()), permission);
        let mut grants = vec![(Type::CANONICAL_USER, Some(OWNER.to_owned()), None, Permission::FULL_CONTROL)];
        match acl.as_deref() {
            Some("public-read") => grants.push(group(ALL_USERS, Permission::READ)),
            Some("public-read-write") => {
                grants.extend([group(ALL_USERS, Permission::READ), group(ALL_USERS, Permission::WRITE)]);
            }
            Some("authenticated-read") => grants.push(group(KNOWN_USERS, Permission::READ)),
            _ => {}
        }
        let grants = grants.into_iter().map(|(type_, id, uri, permission)| Grant {
            grantee: Some(Grantee { id, uri, type_: type_.to_owned().into(), display_name: None, email_address: None }),
            permission: Some(Permission::from_static(permission)),
        });
        let owner = Owner { id: Some(OWNER.to_owned()), display_name: None };
        Ok(GetObjectAclOutput { grants: Some(grants.collect()), owner: Some(owner), ..Default::default() })
    }
}
