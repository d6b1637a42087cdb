//! Models by name: fetched from a server on this machine, never from the network.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::server::{COMMIT, Hub, blob};
use crate::interrupt::{signal, until};
use crate::programs::{checkpoint, command, genome, ok};

/// A repository with a model, a store without, and a cache.
struct Lab {
    folder: tempfile::TempDir,
    hub: Hub,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), hub: Hub::start() };
        let shape = "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 5";
        checkpoint(&lab.at("model"), "nucleotide-transformer-v2", shape);
        fs::write(lab.at("model/README.md"), "---\nlicense: other\nlicense_name: lab-terms\n---\n").unwrap();
        fs::write(lab.at("model/modeling_esm.py"), "raise SystemExit").unwrap();
        lab.hub.publish("lab/nt", &lab.at("model"));
        genome(&lab.at("genome.fa"));
        ok("init {} --reference {}", &[&lab.at("store"), &lab.at("genome.fa")]);
        lab
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `vestore` on the store, with the environment of this lab alone.
    fn command(&self, words: &str) -> Command {
        let mut command = command(words, &[&self.at("store")]);
        let others = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];
        let tokens = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"];
        let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        for name in others.iter().chain(&tokens).chain(&proxies) {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.at("hf")).env("HF_ENDPOINT", &self.hub.address);
        command
    }

    /// Runs it with more variables, and gives what it said.
    fn run(&self, code: i32, words: &str, variables: &[(&str, &str)]) -> String {
        let output = self.command(words).envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "vestore {words}: {said}");
        said
    }

    fn add(&self, code: i32) -> String {
        self.run(code, ADD, &[])
    }

    fn offline(&self, code: i32) -> String {
        self.run(code, ADD, &[("HF_HUB_OFFLINE", "1")])
    }

    /// The repository's folder in the cache.
    fn cached(&self, name: &str) -> PathBuf {
        self.at("hf/hub/models--lab--nt").join(name)
    }

    fn weights(&self) -> Vec<u8> {
        fs::read(self.at("model/model.safetensors")).unwrap()
    }

    fn models(&self) -> Vec<Value> {
        serde_json::from_str(&ok("model show {} --format json", &[&self.at("store")])).unwrap()
    }
}

const ADD: &str = "model add {} nt --hub lab/nt";

/// The ranges of requests for weights.
fn ranges(requests: &[[String; 4]]) -> Vec<String> {
    let of_weights =
        requests.iter().filter(|[method, path, ..]| method == "GET" && path.starts_with("/cdn/"));
    of_weights.map(|[_, _, range, _]| range.clone()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_model_is_fetched_into_the_cache_and_says_where_it_is_from() {
    let lab = Lab::new();
    let said = lab.add(0);
    assert!(said.contains(&format!("lab/nt@main: commit {COMMIT}, license lab-terms")), "{said}");
    let origin = json!({ "repository": "lab/nt", "revision": COMMIT, "license": "lab-terms" });
    let model = lab.models().remove(0);
    assert_eq!((&model["hub"], &model["license"]), (&origin, &"lab-terms".into()));
    let snapshot = lab.cached("snapshots").join(COMMIT);
    assert_eq!(model["checkpoint"], snapshot.to_str().unwrap());
    assert_eq!(names(&snapshot), ["README.md", "config.json", "model.safetensors", "tokenizer_config.json"]);
    let weights = blob("model.safetensors", &lab.weights());
    let link = snapshot.join("model.safetensors").read_link().unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&weights));
    assert_eq!(fs::read_to_string(lab.cached("refs/main")).unwrap(), COMMIT);
    assert_eq!(names(&lab.cached("blobs")).len(), 4, "no partial file is left");
    // Described, but not fetched again; by a folder it is the same model, which keeps its origin.
    lab.hub.requests();
    fs::remove_dir_all(lab.at("hf/hub/.locks")).unwrap();
    lab.add(0);
    assert!(!lab.at("hf/hub/.locks").exists(), "a complete cache was written to");
    assert!(
        lab.hub.requests().iter().all(|[method, path, ..]| method == "HEAD" || path.starts_with("/api/"))
    );
    ok("model add {} nt --checkpoint {}", &[&lab.at("store"), &lab.at("model")]);
    ok("model add {} half --from nt --drop-layers 1", &[&lab.at("store")]);
    for model in lab.models() {
        assert_eq!(model["hub"], origin, "{}", model["name"]);
    }
    let list = ok("model list {}", &[&lab.at("store")]);
    assert!(list.lines().nth(1).unwrap().ends_with(&format!("  lab/nt@{COMMIT}")), "{list}");
    assert!(
        ok("model show {} nt", &[&lab.at("store")]).contains(&format!("hub             lab/nt@{COMMIT}"))
    );
    let score =
        "score {} --model nt --region chr1:101-101 --window 60 --device cpu --threads 1 --track t --quiet";
    ok(score, &[&lab.at("store")]);
    let bases = fs::read_to_string(lab.at("genome.fa")).unwrap();
    let base = bases.lines().nth(2).unwrap().as_bytes()[30] as char;
    let variant = format!("chr1-101-{base}-{}", if base == 'A' { 'C' } else { 'A' });
    let explained = ok(&format!("explain {{}} {variant} --track t"), &[&lab.at("store")]);
    assert!(explained.contains(&format!("from lab/nt@{COMMIT}")), "{explained}");
}

