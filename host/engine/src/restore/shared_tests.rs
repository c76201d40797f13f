//! A restore by several processes: in any order, at once, run again, and with what lies across their ranges.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use credenza_connect::file::{FileDestination, FileSource};
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Record as Recorded, call};
use credenza_format::{Node, TreeRoot};
use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::backup::BackupOptions;
use crate::blobs::BlobLoader;
use crate::parts::{Part, Spans};
use crate::testing::{handle, noise, numbered, open, repository, secret, snapshot, synthetic};
use crate::{RunContext, Share};

/// A tree with folders that lie across any border, a closed one, and a file with two names far apart.
struct Tree {
    folder: TempDir,
    repository: Repository,
    snapshot: SnapshotHandle,
}

/// Mode, time and content of what is at a path.
type Found = BTreeMap<PathBuf, (u32, i64, Vec<u8>)>;

impl Tree {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        for number in 0..60_u64 {
            let place = source.join(format!("a/deep/folder-{}", number / 15));
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(format!("file-{number:02}")), noise(number, 400 * (number as usize % 7 + 1))).unwrap();
        }
        fs::create_dir_all(source.join("b/empty")).unwrap();
        symlink("../a/deep", source.join("b/link")).unwrap();
        fs::hard_link(source.join("a/deep/folder-0/file-00"), source.join("b/name")).unwrap();
        for (number, path) in [
            "a/deep/folder-0",
            "a/deep/folder-1",
            "a/deep/folder-2",
            "a/deep/folder-3",
            "a/deep",
            "a",
            "b/empty",
            "b",
            "",
        ]
        .into_iter()
        .enumerate()
        {
            let mode = if path == "a/deep/folder-1" { 0o500 } else { 0o750 };
            fs::set_permissions(source.join(path), fs::Permissions::from_mode(mode)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + number as u64);
            fs::File::open(source.join(path)).unwrap().set_modified(time).unwrap();
        }
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let source = Arc::new(FileSource::new(source).unwrap());
        let backed = crate::backup::run(&repository, source, &BackupOptions::default(), &RunContext::default()).await;
        let snapshot = handle(&repository, backed.unwrap().snapshot.unwrap()).await;
        Self { folder, repository, snapshot }
    }

    fn target(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn restore(&self, name: &str, options: &RestoreOptions) -> RestoreReport {
        let destination = Arc::new(FileDestination::new(self.target(name)).unwrap());
        run(&self.repository, &self.snapshot, destination, options, &RunContext::default()).await.unwrap()
    }

    async fn share(&self, name: &str, number: u32, of: u32) -> RestoreReport {
        self.restore(name, &shared(number, of)).await
    }

    /// What one process restores.
    async fn whole(&self) -> Found {
        self.restore("whole", &RestoreOptions::default()).await;
        look(&self.target("whole"))
    }

    /// Demands that the shares together have made what one process does, all but what is left to a restore behind them, and that it makes it whole.
    async fn expect_whole(&self, name: &str, whole: &Found) {
        let mut found = look(&self.target(name));
        let closed = Path::new("a/deep/folder-1");
        let mode = found.get(closed).unwrap().0;
        assert!([0o500, 0o700].contains(&mode), "{mode:o}");
        found.get_mut(closed).unwrap().0 = 0o500;
        assert_eq!(&found, whole, "{name}");
        let last = self.restore(name, &RestoreOptions::default()).await;
        assert_eq!((last.left.len(), last.failed, last.unrestored.len()), (0, 0, 0), "{last:?}");
        assert_eq!(&look(&self.target(name)), whole);
        let inode = |path: &str| fs::metadata(self.target(name).join(path)).unwrap().ino();
        assert_eq!(inode("a/deep/folder-0/file-00"), inode("b/name"));
    }
}

fn shared(number: u32, of: u32) -> RestoreOptions {
    RestoreOptions { share: Some(Share { number, of }), ..RestoreOptions::default() }
}

fn look(root: &Path) -> Found {
    let mut found = Found::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if fs::symlink_metadata(root.join(&path)).unwrap().is_dir() {
                folders.push(path.clone());
            } else {
                found.insert(path.clone(), described(&root.join(&path)));
            }
        }
        found.insert(folder.clone(), described(&root.join(&folder)));
    }
    found
}

