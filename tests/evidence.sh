#!/usr/bin/env bash
# The long runs, and what they show: `tests/evidence.sh` for all, which takes a night on 2 cores, `tests/evidence.sh oracle model` for
# some. A run is a recipe of the justfile; what it prints after `evidence: ` replaces the last result in docs/evidence.md, with the date.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- oracle model fuzz fuzz-check search matrix upgrade attack soak rotations mutants
page=docs/evidence.md logs=target/evidence
mkdir -p "$logs"
for run in "$@"; do
    if [ "$run" != matrix ] && ! grep -qF "\`just $run" "$page"; then
        echo "no row of $page repeats \`just $run\`" >&2
        exit 1
    fi
done

# Taken before the first result changes the page.
commit=$(git describe --always --dirty)
failed=()
for run in "$@"; do
    echo "just $run: its output is in $logs/$run.log" >&2
    if ! just "$run" >"$logs/$run.log" 2>&1; then
        failed+=("$run")
        continue
    fi
    seen="$(date -u +%Y-%m-%d), commit $commit"
    if [ "$run" = matrix ]; then
        table=$(sed -n '/^| Kubernetes /,$p' "$logs/$run.log") seen=$seen awk '
            /^<!-- matrix -->/ { print; print ""; print ENVIRON["seen"] ":"; print ""; print ENVIRON["table"]; print ""; skips = 1 }
            /^<!-- end of the matrix -->/ { skips = 0 }
            !skips' "$page" >"$logs/page"
    else
        # The lines of one run are one cell.
        shown=$(sed -n -e 's/.*evidence: //p' -e '/ mutants tested in /p' "$logs/$run.log" | paste -sd '~' | sed 's/~/; /g; s/|/\\|/g')
        run=$run seen=$seen shown=$shown awk '
            BEGIN { FS = OFS = "|" }
            index($3, "`just " ENVIRON["run"] "`") || index($3, "`just " ENVIRON["run"] " ") {
                $4 = " " ENVIRON["seen"] " "
                $5 = " " ENVIRON["shown"] " "
                NF = 6
            }
            { print }' "$page" >"$logs/page"
    fi
    mv "$logs/page" "$page"
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2 && exit 1; }
