//! Records as a daemon would write them, written by the format alone. From the program there are only hashes and signatures.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence::audit::signed_note::{Checkpoint, NoteSigner};
use ringfence::audit::tree::{MerkleTree, NodeHash, sha256};

/// The digest of the configuration that the records name.
pub(crate) const DIGEST: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

/// Regions eu, uk and us, of which uk may serve eu's calls, and a trunk.
pub(crate) const CONFIG: &str = concat!(
    "\"digest\":\"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\",\"regions\":[",
    "{\"region\":\"eu\",\"hostname\":\"eu.sip.example.com\",\"served\":true,\"networks\":[\"10.1.0.0/16\"],\"servers\":[\"10.1.0.5:5060\"],\"relays\":[],\"nearest\":[\"uk\"]},",
    "{\"region\":\"uk\",\"hostname\":\"uk.sip.example.com\",\"served\":false,\"networks\":[\"10.2.0.0/16\"],\"servers\":[],\"relays\":[],\"nearest\":[]}],",
    "\"trunks\":[{\"project\":\"acme\",\"trunk\":\"t\",\"networks\":[\"192.0.2.0/24\"],\"media\":[\"198.51.100.0/24\"]}]"
);

/// The record of one node.
pub(crate) struct WrittenNode {
    pub(crate) path: PathBuf,
    pub(crate) signer: NoteSigner,
    previous: Option<(String, NodeHash)>,
}

/// A day that is being written.
pub(crate) struct WrittenDay {
    pub(crate) day: String,
    pub(crate) text: Vec<u8>,
    pub(crate) tree: MerkleTree,
}

/// Octets as hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
    octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).map(digit).collect()
}

impl WrittenNode {
    /// A node without a day. `name` and `seed` make its key.
    pub(crate) fn new(path: &Path, name: &str, seed: u8) -> Self {
        let _ = fs::remove_dir_all(path);
        fs::create_dir_all(path).unwrap();
        let signer = NoteSigner::new(&format!("eu.sip.example.com/audit/{name}"), &[seed; 32]).unwrap();
        fs::write(path.join("public.key"), format!("{}\n", signer.verifier())).unwrap();
        Self { path: path.to_owned(), signer, previous: None }
    }

    /// Begins a day: opens it and tells the configuration.
    pub(crate) fn begin(&self, day: &str, why: &str) -> WrittenDay {
        let mut written = WrittenDay { day: day.to_owned(), text: Vec::new(), tree: MerkleTree::default() };
        self.open(&mut written, why);
        written
    }

    /// Opens a day, or opens it again.
    pub(crate) fn open(&self, written: &mut WrittenDay, why: &str) {
        let previous =
            self.previous.as_ref().map(|(day, hash)| format!(",\"previous\":{{\"day\":\"{day}\",\"sha256\":\"{}\"}}", hex(hash)));
        written.line("open", &format!("\"node\":\"n1\",\"version\":\"0.1.0\",\"why\":\"{why}\"{}", previous.unwrap_or_default()));
        written.line("config", CONFIG);
    }

    /// The checkpoint of a day as it stands.
    pub(crate) fn checkpoint(&self, written: &WrittenDay, is_final: bool) -> String {
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size: written.tree.size(),
            root: written.tree.root(),
            day: written.day.parse().unwrap(),
            previous: self.previous.as_ref().map(|(_, hash)| *hash),
            is_final,
        };
        self.signer.sign(&checkpoint.text())
    }

    /// Writes a day that goes on.
    pub(crate) fn write(&self, written: &WrittenDay, checkpoint: &str) {
        let folder = self.path.join(&written.day);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("records.jsonl"), &written.text).unwrap();
        fs::write(folder.join("checkpoint"), checkpoint).unwrap();
    }

    /// Closes a day and writes it.
    pub(crate) fn end(&mut self, mut written: WrittenDay, why: &str) {
        written.line("close", &format!("\"why\":\"{why}\""));
        let checkpoint = self.checkpoint(&written, true);
        self.write(&written, &checkpoint);
        self.previous = Some((written.day, sha256(checkpoint.as_bytes())));
    }
}

impl WrittenDay {
    /// Appends a line.
    pub(crate) fn line(&mut self, kind: &str, rest: &str) {
        let n = self.tree.size();
        let second = n % 60;
        let line = format!("{{\"n\":{n},\"at\":\"{}T10:00:{second:02}.123456Z\",\"kind\":\"{kind}\",{rest}}}\n", self.day);
        self.tree.push(line.as_bytes());
        self.text.extend_from_slice(line.as_bytes());
    }

    /// Appends a seal of the lines so far.
    pub(crate) fn seal(&mut self) {
        let (size, root) = (self.tree.size(), hex(&self.tree.root()));
        self.line("seal", &format!("\"size\":{size},\"root\":\"{root}\""));
    }

    /// A verdict on a call.
    pub(crate) fn verdict(&mut self, call: u32, rest: &str) {
        let head = "\"region\":\"eu\",\"project\":\"acme\",\"trunk\":\"t\"";
        let source = "\"method\":\"INVITE\",\"source\":\"192.0.2.7:5060\",\"transport\":\"udp\",\"from\":\"+15551234567\",\"to\":\"+4930123456\"";
        self.line("verdict", &format!("{head},\"call\":\"{call:032x}\",{rest},{source},\"config\":\"{DIGEST}\""));
    }

    /// A call that is accepted, answered, and ends after 61 seconds.
    pub(crate) fn call(&mut self, call: u32) {
        let way = "\"serving\":\"eu\",\"target\":\"udp:10.1.0.5:5060\",\"media\":[\"10.1.0.9\"],\"media_verdict\":\"inside\"";
        self.verdict(call, &format!("\"verdict\":\"accept\",\"id\":100,\"reason\":\"in-region\",\"direction\":\"in\",{way}"));
        let head = format!("\"region\":\"eu\",\"project\":\"acme\",\"trunk\":\"t\",\"call\":\"{call:032x}\"");
        self.line("answer", &format!("{head},\"code\":200,\"setup_ms\":1234,{way},\"retries\":0,\"config\":\"{DIGEST}\""));
        self.line("end", &format!("{head},\"by\":\"callee\",\"cause\":\"Q.850;16\",\"seconds\":61,\"code\":200"));
    }
}

/// Three days of a node: two whole ones with a seal in each, and one that goes on.
#[allow(dead_code, reason = "a bench writes other days")]
pub(crate) fn three_days(path: &Path, name: &str, seed: u8) -> WrittenNode {
    let mut node = WrittenNode::new(path, name, seed);
    for (day, why) in [("2026-11-24", "start"), ("2026-11-25", "day")] {
        let mut written = node.begin(day, why);
        written.call(1);
        written.seal();
        written.call(2);
        written.verdict(3, "\"verdict\":\"refuse\",\"id\":120,\"reason\":\"unknown-source\",\"code\":403");
        node.end(written, "day");
    }
    let mut written = node.begin("2026-11-26", "day");
    written.call(4);
    let checkpoint = node.checkpoint(&written, false);
    written.call(5);
    node.write(&written, &checkpoint);
    node
}
