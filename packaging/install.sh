#!/bin/bash
# Installs what has been built.
# usage: install PREFIX [FOLDER...]     (DESTDIR and LIBDIR, e.g. lib64, are honoured)
# What is built lies in the FOLDERs, by its path in the tree; without any, where Bazel puts it.
set -euo pipefail

prefix=${1:?usage: install PREFIX}
folders=("${@:2}")
if ((${#folders[@]} == 0)); then
  built=$0.runfiles/morsel
  [[ -d $built ]] || built=${RUNFILES_DIR:?no runfiles beside $0}/morsel
  folders=("$built")
fi

# find_built PATH: where it is, if it was built.
find_built() {
  local folder
  for folder in "${folders[@]}"; do
    if [[ -e $folder/$1 ]]; then
      echo "$folder/$1"
      return
    fi
  done
  return 1
}

built() {
  if ! find_built "$1"; then
    echo "install: there is no $1 in ${folders[*]}" >&2
    return 1
  fi
}

source "$(built packaging/manifest.sh)"
libdir=$(library_folder "$prefix")
version=$(< "$(built VERSION)")
soname=$(objdump -p "$(built packaging/libmorsel.so)" | awk '$1 == "SONAME" { print $2 }')
root=${DESTDIR:-}$prefix
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT
manifest=$libdir/morsel/manifest
before=$scratch/before
if [[ -e $root/$manifest ]]; then cp "$root/$manifest" "$before"; else touch "$before"; fi

# folder PATH: makes it below the prefix. Those that were there before are not ours.
folder() {
  [[ $1 == . ]] || folder "$(dirname "$1")"
  local line=$'folder\t-\t'$1
  if [[ ! -d $root/$1 ]] || grep -qxF "$line" "$before"; then
    mkdir -p "$root/$1"
    grep -qxF "$line" "$scratch/manifest" 2> /dev/null || echo "$line" >> "$scratch/manifest"
  fi
}

# note PATH: that it is installed.
note() {
  printf '%s\t%s\n' "$(installed_value "$root/$1")" "$1" >> "$scratch/manifest"
}

# put MODE FILE PATH
put() {
  folder "$(dirname "$3")"
  install -m "$1" "$2" "$root/$3"
  note "$3"
}

# link TARGET PATH
link() {
  ln -sfn "$1" "$root/$2"
  note "$2"
}

put 755 "$(built cli/morselctl)" bin/morselctl
put 644 "$(built packaging/libmorsel.a)" "$libdir/libmorsel.a"
put 644 "$(built packaging/libmorsel.so)" "$libdir/libmorsel.so.$version"
link "libmorsel.so.$version" "$libdir/$soname"
link "$soname" "$libdir/libmorsel.so"

# headers LIST: a public header includes others by their path in the source tree. Installed, all are
# below include/morsel, whose own folder is in the path already.
headers() {
  local header
  while IFS= read -r header; do
    put 644 "$(built "$header")" "include/morsel/${header#morsel/}"
  done < "$(built "packaging/$1")"
}
headers public_headers

{
  read -r sim_copts
  read -r sim_linkopts
} < "$(built packaging/sim_flags)"

# substitute TEMPLATE FOLDER: into a folder of the libdir, with the way back up
# to the prefix, so that the whole may be moved.
substitute() {
  local name up
  name=$(basename "$1" .in)
  up=$(realpath --canonicalize-missing --no-symlinks --relative-to="/$libdir/$2" /)
  sed -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" -e "s|@SONAME@|$soname|g" \
    -e "s|@SIM_COPTS@|$sim_copts|g" -e "s|@SIM_LINKOPTS@|$sim_linkopts|g" \
    -e "s|@UP@|$up|g" "$(built "packaging/$1")" > "$scratch/$name"
  put 644 "$scratch/$name" "$libdir/$2/$name"
}
substitute morsel.pc.in pkgconfig
substitute morsel-static.pc.in pkgconfig
substitute morsel-config.cmake.in cmake/morsel
substitute morsel-config-version.cmake.in cmake/morsel

# A build by CMake may be without the simulator.
if sim=$(find_built packaging/libmorsel_sim.a); then
  put 644 "$sim" "$libdir/libmorsel_sim.a"
  headers sim_headers
  substitute morsel-sim.pc.in pkgconfig
fi

folder "$libdir/morsel"
install -m 644 "$scratch/manifest" "$root/$manifest"
# What an older version had, and this one has not.
remove_listed "$root" "$before" "$scratch/manifest"
