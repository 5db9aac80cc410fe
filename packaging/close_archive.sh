#!/bin/sh
# One archive of what a library consists of, of which others see only some symbols.
# usage: close_archive LD OBJCOPY AR ARCHIVE PATTERN... -- PART...
set -eu
ld=$1 objcopy=$2 ar=$3 archive=$4
shift 4
object=$archive.o
keep=
while [ "$1" != -- ]; do
  keep="$keep --keep-global-symbol=$1"
  shift
done
shift

# Without groups, the linker cannot take an inline function of the program for ours.
"$ld" -r --force-group-allocation --whole-archive "$@" -o "$object"
set -f # the patterns are objcopy's
# Symbols that are unique in a program (STB_GNU_UNIQUE) become local only if they are weak.
"$objcopy" --wildcard --weaken-symbol='_Z*' "$object"
"$objcopy" --wildcard $keep "$object"
rm -f "$archive"
"$ar" rcsD "$archive" "$object"
rm "$object"
