#!/bin/bash
# Installs what Bazel has built and put beside this script.
# usage: install PREFIX     (DESTDIR and LIBDIR, e.g. lib64, are honoured)
set -euo pipefail

prefix=${1:?usage: install PREFIX}
libdir=${LIBDIR:-lib/$(gcc -print-multiarch)}
libdir=${libdir#"$prefix"/}

built=$0.runfiles/morsel
[[ -d $built ]] || built=${RUNFILES_DIR:?no runfiles beside $0}/morsel

version=$(< "$built/VERSION")
soname=$(objdump -p "$built/packaging/libmorsel.so" | awk '$1 == "SONAME" { print $2 }')
root=${DESTDIR:-}$prefix
lib=$root/$libdir

install -D -m 755 "$built/cli/morselctl" "$root/bin/morselctl"
install -D -m 644 "$built/packaging/libmorsel.a" "$lib/libmorsel.a"
install -D -m 644 "$built/packaging/libmorsel_sim.a" "$lib/libmorsel_sim.a"
install -D -m 644 "$built/packaging/libmorsel.so" "$lib/libmorsel.so.$version"
ln -sf "libmorsel.so.$version" "$lib/$soname"
ln -sf "$soname" "$lib/libmorsel.so"

# A public header includes others by their path in the source tree. Installed,
# all are below include/morsel, whose own folder is in the path already.
while IFS= read -r header; do
  install -D -m 644 "$built/$header" "$root/include/morsel/${header#morsel/}"
done < <(cat "$built/packaging/public_headers" "$built/packaging/sim_headers")

{
  read -r sim_copts
  read -r sim_linkopts
} < "$built/packaging/sim_flags"

# substitute TEMPLATE FOLDER: into a folder of the libdir, with the way back up
# to the prefix, so that the whole may be moved.
substitute() {
  local name up
  name=$(basename "$1" .in)
  up=$(realpath --canonicalize-missing --no-symlinks --relative-to="/$libdir/$2" /)
  mkdir -p "$lib/$2"
  sed -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" -e "s|@SONAME@|$soname|g" \
    -e "s|@SIM_COPTS@|$sim_copts|g" -e "s|@SIM_LINKOPTS@|$sim_linkopts|g" \
    -e "s|@UP@|$up|g" "$built/packaging/$1" > "$lib/$2/$name"
}
substitute morsel.pc.in pkgconfig
substitute morsel-static.pc.in pkgconfig
substitute morsel-sim.pc.in pkgconfig
substitute morsel-config.cmake.in cmake/morsel
substitute morsel-config-version.cmake.in cmake/morsel
