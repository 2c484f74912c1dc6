//! A client's message: parsing never panics, and a parsed command prints as an equal one.

use kite_wire::{Command, CommandKind, ParsedCommand};

/// Checks one input; bytes that are not UTF-8 are ignored.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(parsed) = ParsedCommand::parse(text) else { return };
    let kind = parsed.kind;
    let tokens: Vec<u32> = parsed.tokens.collect();
    let command = match kind {
        CommandKind::Subscribe => Command::Subscribe(&tokens),
        CommandKind::Unsubscribe => Command::Unsubscribe(&tokens),
        CommandKind::Mode(mode) => Command::Mode(mode, &tokens),
    };

    let printed = command.to_string();
    let again = ParsedCommand::parse(&printed).expect("a printed command is a command");
    assert_eq!(again.kind, kind);
    assert!(again.tokens.eq(tokens.iter().copied()), "no token is lost or gained: {printed}");

    let mut in_chunks = Vec::with_capacity(tokens.len());
    for chunk in command.chunks(7) {
        let printed = chunk.to_string();
        let chunk = ParsedCommand::parse(&printed).expect("a printed chunk is a command");
        assert_eq!(chunk.kind, kind);
        in_chunks.extend(chunk.tokens);
    }
    assert_eq!(in_chunks, tokens, "chunks hold the tokens in order");
}
