#!/bin/bash
# Each run of hello finds what the runs before it left, where they left it.
set -euo pipefail
scratch=$(mktemp --directory "${TEST_TMPDIR:-/tmp}/hello_XXXXXX")
trap 'rm -rf "$scratch"' EXIT

first=$("$1" "$scratch/pool")
second=$("$1" "$scratch/pool")
third=$("$1" "$scratch/pool")
[[ $first == *'hello, run 1' ]]
[[ $second == "$first"$'\n'*'hello, run 2' ]]
[[ $third == "$second"$'\n'*'hello, run 3' ]]
