//! Published stores on a server: the same answers as here, in few requests, and an error for everything else.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use vestore::{PublishOptions, ScoreRow, Store};
use vestore_schema::{Position, Status, Track, Variant};

use crate::programs::command;
use crate::support::{Random, ScoreKind, model, new_store, run, track, write};
use server::{Server, Trouble};

/// Positions that have rows: every SNV, more than one row group.
const SPAN: u32 = 60_000;

/// A store in `s` with a track of one and one of three columns over the same SNVs, published in `p`.
struct Ground {
    folder: tempfile::TempDir,
    server: Server,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = new_store(&folder.path().join("s"), &["1", "HLA-A*01:01"]);
        let mut writer = store.writer("test").unwrap();
        writer.put_model(&model("model")).unwrap();
        for (number, (name, kind)) in
            [("one", ScoreKind::LlrGrid), ("three", ScoreKind::Llr)].into_iter().enumerate()
        {
            let track = track(name, kind);
            writer.put_track(&track).unwrap();
            let segments = [(0, SPAN), (1, 50)]
                .map(|(contig, span)| write(&mut writer, &track, &saturated(&track, contig, span)));
            writer.commit(&segments, &run(number as u64 + 1, &track)).unwrap();
        }
        store.publish(&folder.path().join("p"), PublishOptions::default(), |_| {}).unwrap();
        let server = Server::new(folder.path());
        Self { folder, server }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `vestore` says of the published store on the server, with a cache of its own and without a proxy.
    fn run(&self, words: &str) -> Output {
        let mut command = command(words, &[&self.server.address("p")]);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(name);
        }
        command.env("VESTORE_CACHE", self.at("cache")).output().unwrap()
    }

    fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, words: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code().is_some_and(|code| code > 0), "{words}: {said}");
        assert!(!said.contains("panicked") && said.trim().lines().count() == 1, "{said}");
        said
    }
}

/// Every SNV of the first positions of a contig.
fn saturated(track: &Track, contig: u32, span: u32) -> Vec<ScoreRow> {
    let mut random = Random(u64::from(contig) + track.columns.len() as u64);
    let mut rows = Vec::new();
    for position in 0..span {
        let reference = b"ACGT"[random.below(4) as usize];
        for alternate in b"ACGT".iter().filter(|base| **base != reference) {
            let letter = |base: u8| char::from(base).to_string().into();
            let scored = random.below(50) > 0;
            let values = track.columns.iter();
            let values =
                values.map(|_| scored.then(|| random.below(2_000_000) as f32 / 1e5 - 10.0)).collect();
            let variant = Variant {
                contig,
                position: Position::new(position),
                reference: letter(reference),
                alternate: letter(*alternate),
            };
            rows.push(ScoreRow {
                variant,
                values,
                status: if scored { Status::Scored } else { Status::NonAcgt },
            });
        }
    }
    rows
}

#[test]
fn answers_are_those_of_the_store() {
    let ground = Ground::new();
    let local =
        |words: &str| String::from_utf8(command(words, &[&ground.at("s")]).output().unwrap().stdout).unwrap();
    let mut random = Random(8);
    let mut asked = vec![
        "query {} HLA-A*01:01 --format tsv".to_owned(),
        "query {} --where llr_grid>9.9 --format tsv".to_owned(),
        "query {} 1:100-60000 --wide --format tsv --limit 20000".to_owned(),
        "query {} --count".to_owned(),
        "diff {} one one 1:5-20000".to_owned(),
        "track list {}".to_owned(),
        "model list {} --format json".to_owned(),
        "run list {}".to_owned(),
    ];
    for _ in 0..8 {
        let start = 1 + random.below(u64::from(SPAN));
        let most = [1, 10, 1000, 30_000][random.below(4) as usize];
        let length = 1 + random.below(most);
        let track = ["", "--track one", "--track three --columns llr"][random.below(3) as usize];
        asked.push(format!("query {{}} 1:{start}-{} {track} --format tsv", start + length));
    }
    for words in asked {
        assert!(!ground.ok(&words).is_empty(), "{words}");
        if !words.starts_with("model") {
            assert_eq!(ground.ok(&words), local(&words), "{words}");
        }
    }
    assert!(ground.ok("info {}").contains("published (read-only)"));
    assert!(ground.run("verify {} --quiet").status.success());
    let (here, there) = (ground.at("here.tsv"), ground.at("there.tsv"));
    ground.ok(&format!("export {{}} --format tsv --track one 1:1-500 -o {}", there.display()));
    local(&format!("export {{}} --format tsv --track one 1:1-500 -o {}", here.display()));
    assert_eq!(fs::read(here).unwrap(), fs::read(there).unwrap());
}

