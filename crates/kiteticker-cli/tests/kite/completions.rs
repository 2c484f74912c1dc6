//! `kite completions` as bash completes, `kite man` and `kite help`.

use std::path::Path;
use std::process::Command;

use crate::process::{kite, run};

/// Completes a line as bash does: its words, of which the last is the one to complete. `=` is a word.
const COMPLETE: &str = r#"
cd "$2" && source "$1" && shift 2 || exit 1
compopt() { if [[ $* == *plusdirs* ]]; then plusdirs=1; fi; }
[[ $(complete -p kite) == *" -F _kite_extended kite" ]] || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
if [[ $cur == "=" ]]; then cur=""; fi
_kite_extended kite "$cur" "$prev"
if [[ -n $plusdirs ]]; then IFS=$'\n' COMPREPLY+=($(compgen -d -- "$cur")); fi
for word in "${COMPREPLY[@]}"; do echo "$word"; done | sort
"#;

fn complete(script: &Path, directory: &Path, line: &str) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", COMPLETE, "bash"]).arg(script).arg(directory);
    // A line that ends with a space completes an empty word.
    bash.args(line.split(' ')).env("LC_ALL", "C").stdout(std::process::Stdio::piped());
    let ended = run(&mut bash);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{line}: {ended:?}");
    ended.out.lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_values_tapes_and_directories() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = directory.path().join("files");
    std::fs::create_dir_all(files.join("tapes")).expect("a directory");
    for name in ["a.ktape", "of a day.ktape", "list.csv", "mine.txt"] {
        std::fs::write(files.join(name), "").expect("a file");
    }
    let script = directory.path().join("kite.bash");
    let printed = run(&mut kite(&["completions", "bash"]));
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    std::fs::write(&script, printed.out).expect("a file");
    let tapes = &["a.ktape", "of a day.ktape", "tapes"][..];
    let all = &["a.ktape", "list.csv", "mine.txt", "of a day.ktape", "tapes"][..];
    for (line, expected) in [
        ("kite re", &["record", "repair", "replay"][..]),
        ("kite help re", &["record", "repair", "replay"]),
        ("kite watch --mode ", &["full", "ltp", "quote"]),
        ("kite record --mode = f", &["full"]),
        ("kite record --mode =", &["full", "ltp", "quote"]),
        ("kite instruments --exchange N", &["NCO", "NFO", "NSE", "NSEIX"]),
        ("kite instruments --type ", &["CE", "EQ", "FUT", "PE"]),
        ("kite export a.ktape --format ", &["csv", "jsonl", "parquet"]),
        ("kite completions b", &["bash"]),
        ("kite --color a", &["always", "auto"]),
        ("kite sim --fault 5s = half", &["half_open"]),
        ("kite sim --fault = handshake1 = refu", &["refusal"]),
        ("kite sim --fault 5s = reset,10s = half", &["half_open"]),
        ("kite inspect ", tapes),
        ("kite inspect a.ktape of", &["of a day.ktape"]),
        ("kite inspect --j", &["--json"]),
        ("kite --color never replay ", tapes),
        ("kite merge ", tapes),
        ("kite chart ", tapes),
        ("kite watch --replay ", tapes),
        ("kite record --replay = ", tapes),
        ("kite record --to ", &["tapes"]),
        ("kite man ", &["tapes"]),
        ("kite export --instruments-file ", all),
        ("kite watch --list mi", &["mine.txt"]),
        ("kite watch --seed ", &[]),
    ] {
        let mut found = complete(&script, &files, line);
        found.retain(|word| !word.is_empty());
        assert_eq!(found, expected, "{line}");
    }
    let faults = complete(&script, &files, "kite sim --fault 5s =");
    assert!(faults.len() > 10 && faults.contains(&"reset".to_owned()), "{faults:?}");
}

#[test]
fn help_prints_the_help_of_each_command() {
    for command in [
        "demo",
        "watch",
        "record",
        "replay",
        "inspect",
        "export",
        "candles",
        "chart",
        "cut",
        "merge",
        "repair",
        "instruments",
        "sim",
        "doctor",
        "completions",
        "man",
    ] {
        let (help, option) =
            (run(&mut kite(&["help", command])), run(&mut kite(&[command, "--help"])));
        assert_eq!((help.code, help.out), (Some(0), option.out), "{command}");
    }
    assert_eq!(run(&mut kite(&["help"])).out, run(&mut kite(&["--help"])).out);
    let unknown = run(&mut kite(&["help", "recrd"]));
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

#[test]
fn man_prints_one_page_or_writes_one_of_each_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("share/man1");
    let ended = run(&mut kite(&["man", to.to_str().expect("UTF-8")]));
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");
    let page = |name: &str| std::fs::read_to_string(to.join(name)).expect("a page");
    assert_eq!(run(&mut kite(&["man"])).out, page("kite.1"));
    for part in [".TH kite-record 1", "\\-\\-rotate\\-size", ".SH EXAMPLES", ".SH EXIT STATUS"] {
        assert!(page("kite-record.1").contains(part), "{part}");
    }
    let pages = std::fs::read_dir(&to).expect("the directory").count();
    assert_eq!(page("kite.1").matches("(1)").count() + 1, pages, "the page names all others");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let ended = run(&mut kite(&["man", file.to_str().expect("UTF-8")]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    // Where there is a formatter, it finds nothing wrong.
    for entry in std::fs::read_dir(&to).expect("the directory").flatten() {
        let mut man = Command::new("man");
        man.args(["--warnings=w", "-P", "cat", "-l"]).arg(entry.path()).env("LC_ALL", "C.UTF-8");
        let Ok(shown) = man.output() else { continue };
        let err = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success() && err.is_empty(), "{}: {err}", entry.path().display());
        assert!(String::from_utf8_lossy(&shown.stdout).contains("SYNOPSIS"));
    }
}