#[test]
fn tokens_go_to_the_hub_alone_and_old_names_are_followed() {
    let lab = Lab::new();
    lab.hub.state().renamed.insert("old/name".to_owned(), "lab/nt".to_owned());
    fs::create_dir_all(lab.at("hf")).unwrap();
    fs::write(lab.at("hf/token"), "secret\n").unwrap();
    lab.run(0, "model add {} nt --hub old/name@refs/pr/1", &[]);
    let requests = lab.hub.requests();
    let (away, own): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request[1].starts_with("/cdn/"));
    assert!(!away.is_empty() && away.iter().all(|request| request[3].is_empty()), "{away:?}");
    assert!(own.iter().all(|request| request[3] == "Bearer secret"), "{own:?}");
    let home = lab.at("hf/hub/models--old--name");
    assert_eq!(fs::read_to_string(home.join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert_eq!(lab.models()[0]["hub"]["repository"], "old/name");
    // Another place for the cache, and a commit by its number: it needs no file in `refs`.
    let other = lab.at("other");
    let words = format!("model add {{}} nt --hub lab/nt@{COMMIT}");
    lab.run(0, &words, &[("HF_HUB_CACHE", other.to_str().unwrap())]);
    assert_eq!(names(&other.join("models--lab--nt")), ["blobs", "snapshots"]);
}

#[test]
fn a_cut_download_continues_where_it_was() {
    let lab = Lab::new();
    let weights = lab.weights();
    lab.hub.state().cuts = vec![100_000, 50_000];
    lab.add(0);
    assert_eq!(ranges(&lab.hub.requests()), ["", "bytes=100000-", "bytes=150000-"]);
    // Cut, and then not a byte more: what there is stays for the next time.
    fs::remove_dir_all(lab.at("hf")).unwrap();
    lab.hub.state().cuts = vec![70_000, 0];
    let said = lab.add(1);
    let expected = format!("ended after 70000 of {} bytes; rerun", weights.len());
    assert!(said.contains(&expected), "{said}");
    let partial = lab.cached("blobs").join(format!("{}.incomplete", blob("model.safetensors", &weights)));
    assert_eq!(fs::read(&partial).unwrap(), &weights[..70_000]);
    lab.hub.requests();
    lab.add(0);
    assert_eq!(ranges(&lab.hub.requests()), ["bytes=70000-"]);
    assert!(!partial.exists());
    // A server that knows no ranges sends everything again.
    fs::remove_dir_all(lab.at("hf")).unwrap();
    lab.hub.state().cuts = vec![70_000];
    lab.hub.state().whole = true;
    lab.add(0);
    // What another program left is not the beginning of this file.
    fs::remove_dir_all(lab.at("hf")).unwrap();
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, vec![7; 1000]).unwrap();
    lab.hub.state().whole = false;
    assert!(lab.add(1).contains("its digest is not"));
    lab.add(0);
}

#[test]
fn two_programs_fetch_a_file_once() {
    let lab = Lab::new();
    let other = lab.at("other");
    ok("init {} --reference {}", &[&other, &lab.at("genome.fa")]);
    let mut second = lab.command(&ADD.replace("{}", other.to_str().unwrap())).spawn().unwrap();
    lab.add(0);
    assert!(second.wait().unwrap().success());
    assert_eq!(ranges(&lab.hub.requests()), [""]);
}

