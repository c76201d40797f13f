//! How reports are reported as data: what has lines of its own counts in a report as a number.
//!
//! Owned here: these numbers. Refused here: fields' names, which each report states. Called by the reports.

use credenza_connect::Strays;
use serde::Serializer;

#[expect(clippy::ptr_arg, reason = "serde hands over the field")]
pub(crate) fn count<T, S: Serializer>(list: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(list.len() as u64)
}

/// Whether there is no reason why something was not done.
#[expect(clippy::ref_option, reason = "serde hands over the field")]
pub(crate) fn is_none<T, S: Serializer>(reason: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(reason.is_none())
}

pub(crate) fn strays<S: Serializer>(strays: &Strays, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(strays.count())
}

#[cfg(test)]
mod tests {
    use crate::backup::BackupReport;
    use crate::check::CheckReport;
    use crate::gc::GcReport;
    use crate::repair::RepairReport;
    use crate::sync::SyncReport;

    fn reported(report: &impl serde::Serialize) -> String {
        serde_json::to_string(report).unwrap().replace('"', "")
    }

    #[test]
    fn reports_have_the_fields_that_scripts_read_in_their_order() {
        let backup = "{snapshot:null,unchanged_since:null,source:,entries:0,read:0,unchanged:0,errors:0,changed:0,referenced:0,\
                      too_large:0,patterns_unmatched:[],bytes_read:0,bytes_added:0,intents_left:0,damages:0,ahead:[]}";
        assert_eq!(reported(&BackupReport::default()), backup);
        let check = "{snapshots:0,packs:0,bytes:0,unreferenced_packs:0,unreferenced_bytes:0,intents:0,packs_read:0,ownerless_usages:0,\
                     removed_snapshots:0,lacking_copies:0,config_is_behind:false,strays:0,bytes_read:0,packs_healed:0,\
                     packs_never_read:0,damages:0,recorded:true}";
        assert_eq!(reported(&CheckReport::default()), check);
        assert_eq!(
            reported(&SyncReport::default()),
            "{copied:0,skipped:0,failed:0,waiting:0,chunks:0,chunk_bytes:0,bytes:0,tags:0}"
        );
        let gc = "{snapshots:0,packs:0,kept:0,repacked:0,bytes_repacked:0,full:false,condemned:0,spared:0,locked:0,deleted:0,\
                  bytes_freed:0,refused:0,segments_merged:0,records_merged:0,notes_merged:0,intents_expired:0,usages_expired:0,\
                  connectors_deleted:0,damaged_deleted:0,groups_waiting:0,damages:0,recorded:true}";
        assert_eq!(reported(&GcReport::default()), gc);
        let repair = "{repairs:0,snapshots_damaged:0,entries_lost:0,damages:0}";
        assert_eq!(reported(&RepairReport::default()), repair);
    }
}
