//! What of a source is wanted: lists, sizes, patterns without a match, streams, and snapshots that nobody needs twice.

use std::fs;
use std::path::Path;

use credenza_connect::StreamSource;
use credenza_connect::file::FileSource;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_model::Key;

use super::*;
use crate::testing::{contents, handle, noise, repository, secret};

async fn in_memory() -> Repository {
    repository(Arc::new(MemoryStore::new()), secret(), None).await
}

async fn backed_up(repository: &Repository, source: impl Source + 'static, options: &BackupOptions) -> BackupReport {
    run(repository, Arc::new(source), options, &RunContext::default()).await.unwrap()
}

async fn keys(repository: &Repository, report: &BackupReport) -> Vec<String> {
    contents(repository, report.snapshot.unwrap()).await.into_keys().map(|key| key.to_string()).collect()
}

/// The same entries as a bucket and as a folder.
fn bucket_and_folder() -> (MemorySource, tempfile::TempDir) {
    let (bucket, folder) = (MemorySource::new(), tempfile::tempdir().unwrap());
    for (key, bytes) in [("a/b/c", 1), ("a/x", 2), ("large", 5000), ("z.tmp", 3)] {
        bucket.put(key, vec![7; bytes]);
        let path = folder.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![7; bytes]).unwrap();
    }
    (bucket, folder)
}

