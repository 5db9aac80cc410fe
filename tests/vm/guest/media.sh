# What the machine's media are, and how they are set up. Names of devices change from
# boot to boot and from kernel to kernel, so they are looked up by what they are.

nd=/sys/bus/nd/devices

# region_of nmem0: the region on that module; region_of 4G: that which begins there in memory
region_of() {
  for region in $nd/region*; do
    case $1 in
      *G) [ "$(($(cat "$region/resource") >> 30))G" = "$1" ] || continue ;;
      *) grep -q "^$1," "$region/mapping0" 2>/dev/null || continue ;;
    esac
    basename "$region"
    return 0
  done
  echo "no region of $1" >&2
  return 1
}

# namespace_of NAME: a namespace that was created with that name
namespace_of() {
  for namespace in $nd/namespace*; do
    [ "$(cat "$namespace/alt_name" 2>/dev/null)" = "$1" ] && basename "$namespace" && return 0
  done
  echo "no namespace '$1'" >&2
  return 1
}

# device_of NAMESPACE: its device: /dev/pmem0.1 or /dev/dax0.1
device_of() {
  for claim in $nd/pfn* $nd/dax* $nd/namespace*; do
    case $claim in
      */"$1") ;;
      *) [ "$(cat "$claim/namespace" 2>/dev/null)" = "$1" ] || continue ;;
    esac
    for device in "$claim"/block/* "$claim"/dax[0-9]*; do
      device=/dev/${device##*/}
      [ -e "$device" ] && echo "$device" && return 0
    done
  done
  echo "no device of $1" >&2
  return 1
}

label_modules() {
  for module in nmem0 nmem1; do
    region=$(region_of $module) || return
    ndctl disable-region "$region" >/dev/null 2>&1
    ndctl init-labels -f $module >/dev/null 2>&1 || return
    ndctl enable-region "$region" >/dev/null 2>&1 || return
  done
}

# create_namespace MODULE NAME SIZE ALIGN MODE
create_namespace() {
  ndctl create-namespace -r "$(region_of "$1")" -n "$2" -s "$3" --align "$4" -m "$5" \
    --map=mem >/dev/null
}

# namespace_at 4G: the one of a region without labels
namespace_at() {
  region=$(region_of "$1") && echo "namespace${region#region}.0"
}

# change_namespace_at PLACE ALIGN MODE
change_namespace_at() {
  ndctl create-namespace -f -e "$(namespace_at "$1")" --align "$2" -m "$3" --map=mem >/dev/null
}

make_ext4_dax() {  # DEVICE LABEL
  mkfs.ext4 -q -F -L "$2" -b 4096 -O bigalloc -C 2M "$1"
}

make_xfs_dax() {  # DEVICE LABEL
  mkfs.xfs -q -f -L "$2" -d su=2m,sw=1 "$1"
}

# mount_at PLACE TYPE OPTIONS DEVICE
mount_at() {
  mkdir -p "$1"
  mount -t "$2" -o "$3" "$4" "$1"
}

# sector_of FILE N: where on its device a file has its N-th sector
sector_of() {
  xfs_io -r -c 'fiemap -v' "$1" | awk -v n="$2" '
    NR > 2 && $3 != "hole" {
      gsub(/\[/, "", $2); split($2, in_file, /[.][.]/); split($3, on_device, /[.][.]/)
      if (in_file[1] <= n && n <= in_file[2] + 0) { print on_device[1] + n - in_file[1]; found = 1 }
    }
    END { exit !found }'
}

logs() {
  for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor") $(cat "$device/device")" = "0x1af4 0x1110" ] || continue
    echo "$device/resource2"
    return 0
  done
  return 1
}

virtio_pmem_device() {
  for region in $nd/region*; do
    case $(readlink -f "$region") in
      */virtio*) device_of "namespace${region##*region}.0" && return 0 ;;
    esac
  done
  return 1
}
