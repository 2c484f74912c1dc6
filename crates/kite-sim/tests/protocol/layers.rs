//! Checks which folder of the crate may import which.

use std::fs;
use std::path::Path;

/// A folder under `src`, and what else of this crate it may import.
const LAYERS: [(&str, &[&str]); 4] = [
    ("market", &["hash"]),
    ("fault", &["hash", "time"]),
    ("replay", &["flow", "time"]),
    ("client", &["market", "fault", "replay", "flow", "hash", "time", "stats", "certificate"]),
];

#[test]
fn no_folder_imports_from_a_layer_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, allowed) in LAYERS {
        let files = fs::read_dir(source.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|file| file.is_file() && !file.ends_with("replay/tests.rs"));
        let mut read = 0;
        for file in files.chain([source.join(folder).with_extension("rs")]) {
            let text = fs::read_to_string(&file).unwrap();
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for import in line.split("crate::").skip(1) {
                    let name = import.split(|c: char| c != '_' && !c.is_alphanumeric()).next();
                    let name = name.unwrap_or_default();
                    let is_allowed = name == folder || allowed.contains(&name);
                    assert!(is_allowed, "{} imports {name}: {line}", file.display());
                }
            }
            read += 1;
        }
        assert!(read > 4, "{folder} has few files");
    }
}
