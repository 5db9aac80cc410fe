#!/bin/bash
# The demo passes with each seed, on an index of a few stanzas; and what it says to try works.
#
#   demo_test.sh DEMO PKGGRAPH MORSELCTL
set -euo pipefail
demo=$1 pkggraph=$2 morselctl=$3
index=$(dirname "$0")/small_index.txt
scratch=$(mktemp --directory "${TEST_TMPDIR:-/tmp}/demo_XXXXXX")
trap 'rm -rf "$scratch"' EXIT
first_seed=${MORSEL_SEED:-1}

fail() {
  printf 'FAILED with seed %d: %s\n' "$seed" "$1" >&2
  cat "$scratch/said" >&2
  exit 1
}

for ((seed = first_seed; seed < first_seed + 5; ++seed)); do
  status=0
  TMPDIR=$scratch "$demo" "$pkggraph" --index "$index" --rounds 3 --seed "$seed" \
    --morselctl "$morselctl" > "$scratch/said" 2> "$scratch/complaints" ||
    status=$?
  # Not so much as a remark of the shell's.
  [[ ! -s $scratch/complaints ]] || fail "$(< "$scratch/complaints")"
  ((status == 0)) || fail "it ended with $status"
  grep -q '^In 3 rounds of 3 the graph was that of a commit' "$scratch/said" || fail 'rounds miss'

  mapfile -t lines < <(grep -F "  ${morselctl@Q} " "$scratch/said")
  ((${#lines[@]} == 3)) || fail "it names ${#lines[@]} lines to try"
  for line in "${lines[@]}"; do
    eval "$line" > "$scratch/tried" 2>&1 || fail "$line: $(< "$scratch/tried")"
    grep -q -e demo -e graph "$scratch/tried" || fail "$line says nothing of the morsel"
  done
  eval "$(grep -F '  rm -r ' "$scratch/said")" || fail 'what is to be removed is not there'
  [[ -z $(compgen -G "$scratch/morsel-demo.*") ]] || fail 'the pool is not removed'
done