#[test]
fn an_interrupted_download_is_kept_and_continued() {
    let lab = Lab::new();
    lab.hub.state().stall = Some(120_000);
    let mut child = lab.command(ADD).stderr(Stdio::piped()).spawn().unwrap();
    let name = blob("model.safetensors", &lab.weights());
    let partial = lab.cached("blobs").join(format!("{name}.incomplete"));
    until(&mut child, || partial.metadata().is_ok_and(|file| file.len() == 120_000));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command continues"), "{said}");
    lab.hub.state().stall = None;
    lab.hub.requests();
    lab.add(0);
    assert_eq!(ranges(&lab.hub.requests()), ["bytes=120000-"]);
}

#[test]
fn offline_the_cache_must_have_everything() {
    let lab = Lab::new();
    let said = lab.offline(1);
    assert!(
        said.contains("`lab/nt@main` is not in the cache") && said.contains("unset HF_HUB_OFFLINE"),
        "{said}"
    );
    lab.add(0);
    let online = lab.models();
    lab.hub.requests();
    lab.offline(0);
    assert_eq!((lab.hub.requests().len(), lab.models()), (0, online));
    let snapshot = lab.cached("snapshots").join(COMMIT);
    let weights = snapshot.join("model.safetensors");
    let content = lab.weights();
    let mut damaged = content.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let place = weights.canonicalize().unwrap();
    fs::write(&place, damaged).unwrap();
    for said in [lab.offline(1), lab.add(1)] {
        let expected = format!("damaged file in the cache: {}", place.display());
        assert!(said.contains(&expected), "{said}");
    }
    fs::remove_file(&place).unwrap();
    assert!(lab.offline(1).contains("or not with model.safetensors"));
    lab.add(0);
    assert_eq!(fs::read(&weights).unwrap(), content);
    // As copies of caches are, without links.
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, &content).unwrap();
    fs::remove_dir_all(lab.cached("blobs")).unwrap();
    assert!(lab.offline(1).contains("or not with config.json"));
    lab.add(0);
    lab.offline(0);
}

#[test]
fn refusals_of_the_hub_say_what_helps() {
    let lab = Lab::new();
    for refusal in [(401, "GatedRepo"), (403, "GatedRepo"), (403, "")] {
        lab.hub.state().refusal = Some(refusal);
        let said = lab.add(1);
        let expected = format!("accept its terms at {}/lab/nt, then set HF_TOKEN", lab.hub.address);
        assert!(said.contains(&expected), "{said}");
    }
    lab.hub.state().refusal = Some((401, ""));
    assert!(lab.add(1).contains("no such repository: `lab/nt`, or it is private or gated"));
    assert!(lab.run(1, ADD, &[("HF_TOKEN", "old")]).contains("does not accept the token; renew HF_TOKEN"));
    lab.hub.state().refusal = Some((503, ""));
    assert!(lab.add(1).contains("status 503"));
    lab.hub.state().refusal = None;
    for variables in [&[][..], &[("HF_TOKEN", "mine")]] {
        let said = lab.run(1, "model add {} nt --hub lab/none", variables);
        assert!(said.contains("no such repository: `lab/none`"), "{said}");
    }
    let said = lab.run(1, "model add {} nt --hub lab/nt@v2", &[]);
    assert!(said.contains("`lab/nt` has no revision `v2`"), "{said}");
    let said = lab.run(1, ADD, &[("HF_ENDPOINT", "http://127.0.0.1:9")]);
    assert!(said.contains("cannot reach http://127.0.0.1:9") && said.contains("HF_HUB_OFFLINE=1"), "{said}");
    let said = lab.run(1, ADD, &[("SSL_CERT_FILE", "/nowhere.pem")]);
    assert!(said.contains("cannot use the certificates of SSL_CERT_FILE=/nowhere.pem"), "{said}");
    for id in ["../x", "lab/nt@../../x", "https://huggingface.co/lab/nt"] {
        let said = lab.run(2, &format!("model add {{}} nt --hub {id}"), &[]);
        assert!(said.contains("expected ORG/MODEL"), "{said}");
    }
    assert!(lab.models().is_empty() && names(&lab.at("hf/hub")).is_empty(), "something was fetched");
}

