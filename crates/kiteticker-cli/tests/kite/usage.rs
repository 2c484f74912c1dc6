//! Behaviour shared by all commands: exit statuses, colours, closed pipes.

use crate::process::{kite, run};

#[test]
fn invalid_usage_is_status_two() {
    for line in [&["frobnicate"][..], &["record"], &["watch", "--sim", "--replay", "x"]] {
        let ended = run(&mut kite(line));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.starts_with("error: "), "{ended:?}");
    }
}

#[test]
fn the_version_is_printed() {
    let ended = run(&mut kite(&["--version"]));
    assert_eq!(
        (ended.code, ended.out),
        (Some(0), concat!("kite ", env!("CARGO_PKG_VERSION"), "\n").into())
    );
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(&mut kite(&["completions", shell]));
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("kite") && ended.out.contains("doctor"), "{shell}");
    }
}

#[test]
fn colours_are_used_only_on_request_or_on_a_terminal() {
    let colored = |command: &mut std::process::Command| run(command).out.contains('\u{1b}');
    assert!(!colored(&mut kite(&["--help"])));
    assert!(colored(&mut kite(&["--color", "always", "--help"])));
    assert!(!colored(
        kite(&["--color=always", "--color=never", "--help"]).env("CLICOLOR_FORCE", "1")
    ));
}

#[test]
fn a_closed_pipe_ends_the_command_silently() {
    for line in [&["completions", "zsh"][..], &["sim", "--list-faults"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = run(kite(line).stdout(writer));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{line:?}");
    }
}
