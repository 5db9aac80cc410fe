#!/bin/bash
# What a person sees of pkggraph: answers, sentences and exit codes.
#
#   commands_test.sh PKGGRAPH
set -uo pipefail
pkggraph=$1
index=$(dirname "$0")/small_index.txt
scratch=$(mktemp --directory "${TEST_TMPDIR:-/tmp}/commands_XXXXXX")
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect STATUS TEXT ARGUMENT...: the program, run with the arguments, ends with the status and says
# the text on one of its outputs.
expect() {
  local wanted_status=$1 wanted_text=$2 status=0 said
  shift 2
  said=$("$pkggraph" --pool "$scratch/pool" "$@" 2>&1 < /dev/null) || status=$?
  if ((status != wanted_status)) || [[ $said != *"$wanted_text"* ]]; then
    printf 'FAILED: pkggraph %s\n  wanted %d: %s\n  got %d: %s\n' "$*" "$wanted_status" \
      "$wanted_text" "$status" "$said" >&2
    failures=$((failures + 1))
  fi
}

expect 0 'Exit codes:' --help
expect 2 'subcommand is required'
expect 2 '' frobnicate
expect 2 'B is required' why editor
expect 2 '' top many
expect 2 'checkpoint-every' add 1 --checkpoint-every 0

expect 3 'pkggraph build' stat
expect 3 'pkggraph build' add 1
expect 4 'No such file' build --index "$scratch/none"
expect 4 'Is a directory' build --index "$scratch"
printf 'Package: a\nDepends b\n' > "$scratch/malformed"
expect 4 'line 2: expected "Field: value"' build --index "$scratch/malformed"
expect 3 'pkggraph build' stat # what failed has made nothing

expect 0 'durable 12 ' build --index "$index"
expect 3 'other' --morsel other stat
expect 3 'no package of the name nobody' rdeps nobody
expect 1 'c-library does not need editor' why c-library editor
way=$'editor\n  Depends                  mailer\n  Provided-By              postman (= 3)'
way+=$'\n  Depends                  stamps (<< 9)'
expect 0 "$way" why editor stamps
expect 0 $'game:i386\n  Depends                  dictionary\n' why game:i386 base-tool
expect 0 'speller, one of 2' rdeps speller
expect 0 '       4  c-library' top 1
expect 0 'Provides                 2' stat
expect 0 'virtual or unknown       4' stat

before=$("$pkggraph" --pool "$scratch/pool" checksum)
expect 4 'line 2' build --index "$scratch/malformed"
expect 0 "$before" checksum
expect 0 'durable' add 10 --checkpoint-every 3
expect 0 'packages                 18' stat
expect 0 'durable 40' add 30 --checkpoint-every 4 --threads 2
expect 0 'made up                  40' stat
expect 0 "durable $before" build --index "$index" # the graph is replaced, not added to
expect 0 "$before" checksum

XDG_DATA_HOME=$scratch/data "$pkggraph" build --index "$index" > /dev/null ||
  failures=$((failures + 1))
[[ -e $scratch/data/morsel-demo ]] || failures=$((failures + 1))

((failures == 0)) || { echo "$failures checks failed" >&2; exit 1; }
