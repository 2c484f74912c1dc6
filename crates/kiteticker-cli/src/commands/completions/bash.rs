//! Completes in bash what clap's script does not: tapes as arguments, faults, and `--option=value`.

use clap::{Arg, Command};

/// Extends clap's script, whose function `_kite` completes all else.
///
/// Bash separates words at `=`, so that `--fault 5s=reset` is four of them.
const FUNCTION: &str = r#"
_kite_tapes() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$1"; compgen -f -X '!*.ktape' -- "$1"))
}

_kite_directories() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$1"))
}

_kite_extended() {
    local cur="$2" prev="$3" command="" option="" has_value="" word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in
            -*) option="$word"; has_value="" ;;
            =) has_value="$has_value=" ;;
            *) if [[ -z $command && " @COMMANDS@ " == *" $word "* ]]; then command="$word"; fi ;;
        esac
    done
    if [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]]; then
        cur="" has_value="$has_value="
    elif [[ $prev == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    if [[ $option == "--fault" && -n $has_value && $prev != "--fault" ]]; then
        COMPREPLY=($(compgen -W "@FAULTS@" -- "${cur##*,}"))
        return 0
    fi
    case "$command $prev" in
        @TAPE_OPTIONS@) _kite_tapes "$cur"; return 0 ;;
        @VALUE_OPTIONS@) ;;
        @TAPE_COMMANDS@) if [[ $cur != -* ]]; then _kite_tapes "$cur"; return 0; fi ;;
        @DIRECTORY_COMMANDS@) if [[ $cur != -* ]]; then _kite_directories "$cur"; return 0; fi ;;
    esac
    _kite "$1" "$cur" "$prev"
}

"#;

/// Adds the function, and makes it the one that completes.
pub(super) fn extended(script: String, kite: &Command) -> String {
    let commands: Vec<&Command> = kite.get_subcommands().collect();
    let takes = |arg: &Arg, what: &str| arg.get_value_names().is_some_and(|names| names[0] == what);
    let is_tape = |arg: &Arg| takes(arg, "TAPE");
    let options = |chosen: &dyn Fn(&Arg) -> bool| {
        let of_one = |command: &&Command| -> Vec<String> {
            let name = command.get_name();
            let chosen = command.get_opts().filter(|arg| chosen(arg));
            chosen
                .flat_map(|arg| arg.get_long())
                .map(|long| format!("\"{name} --{long}\""))
                .collect()
        };
        commands.iter().flat_map(of_one).collect::<Vec<_>>().join("|")
    };
    let with_arguments = |what: &str| {
        let chosen = commands.iter().filter(|it| it.get_positionals().any(|arg| takes(arg, what)));
        chosen.map(|it| format!("\"{} \"*", it.get_name())).collect::<Vec<_>>().join("|")
    };
    let names: Vec<&str> = commands.iter().map(|command| command.get_name()).collect();
    let function = FUNCTION
        .replace("@COMMANDS@", &names.join(" "))
        .replace("@FAULTS@", &super::faults().join(" "))
        .replace("@TAPE_OPTIONS@", &options(&is_tape))
        .replace("@VALUE_OPTIONS@", &options(&|_| true))
        .replace("@TAPE_COMMANDS@", &with_arguments("TAPE"))
        .replace("@DIRECTORY_COMMANDS@", &with_arguments("DIR"));
    let registration = "if [[ \"${BASH_VERSINFO[0]}\" -eq 4";
    let (clap, end) = script.split_at(script.rfind(registration).unwrap_or(script.len()));
    format!(
        "{clap}{}{}",
        function.trim_start(),
        end.replace("complete -F _kite ", "complete -F _kite_extended ")
    )
}
