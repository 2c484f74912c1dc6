#!/usr/bin/env bash
# Checks that every feature of a library crate is listed in its README.md and in the documentation of
# its lib.rs, and that docs.rs documents the crate with all features.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=0
# report FILE TEXT: prints what a file lacks.
report() {
    printf '%s: %s\n' "$1" "$2" >&2
    missing=$((missing + 1))
}

for manifest in crates/*/Cargo.toml; do
    crate=${manifest%/Cargo.toml}
    features=$(awk '/^\[/ { inside = ($0 == "[features]") }
                    inside && /^[a-z_0-9-]+ *=/ { print $1 }' "$manifest" | grep -vx default || true)
    [[ -z $features ]] && continue
    grep -qx 'all-features = true' "$manifest" || report "$manifest" 'no all-features for docs.rs'
    for feature in $features; do
        for file in "$crate/README.md" "$crate/src/lib.rs"; do
            grep -qE "^(//! )?\|.*\`$feature\`.*\|" "$file" || report "$file" "feature $feature is not listed"
        done
    done
done
((missing == 0)) || exit 1
echo 'All features are documented.'
