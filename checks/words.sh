#!/usr/bin/env bash
# Finds the words of checks/words.txt in the text files of the project: archaic or private terms
# that make readers stop. A line that needs one, such as a quotation, has `words: allow` in a comment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

files=('*.rs' '*.md' '*.toml' '*.sh' '*.py' '.ci/*' justfile ':!*LICENSE*')

if ! git grep --untracked -qP 'plain words' -- checks/words.sh 2>/dev/null; then
    echo 'Skipped: needs a git checkout, and a git that knows Perl expressions.'
    exit 0
fi

lines=0
while IFS=$'\t' read -r pattern instead; do
    [[ -z $pattern || $pattern == \#* ]] && continue
    # git grep ends with 1 if it finds nothing, with more if the pattern is invalid.
    found=$(git grep --untracked -nIP -e "$pattern" -- "${files[@]}") || [[ $? -eq 1 ]]
    found=$(grep -vF 'words: allow' <<<"$found" || true)
    if [[ -n $found ]]; then
        printf '%s\n    -> %s\n' "$found" "$instead" >&2
        lines=$((lines + $(wc -l <<<"$found")))
    fi
done <checks/words.txt

if ((lines)); then
    printf '%d lines are not in plain words: reword them, or add `words: allow` in a comment.\n' "$lines" >&2
    exit 1
fi
echo 'All in plain words.'