fn described(path: &Path) -> (u32, i64, Vec<u8>) {
    let status = fs::symlink_metadata(path).unwrap();
    let content = match status.file_type() {
        kind if kind.is_dir() => Vec::new(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_encoded_bytes(),
        _ => fs::read(path).unwrap(),
    };
    (status.mode() & 0o7777, status.mtime(), content)
}

/// All orders of the numbers below one.
fn orders(of: u32) -> Vec<Vec<u32>> {
    match of.checked_sub(1) {
        None => vec![Vec::new()],
        Some(last) => {
            let insert = |order: Vec<u32>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, last);
                    order
                })
            };
            orders(last).into_iter().flat_map(insert).collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_make_what_one_process_makes_in_whatever_order_they_end() {
    let tree = Tree::new().await;
    let whole = tree.whole().await;
    for of in 1..=4 {
        for order in orders(of) {
            let name = format!("{of}-{order:?}");
            for number in &order {
                let report = tree.share(&name, *number, of).await;
                assert_eq!((report.left.len(), report.failed, report.damaged), (0, 0, 0), "{name}: {report:?}");
                assert!(report.entries + report.identical > 0, "{name}: each has something to do");
            }
            tree.expect_whole(&name, &whole).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_at_once_make_the_same_and_one_that_is_run_again_changes_nothing() {
    let tree = Tree::new().await;
    let whole = tree.whole().await;
    let reports = join_all((0..5).map(|number| tree.share("at once", number, 5))).await;
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    assert_eq!(bytes, tree.snapshot.snapshot.tree.bytes, "each content is restored by one");
    let most = reports.iter().map(|report| report.entries).max().unwrap();
    assert!(most < 25, "{most} of some 70 entries by one of five");
    let again = tree.share("at once", 2, 5).await;
    assert_eq!((again.entries, again.bytes, again.left.len()), (0, 0, 0), "{again:?}");
    tree.expect_whole("at once", &whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_one_file_and_a_closed_folder_are_told_until_all_have_ended() {
    let tree = Tree::new().await;
    let mut untold = BTreeMap::<String, u64>::new();
    for number in 0..4 {
        let report = tree.share("told", number, 4).await;
        report.unrestored.into_iter().for_each(|(name, count)| *untold.entry(name).or_default() += count);
    }
    assert_eq!(untold.get("posix.hardlink"), Some(&2), "{untold:?}");
    let modes = untold.get("posix.mode").copied().unwrap_or(0);
    assert!(untold.len() <= 2 && modes <= 2, "{untold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_share_removes_what_is_not_in_its_range_of_the_snapshot_and_no_file_that_another_writes() {
    let tree = Tree::new().await;
    let whole = tree.whole().await;
    let target = tree.target("extra");
    let extra = ["a/deep/folder-0/x", "a/deep/folder-1/x", "a/deep/folder-3/x/y", "b/empty/x", "aa", "z"];
    tree.restore("extra", &RestoreOptions::default()).await;
    for path in extra {
        fs::create_dir_all(target.join(path).parent().unwrap()).unwrap();
        fs::write(target.join(path), "x").unwrap();
    }
    let unfinished = target.join("a/deep/folder-2/%~part-other-0~");
    fs::write(&unfinished, "half").unwrap();
    let mut removed = 0;
    for number in [2, 0, 3, 1] {
        let options = RestoreOptions { delete: Some(Deletion::All), ..shared(number, 4) };
        removed += tree.restore("extra", &options).await.removed;
    }
    assert_eq!(removed, extra.len() as u64 + 1, "with the folder that one lay in");
    fs::remove_file(unfinished).unwrap();
    let options = RestoreOptions { delete: Some(Deletion::All), ..RestoreOptions::default() };
    tree.restore("extra", &options).await;
    assert_eq!(look(&target), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_range_is_told_by_the_first_share_and_what_is_in_one_by_none() {
    let tree = Tree::new().await;
    let with = |number, include: &[&str]| {
        let include = Patterns::new(include.iter().map(|text| text.as_bytes().to_vec())).unwrap();
        RestoreOptions { include, dry_run: true, ..shared(number, 3) }
    };
    for number in 0..3 {
        let found = tree.restore("no", &with(number, &["b/name", "b/nothing"])).await;
        let told: &[&str] = if number == 0 { &["b/nothing"] } else { &[] };
        assert_eq!(found.include_unmatched, told);
        let destination = Arc::new(FileDestination::new(tree.target("no")).unwrap());
        let options = with(number, &["nothing"]);
        let vain = run(&tree.repository, &tree.snapshot, destination, &options, &RunContext::default()).await;
        assert_eq!(matches!(vain, Err(Error::NothingIncluded { .. })), number == 0, "{vain:?}");
        let parts = [Part::Under("b".into()), Part::Under("c".into())].into_iter().collect();
        let missing = tree.restore("no", &RestoreOptions { parts, dry_run: true, ..shared(number, 3) }).await;
        assert_eq!(missing.parts_missing.len(), usize::from(number == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_shared_equally_and_what_is_above_it_is_made() {
    let tree = Tree::new().await;
    let parts = || Parts::under("a/deep/folder-2".into());
    for number in [3, 1, 0, 2] {
        let report = tree.restore("part", &RestoreOptions { parts: parts(), ..shared(number, 4) }).await;
        assert!((1..=6).contains(&(report.entries + report.identical)), "15 files and a folder by four: {report:?}");
    }
    tree.restore("part whole", &RestoreOptions { parts: parts(), ..RestoreOptions::default() }).await;
    assert_eq!(look(&tree.target("part")), look(&tree.target("part whole")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_restored_by_shares_each_object_once() {
    let source = MemorySource::new();
    (0..500_u64).for_each(|number| {
        source.put(format!("k/{number:03}/").as_str(), noise(number, number as usize));
    });
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let snapshot = handle(&repository, snapshot(&repository, &source).await).await;
    let destination = MemoryDestination::new();
    let mut entries = Vec::new();
    for number in [4, 2, 0, 1, 3] {
        let into = Arc::new(destination.clone());
        let report = run(&repository, &snapshot, into, &shared(number, 5), &RunContext::default()).await.unwrap();
        assert!(report.is_whole());
        entries.push(report.entries);
    }
    assert_eq!((entries.iter().sum::<u64>(), destination.restored().len()), (500, 500));
    assert!(entries.iter().all(|share| (90..=110).contains(share)), "{entries:?}");
}

/// Leaves and inner nodes that a walk over some spans reads.
async fn nodes(loader: &BlobLoader, root: &TreeRoot, spans: &Spans) -> (u64, u64) {
    let (mut leaves, mut inner, mut open) = (0, 0, vec![(root.id, root.level)]);
    while let Some((id, level)) = open.pop() {
        if level == 0 {
            leaves += 1;
            continue;
        }
        inner += 1;
        let Node::Inner(children) = Node::decode(&loader.load_one(id).await.unwrap(), level).unwrap() else { panic!() };
        let mut last: Option<Key> = None;
        for child in children {
            if spans.may_hold(last.replace(child.last_key.clone()).as_ref(), &child.last_key) {
                open.push((child.id, level - 1));
            }
        }
    }
    (leaves, inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_eight_shares_of_a_million_keys_reads_an_eighth_of_the_leaves_and_few_nodes_more() {
    let store = Recorded::new(Arc::new(MemoryStore::new()));
    let made = repository(Arc::new(store.clone()), secret(), None).await;
    let snapshot = synthetic(&made, (0..1_000_000).map(numbered)).await;
    let repository = open(Arc::new(store.clone()), secret()).await;
    let loader = repository.loader(Arc::new(repository.index_for_writing().await.unwrap()));
    let all = RestoreOptions::default().parts.spans();
    let (leaves, _) = nodes(&loader, &snapshot.snapshot.tree, &all).await;
    let info = DestinationInfo { namespace: ability::TREE.to_owned(), ..DestinationInfo::default() };
    let mut records = 0;
    for number in 0..8 {
        let loader = repository.loader(Arc::clone(loader.index()));
        let origin = Origin { repository: &repository, snapshot: &snapshot, loader: &loader };
        store.clear();
        let scope = Scope::of(origin, &info, &shared(number, 8)).await.unwrap();
        let planned = store.count(call::GET);
        assert!(planned <= 40, "{planned} reads tell where the range lies");
        let mut walk = origin.walk(scope.spans.clone());
        let mut own = 0;
        while walk.next().await.unwrap().is_some() {
            own += 1;
        }
        let (own_leaves, inner) = nodes(&loader, &snapshot.snapshot.tree, &scope.spans).await;
        let more = (own_leaves + inner).saturating_sub(leaves / 8) + planned as u64;
        assert!(
            more <= leaves / 2,
            "{own_leaves} of {leaves} leaves and {inner} nodes above them, {planned} for the plan"
        );
        assert!((124_000..126_000).contains(&own), "{own}");
        records += own;
    }
    assert_eq!(records, 1_000_000);
    // Some four thousand keys in each.
    assert!(leaves > 150, "{leaves} leaves");
}
