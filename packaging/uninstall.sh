#!/bin/bash
# Removes what install has put below a prefix, and nothing else.
# usage: uninstall PREFIX     (DESTDIR and LIBDIR as they were for install)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/manifest.sh"

prefix=${1:?usage: uninstall PREFIX}
root=${DESTDIR:-}$prefix
manifest=$root/$(library_folder "$prefix")/morsel/manifest
if [[ ! -f $manifest ]]; then
  echo "morsel: nothing is known to be installed in $root: there is no $manifest" \
    "(were DESTDIR and LIBDIR other ones?)" >&2
  exit 1
fi

old=$(mktemp)
trap 'rm -f "$old"' EXIT
cp "$manifest" "$old"
rm "$manifest"
remove_listed "$root" "$old"