fn source(path: &Path) -> FileSource {
    FileSource::new(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_nothing_matches_is_in_the_report_of_a_run_and_of_a_trial() {
    let excludes = Patterns::new(["*.tmp", "/target", "a/b/", "!nothing"]).unwrap();
    let (bucket, folder) = bucket_and_folder();
    let repository = in_memory().await;
    for dry_run in [true, false] {
        let options = BackupOptions { excludes: excludes.clone(), dry_run, ..BackupOptions::default() };
        for report in [
            backed_up(&repository, bucket.clone(), &options).await,
            backed_up(&repository, source(folder.path()), &options).await,
        ] {
            assert_eq!(report.unmatched, ["/target", "!nothing"], "each run counts for itself");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_all_that_is_backed_up_and_what_is_missing_is_a_problem() {
    let (bucket, folder) = bucket_and_folder();
    let repository = in_memory().await;
    let only = Selection::of(["a/b", "z.tmp", "gone", "a/gone"]);
    let options = BackupOptions { only, ..BackupOptions::default() };
    let of_bucket = backed_up(&repository, bucket.clone(), &options).await;
    let of_folder = backed_up(&repository, source(folder.path()), &options).await;
    assert_eq!(keys(&repository, &of_bucket).await, ["a/b/c", "z.tmp"]);
    assert_eq!(keys(&repository, &of_folder).await, ["", "a/", "a/b/", "a/b/c", "z.tmp"]);
    for report in [of_bucket, of_folder] {
        assert_eq!(report.errors, 2);
        let problems = handle(&repository, report.snapshot.unwrap()).await.snapshot.problems;
        assert_eq!(
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>(),
            ["a/gone", "gone"].map(Key::from)
        );
    }
    let trial = BackupOptions { dry_run: true, ..options };
    assert_eq!(backed_up(&repository, bucket, &trial).await.errors, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_over_a_size_are_left_out_of_any_source_and_counted() {
    let (bucket, folder) = bucket_and_folder();
    let repository = in_memory().await;
    let options = BackupOptions { size_max: Some(4999), ..BackupOptions::default() };
    let of_bucket = backed_up(&repository, bucket, &options).await;
    let of_folder = backed_up(&repository, source(folder.path()), &options).await;
    assert_eq!(keys(&repository, &of_bucket).await, ["a/b/c", "a/x", "z.tmp"]);
    assert_eq!(keys(&repository, &of_folder).await, ["", "a/", "a/b/", "a/b/c", "a/x", "z.tmp"]);
    let equal = BackupOptions { size_max: Some(5000), ..options };
    let of_size = backed_up(&repository, source(folder.path()), &equal).await;
    assert_eq!((of_bucket.too_large, of_folder.too_large, of_size.too_large), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_made_once_of_what_does_not_change() {
    let (bucket, folder) = bucket_and_folder();
    let repository = in_memory().await;
    let options = BackupOptions { skip_unchanged: true, ..BackupOptions::default() };
    let first = backed_up(&repository, source(folder.path()), &options).await;
    assert_eq!(first.unchanged_since, None, "there is none before");
    let second = backed_up(&repository, source(folder.path()), &options).await;
    assert_eq!((second.snapshot, second.unchanged_since, second.bytes_added), (None, first.snapshot, 0));
    let always = backed_up(&repository, source(folder.path()), &BackupOptions::default()).await;
    assert!(always.snapshot.is_some() && always.unchanged_since.is_none());
    fs::write(folder.path().join("new"), "").unwrap();
    let third = backed_up(&repository, source(folder.path()), &options).await;
    assert!(third.snapshot.is_some() && third.unchanged_since.is_none());

    // Of what cannot be read it says so each time, and once when it can be.
    bucket.skip("closed", "denied");
    for _ in 0..2 {
        assert!(backed_up(&repository, bucket.clone(), &options).await.snapshot.is_some());
    }
    let (opened, _) = bucket_and_folder();
    let (sound, again) =
        (backed_up(&repository, opened.clone(), &options).await, backed_up(&repository, opened, &options).await);
    assert!(sound.snapshot.is_some() && again.unchanged_since == sound.snapshot);
    assert_eq!(repository.snapshots().await.unwrap().whole.len(), 6);
    crate::testing::expect_whole(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_any_length_is_a_snapshot_of_one_file() {
    let repository = in_memory().await;
    let options = BackupOptions { skip_unchanged: true, ..BackupOptions::default() };
    for length in [0, 10, 3 * load::SMALL_BYTES_MAX as usize] {
        let bytes = noise(1, length);
        let stream = || StreamSource::of_reader(b"dump", "h".to_owned(), std::io::Cursor::new(bytes.clone())).unwrap();
        let report = backed_up(&repository, stream(), &options).await;
        let kept = contents(&repository, report.snapshot.unwrap()).await;
        assert_eq!(kept.len(), 1);
        assert!(kept[&"dump".into()].1 == bytes, "{length}");
        assert_eq!(backed_up(&repository, stream(), &options).await.unchanged_since, report.snapshot, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_is_no_snapshot_and_the_fault_of_its_source() {
    /// Some bytes, and then a failure.
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| std::io::Error::other("the pipe burst"))?;
            buffer.fill(7);
            Ok(buffer.len())
        }
    }
    let repository = in_memory().await;
    for pieces in [0, 1000] {
        let stream = StreamSource::of_reader(b"dump", "h".to_owned(), Broken(pieces)).unwrap();
        let failed = run(&repository, Arc::new(stream), &BackupOptions::default(), &RunContext::default()).await;
        let failed = failed.unwrap_err();
        assert!(failed.is_of_source() && failed.to_string().contains("the pipe burst"), "{failed}");
    }
    assert_eq!(repository.snapshots().await.unwrap().whole.len(), 0);
}

#[tokio::test]
async fn a_run_over_a_stream_does_not_begin_again() {
    let stream = StreamSource::of_reader(b"dump", "h".to_owned(), std::io::empty()).unwrap();
    assert!(is_read_once(&stream).await && !is_read_once(&MemorySource::new()).await);
}

/// Counts the bytes that are reported before the entry that they are of.
#[derive(Default)]
struct Moves(std::sync::Mutex<Vec<(u64, u64)>>);

impl Listener for Moves {
    fn on(&self, event: Event) {
        if let Event::Progress { entries, bytes } = event {
            self.0.lock().unwrap().push((entries, bytes));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_move_while_one_large_file_or_stream_is_read() {
    let repository = in_memory().await;
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(1, 20 << 20);
    fs::write(folder.path().join("large"), &bytes).unwrap();
    let stream = StreamSource::of_reader(b"dump", "h".to_owned(), std::io::Cursor::new(bytes)).unwrap();
    let sources: [Arc<dyn Source>; 2] = [Arc::new(source(&folder.path().join("large"))), Arc::new(stream)];
    for source in sources {
        let heard = Arc::new(Moves::default());
        let context = RunContext::telling(Arc::clone(&heard) as Arc<dyn Listener>);
        run(&repository, source, &BackupOptions::default(), &context).await.unwrap();
        let moves = heard.0.lock().unwrap();
        let before: Vec<u64> = moves.iter().take_while(|(entries, _)| *entries == 0).map(|(_, bytes)| *bytes).collect();
        assert!(before.len() >= 10 && before.iter().sum::<u64>() > 18 << 20, "{moves:?}");
        assert_eq!(moves.iter().map(|(_, bytes)| bytes).sum::<u64>(), 20 << 20, "each byte once");
    }
}
