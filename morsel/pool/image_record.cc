#include "morsel/pool/image_record.h"

#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/while_overtaken.h"
#include "os/file/umask.h"

namespace morsel {

using image::ImageInfo;

os::FileRights RightsOf(const CatalogRecord& record) {
  return {record.mode, record.group, record.acl};
}

os::FileRights RightsOfCopy(const CatalogRecord& record) {
  return {os::WithoutUmask(record.mode & kPermissionBits), record.group, record.acl};
}

Result<CatalogRecord> RecordOf(const std::string& name, const os::File& file,
                               const ImageInfo& info) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return FailErrno("'%s': fstat", file.path().c_str());
  CatalogRecord record;
  static_cast<ImageInfo&>(record) = info;
  record.name = name;
  record.mode = status.st_mode & 07777;
  record.user = status.st_uid;
  record.group = status.st_gid;
  record.acl = os::AclOf(file);
  return record;
}

Result<CatalogRecord> RecordOfImageAt(os::SystemCalls& calls, const std::string& path) {
  const Result<os::File> file = OpenImageFileAt(calls, path);
  if (!file) return file.status();
  const auto info = WhileOvertaken(kLetItRest, [&] { return image::ImageFile::Peek(*file); });
  if (!info) return info.status();
  return RecordOf("", *file, *info);
}

Status IsAnImage(const std::string& label) {
  return Fail(Code::kUnsupported,
              "%s is a snapshot morsel, of whose memory nothing is skipped: `morselctl salvage` of "
              "its file finds what is intact of its image",
              label.c_str());
}

Status CheckRoomFor(impl::Pool& pool, const CatalogRecord& record, bool replaces) {
  if (const Status served = pool.Supports(record.contract, record.giant); !served.ok()) {
    return Fail(served.code(),
                "morsel '%s' is under the %s contract: %s; choose another pool to import it into",
                record.name.c_str(), record.contract == Contract::kFine ? "fine" : "snapshot",
                LastError());
  }
  const Result<std::vector<CatalogRecord>> others = pool.List();
  if (!others) return others.status();
  const uint64_t end = record.base + RangeBytes(record.capacity_bytes);
  for (const CatalogRecord& other : *others) {
    if (other.name == record.name) {
      if (replaces) continue;
      return Fail(Code::kExists,
                  "pool '%s' has a morsel '%s' already; choose another name for what is imported "
                  "(morselctl import --as), or replace that one (--replace)",
                  pool.path().c_str(), record.name.c_str());
    }
    const uint64_t other_end = other.base + RangeBytes(other.capacity_bytes);
    if (end <= other.base || other_end <= record.base) continue;
    return Fail(
        Code::kAddressTaken,
        "morsel '%s' cannot come into pool '%s': its address range 0x%" PRIx64 "-0x%" PRIx64
        " meets that of morsel '%s' there, 0x%" PRIx64 "-0x%" PRIx64
        "%s; give it another address (morselctl import --rebase), remove that one, or choose "
        "another pool",
        record.name.c_str(), pool.path().c_str(), record.base, end, other.name.c_str(), other.base,
        other_end, other.id == record.id ? ", which is the same morsel" : "");
  }
  return Code::kOk;
}

Status CheckPlaceFor(const impl::Pool& pool, const Window& window, uint64_t unit_bytes,
                     const CatalogRecord& record) {
  if (record.size_bytes == 0) {
    return Fail(Code::kCorrupt,
                "the image of morsel '%s' is of one without any memory; restore it from a copy",
                record.name.c_str());
  }
  if (!IsAligned(record.base, unit_bytes) || !IsAligned(record.capacity_bytes, unit_bytes) ||
      !IsAligned(record.size_bytes, unit_bytes) || record.size_bytes > record.capacity_bytes) {
    return Fail(Code::kUnsupported,
                "morsel '%s' has base 0x%" PRIx64
                ", capacity %s and size %s; in pool '%s' each would have to be a multiple of %s: "
                "choose another pool",
                record.name.c_str(), record.base, FormatSizeExactly(record.capacity_bytes).c_str(),
                FormatSizeExactly(record.size_bytes).c_str(), pool.path().c_str(),
                FormatSizeExactly(unit_bytes).c_str());
  }
  if (record.base >= window.begin &&
      Within(record.base, RangeBytes(record.capacity_bytes), std::min(window.end, kMappableEnd))) {
    return Code::kOk;
  }
  return Fail(
      Code::kUnsupported,
      "morsel '%s' has the address range 0x%" PRIx64 "-0x%" PRIx64
      ", outside of the window 0x%" PRIx64 "-0x%" PRIx64
      " of pool '%s'; choose a pool whose window has that range (MORSEL_WINDOW where it is made)",
      record.name.c_str(), record.base, record.base + RangeBytes(record.capacity_bytes),
      window.begin, window.end, pool.path().c_str());
}

}  // namespace morsel