#[test]
fn a_locus_takes_few_requests_and_a_region_as_many_as_its_bytes_need() {
    let ground = Ground::new();
    ground.ok("info {}");
    let (requests, _) = ground.server.taken();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let mut random = Random(5);
    for (track, most, bytes) in [("one", 5, 150_000), ("three", 8, 300_000)] {
        for _ in 0..10 {
            let position = 1 + random.below(u64::from(SPAN));
            ground.ok(&format!("query {{}} 1:{position}-{position} --track {track} --format tsv"));
            let (requests, taken) = ground.server.taken();
            assert!(!requests.iter().any(|request| request.contains("catalog")), "{requests:?}");
            assert!(
                requests.len() <= most && taken <= bytes,
                "{track} {position}: {taken} bytes, {requests:?}"
            );
        }
    }
    for (span, most) in [(3000, 8), (SPAN, 10)] {
        ground.ok(&format!("query {{}} 1:1-{span} --track three --format tsv"));
        let (requests, bytes) = ground.server.taken();
        assert!(
            requests.len() as u64 <= 7 + bytes / 500_000 && requests.len() < most,
            "{bytes} bytes, {requests:?}"
        );
    }
}

#[test]
fn every_failure_of_a_server_is_an_error_with_a_remedy() {
    let ground = Ground::new();
    let query = "query {} 1:500-600 --track one --format tsv";
    let wanted = ground.ok(query);
    for (trouble, told) in [
        (Trouble::NoRanges, "ignores range requests"),
        (Trouble::Status(404), "incomplete copy of a published store: missing http://"),
        (Trouble::Status(403), "refuses access (HTTP 403); publish the files"),
        (Trouble::Status(401), "refuses access (HTTP 401)"),
        (Trouble::Status(503), "HTTP 503; try again later"),
        (Trouble::Status(418), "HTTP 418"),
        (Trouble::Drop(100), "no connection"),
        (Trouble::Tags, "changed while it was read"),
        (Trouble::OtherRanges, "parts that were not asked for"),
        (Trouble::Length(1 << 40), "bytes long, not"),
        (Trouble::Nonsense, "http"),
    ] {
        ground.server.make(trouble);
        let said = ground.fails(query);
        assert!(said.contains(told), "{trouble:?}: {said}");
    }
    // What passes is tried again.
    ground.server.make(Trouble::Drop(2));
    assert_eq!(ground.ok(query), wanted);
    ground.server.make(Trouble::None);
    for words in ["compact {}", "track remove {} one", "verify {} --drop-damaged"] {
        assert!(ground.fails(words).contains("is a published store, which is read-only"), "{words}");
    }
    assert!(ground.fails("init {} --reference x.fa").contains("not a local path"));
    let elsewhere = |address: &str| {
        let output = command("info {}", &[Path::new(address)]).env("NO_PROXY", "*").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = ground.server.address("nothing");
    assert!(elsewhere(missing.to_str().unwrap()).contains("no published store at http://"));
    assert!(elsewhere("s3://bucket/store").contains("expected http:// or https://"));
    assert!(elsewhere("http://user:secret@127.0.0.1/x").contains("with a user name"));
    assert!(elsewhere("http://127.0.0.1:1/x").contains("no connection"));
    assert!(elsewhere(&missing.to_str().unwrap().replace("http:", "https:")).contains("vestore.json"));
}

#[test]
fn what_is_on_the_server_is_checked_as_local_files_are() {
    let ground = Ground::new();
    let query = "query {} 1:500-600 --track one --format tsv";
    let segment =
        fs::read_dir(ground.at("p/scores/track=one/contig=1")).unwrap().next().unwrap().unwrap().path();
    // The published file is another name of the store's.
    let bytes = fs::read(&segment).unwrap();
    fs::remove_file(&segment).unwrap();
    for at in [100, bytes.len() / 3, bytes.len() - 50] {
        let mut changed = bytes.clone();
        changed[at..at + 9].iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(&segment, changed).unwrap();
        let output = ground.run("query {} --track one --format tsv");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("damaged copy of a published store"),
            "{at}: {said}"
        );
    }
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    assert!(ground.fails(query).contains("bytes long, not"));
    fs::write(&segment, &bytes).unwrap();
    ground.ok(query);
    // A damaged copy of the catalog here is fetched again, one on the server is refused.
    let catalog = fs::read_dir(ground.at("cache/catalogs")).unwrap().next().unwrap().unwrap();
    let there = ground.at("p").join(catalog.file_name());
    let mut changed = fs::read(&there).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(catalog.path(), &changed).unwrap();
    ground.ok(query);
    fs::remove_file(catalog.path()).unwrap();
    fs::write(&there, &changed).unwrap();
    assert!(ground.fails(query).contains("checksum"));
    fs::remove_file(&there).unwrap();
    assert!(ground.fails(query).contains("incomplete copy of a published store"));
    fs::write(ground.at("p/vestore.json"), vec![b' '; 1 << 20]).unwrap();
    assert!(ground.fails(query).contains("more than 65536 bytes"));
    fs::write(ground.at("p/vestore.json"), "{}").unwrap();
    assert!(ground.fails(query).contains("it has no `version`"));
}

#[test]
fn a_store_that_is_published_again_is_read_as_it_was_opened_or_anew() {
    let ground = Ground::new();
    let query = "query {} HLA-A*01:01 --format tsv";
    let before = ground.ok(query);
    let store = Store::open(&ground.at("s")).unwrap();
    store.writer("test").unwrap().remove_track("three").unwrap();
    store
        .publish(&ground.at("p"), PublishOptions { prune: true, ..PublishOptions::default() }, |_| {})
        .unwrap();
    let after = ground.ok(query);
    assert!(before.contains("\tthree\t") && !after.contains("\tthree\t"), "{after}");
}