#[test]
fn files_that_are_not_what_the_hub_announces_are_not_kept() {
    let lab = Lab::new();
    let weights = lab.weights();
    for (surplus, problem) in [(5, "bytes, not"), (-5, "more than")] {
        lab.hub.state().surplus = surplus;
        let said = lab.add(1);
        assert!(said.contains("model.safetensors is not the file") && said.contains(problem), "{said}");
    }
    lab.hub.state().surplus = 0;
    let mut other = weights.clone();
    *other.last_mut().unwrap() ^= 1;
    lab.hub.state().tag = Some(blob("model.safetensors", &other));
    assert!(lab.add(1).contains("its digest is not"));
    for tag in ["../../../evil", "5d41402abc4b2a76b9719d911017c592"] {
        lab.hub.state().tag = Some(tag.to_owned());
        assert!(lab.add(1).contains("unexpected entity tag"), "{tag}");
    }
    let blobs = names(&lab.cached("blobs"));
    assert!(blobs.iter().all(|name| !name.contains("incomplete") && name.len() == 40), "{blobs:?}");
    lab.hub.state().tag = None;
    lab.add(0);
}

#[test]
fn names_that_leave_the_repository_are_refused() {
    let lab = Lab::new();
    for evil in ["../../evil", "/etc/evil", "a/../../evil"] {
        lab.hub.state().listed = Some(evil.to_owned());
        let said = lab.add(1);
        assert!(said.contains(&format!("unexpected file name from the hub: `{evil}`")), "{said}");
    }
    lab.hub.state().listed = Some("onnx/model.onnx".to_owned());
    lab.add(0);
}

#[test]
fn shards_and_indexes_are_fetched_together() {
    let lab = Lab::new();
    lab.add(0);
    let whole = lab.models().remove(0);
    let folder = lab.at("sharded");
    fs::create_dir(&folder).unwrap();
    fs::copy(lab.at("model/config.json"), folder.join("config.json")).unwrap();
    split(&lab.weights(), &folder);
    lab.hub.publish("lab/sharded", &folder);
    lab.run(0, "model add {} nt --hub lab/sharded", &[]);
    let model = lab.models().remove(0);
    assert_eq!((&model["id"], &model["hub"]["repository"]), (&whole["id"], &"lab/sharded".into()));
    let found = names(Path::new(model["checkpoint"].as_str().unwrap()));
    assert_eq!(
        found,
        ["config.json", "model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"]
    );
    let shard = lab.at("hf/hub/models--lab--sharded/snapshots").join(COMMIT).join("model-2.safetensors");
    fs::remove_file(shard).unwrap();
    let said = lab.run(1, "model add {} nt --hub lab/sharded", &[("HF_HUB_OFFLINE", "1")]);
    assert!(said.contains("or not with model-2.safetensors"), "{said}");
    let index = json!({ "weight_map": { "a": "../../evil.safetensors" } }).to_string();
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    lab.hub.publish("lab/evil", &folder);
    let said = lab.run(1, "model add {} evil --hub lab/evil", &[]);
    assert!(said.contains("not a plain file name"), "{said}");
}

#[test]
fn adapters_have_names_too() {
    let lab = Lab::new();
    let adapter = lab.at("adapter");
    lora(&adapter);
    lab.hub.publish("lab/lora", &adapter);
    lab.run(0, "model add {} tuned --hub lab/nt --hub-adapter lab/lora@main", &[]);
    let tuned = lab.models().remove(0);
    let origin = json!({ "repository": "lab/lora", "revision": COMMIT, "license": "apache-2.0" });
    assert_eq!((&tuned["adapter_hub"], &tuned["adapter_base"]), (&origin, &Value::Null));
    assert_eq!(tuned["hub"]["repository"], "lab/nt");
    let shown = ok("model show {} tuned", &[&lab.at("store")]);
    assert!(shown.contains(&format!("adapter hub     lab/lora@{COMMIT}, license apache-2.0")), "{shown}");
    ok("model add {} half --from tuned --drop-layers 1", &[&lab.at("store")]);
    assert!(lab.models().iter().all(|model| model["adapter_hub"] == origin));
    let said = lab.run(1, "model add {} x --hub lab/lora", &[]);
    assert!(said.contains("lacks config.json; it holds an adapter: name it with --hub-adapter"), "{said}");
    let said = lab.run(1, "model add {} x --hub lab/nt --hub-adapter lab/nt", &[]);
    assert!(said.contains("lacks adapter_config.json; it holds a whole model"), "{said}");
    lab.run(2, "model add {} x --hub lab/nt --hub-adapter lab/lora --adapter y", &[]);
    lab.run(2, "model add {} x --hub lab/nt --from tuned", &[]);
}

