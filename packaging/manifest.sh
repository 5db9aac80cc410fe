# What an installation has put below a prefix, one line each, between tabs: `file`, its SHA-256 and
# its path; `link`, what it points to and its path; `folder`, nothing and the path of a folder that
# was not there before. Paths are from the prefix. install.sh writes it, uninstall.sh goes by it.

# library_folder PREFIX: from the prefix, as LIBDIR says it, or as the compiler does.
library_folder() {
  local libdir=${LIBDIR:-lib/$(gcc -print-multiarch)}
  echo "${libdir#"$1"/}"
}

# remove_listed ROOT OLD [NEW]: removes what OLD lists and NEW does not. What somebody has changed
# or put there since is not ours: it stays, and is named.
remove_listed() {
  local root=$1 new=${3:-/dev/null} kind value path now folders=() place
  declare -A kept=()
  while IFS=$'\t' read -r kind value path; do kept[$path]=$kind; done < "$new"
  while IFS=$'\t' read -r kind value path; do
    if [[ -n ${kept[$path]-} ]]; then continue; fi
    place=$root/$path
    if [[ $path == . ]]; then place=$root; fi
    if [[ /$path/ == */../* ]]; then
      echo "morsel: the manifest $2 names $path, which is outside: it stays" >&2
      continue
    fi
    case $kind in
      folder) folders=("$place" "${folders[@]}") ;;
      file | link)
        if [[ ! -e $place && ! -L $place ]]; then continue; fi
        now=$(installed_value "$place")
        if [[ $now == "$kind"$'\t'"$value" ]]; then
          rm -f "$place"
        else
          echo "morsel: $place is not what was installed: it stays" >&2
        fi
        ;;
    esac
  done < "$2"
  for place in "${folders[@]}"; do
    rmdir "$place" 2> /dev/null || true # others have something in it
  done
}

# installed_value PATH: the first two fields of its line.
installed_value() {
  local sum
  if [[ -L $1 ]]; then
    printf 'link\t%s\n' "$(readlink "$1")"
  elif [[ -f $1 ]]; then
    sum=$(sha256sum < "$1")
    printf 'file\t%s\n' "${sum%% *}"
  fi
}