#[test]
fn a_model_whose_cache_was_emptied_says_how_to_fetch_it_again() {
    let lab = Lab::new();
    lab.add(0);
    fs::remove_dir_all(lab.at("hf")).unwrap();
    let score = "score {} --model nt --region chr1:101-104 --window 60 --device cpu --threads 1 --quiet";
    let said = lab.run(1, score, &[]);
    let again = format!("--hub lab/nt@{COMMIT}");
    assert!(said.contains(&format!("repeat `vestore model add` with `{again}`")), "{said}");
    lab.run(0, &format!("model add {{}} nt {again} --copy"), &[]);
    fs::remove_dir_all(lab.at("hf")).unwrap();
    lab.run(0, score, &[]);
}

#[test]
fn published_models_are_listed_in_three_formats() {
    let table = ok("model known", &[]);
    assert!(
        table.starts_with("name ") && table.contains("InstaDeepAI/nucleotide-transformer-v2-50m"),
        "{table}"
    );
    let objects: Vec<Value> = serde_json::from_str(&ok("model known --format json", &[])).unwrap();
    assert_eq!(objects.len() + 1, table.lines().count());
    let enformer = objects.iter().find(|model| model["family"] == "enformer").unwrap();
    assert_eq!((&enformer["window"], &enformer["tables"]), (&196_608.into(), &Value::Null));
    let tsv = ok("model known --format tsv", &[]);
    assert!(tsv.lines().all(|line| line.split('\t').count() == 8), "{tsv}");
}

/// Bytes of a safetensors file of some tensors, by name, with what says where their numbers lie in `data`.
fn safetensors(tensors: &[(&String, &Value)], data: &[u8]) -> Vec<u8> {
    let (mut header, mut numbers) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in tensors {
        let offset = |end: usize| tensor["data_offsets"][end].as_u64().unwrap() as usize;
        let start = numbers.len();
        numbers.extend_from_slice(&data[offset(0)..offset(1)]);
        let mut tensor = (*tensor).clone();
        tensor["data_offsets"] = json!([start, numbers.len()]);
        header.insert((*name).clone(), tensor);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers].concat()
}

/// Cuts weights into two shards with an index.
fn split(weights: &[u8], folder: &Path) {
    let end = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&weights[8..end]).unwrap();
    let tensors: Vec<(&String, &Value)> = header.iter().filter(|(name, _)| *name != "__metadata__").collect();
    let mut places = serde_json::Map::new();
    for (number, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let name = format!("model-{}.safetensors", number + 1);
        fs::write(folder.join(&name), safetensors(part, &weights[end..])).unwrap();
        places.extend(part.iter().map(|(key, _)| ((*key).clone(), name.clone().into())));
    }
    let index = json!({ "weight_map": places }).to_string();
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
}

/// An adapter for the model of the lab, as PEFT writes it.
fn lora(folder: &Path) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("README.md"), "---\nlicense: apache-2.0\n---\n").unwrap();
    let config = json!({
        "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"], "base_model_name_or_path": "lab/nt"
    });
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let data: Vec<u8> = (0..64_u16).flat_map(|number| (f32::from(number) / 100.0).to_le_bytes()).collect();
    let mut tensors = serde_json::Map::new();
    for layer in 0..2 {
        let module = format!("base_model.model.esm.encoder.layer.{layer}.attention.self.query");
        let tensor = |shape: [u32; 2]| json!({ "dtype": "F32", "shape": shape, "data_offsets": [0, 256] });
        tensors.insert(format!("{module}.lora_A.weight"), tensor([2, 32]));
        tensors.insert(format!("{module}.lora_B.weight"), tensor([32, 2]));
    }
    let tensors: Vec<(&String, &Value)> = tensors.iter().collect();
    fs::write(folder.join("adapter_model.safetensors"), safetensors(&tensors, &data)).unwrap();
}
