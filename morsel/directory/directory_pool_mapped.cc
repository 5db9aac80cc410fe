// Opens an image without loading it: the file's pages are the memory.
#include <fcntl.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "image/image_copy.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/directory/image_backing.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/while_overtaken.h"
#include "os/file/file_lock.h"
#include "os/file/files_of_this_process.h"
#include "os/file/mapped_file.h"
#include "os/memory/bus_error.h"
#include "os/memory/mappings.h"
#include "os/memory/range_set.h"

namespace morsel {
namespace {

using image::ImageFile;

uint64_t MappedBytes(const std::vector<os::FileRun>& runs) {
  uint64_t bytes = 0;
  for (const os::FileRun& run : runs) bytes += run.size_bytes;
  return bytes;
}

// Returns the longest runs, in their order, so that they take at most a quarter of the mappings
// that the process has left. Each takes one, and what lies behind it another.
std::vector<os::FileRun> LongestOf(std::vector<os::FileRun> runs) {
  const size_t count_max = os::MappingsLeft() / 4 / 2;
  if (runs.size() <= count_max) return runs;
  std::vector<size_t> by_length(runs.size());
  std::iota(by_length.begin(), by_length.end(), 0);
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](size_t a, size_t b) { return runs[a].size_bytes > runs[b].size_bytes; });
  by_length.resize(count_max);
  std::sort(by_length.begin(), by_length.end());
  std::vector<os::FileRun> longest;
  longest.reserve(count_max);
  for (const size_t i : by_length) longest.push_back(runs[i]);
  return longest;
}

// The bytes of the file that are mapped. Each is a lock, which costs whoever looks for them, so
// that what lies between very many counts as mapped, too.
std::vector<os::ByteSpan> SpansOf(const std::vector<os::FileRun>& runs) {
  constexpr size_t kSpansMax = 1024;
  os::RangeSet mapped;
  for (const os::FileRun& run : runs) mapped.Add(run.file_offset, run.file_offset + run.size_bytes);
  const auto& ranges = mapped.ranges();
  if (ranges.size() > kSpansMax) return {{ranges.begin()->first, ranges.rbegin()->second}};
  std::vector<os::ByteSpan> spans;
  for (const auto& [begin, end] : ranges) spans.push_back({begin, end});
  return spans;
}

}  // namespace

Result<os::AddressRange> DirectoryPool::ReserveRangeOf(const CatalogRecord& record) const {
  return os::AddressRange::Reserve(record.base, RangeBytes(record.capacity_bytes),
                                   LabelOf(record.name));
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenLazily(const std::string& name,
                                                           const image::Progress& progress) {
  Result<std::unique_ptr<Backing>> mapped =
      WhileOvertaken(kLetItRest, [&]() -> Result<std::unique_ptr<Backing>> {
        std::unique_lock no_fork = os::NoForkMeanwhile();
        Result<os::File> file = OpenFile(name, O_RDONLY);
        if (!file) return file.status();
        file->CloseInChildren();
        no_fork.unlock();
        const Result<bool> is_direct = LooksLikeFineFile(*file);
        if (!is_direct) return is_direct.status();
        if (*is_direct || !os::IsMappedCoherently(*file)) return std::unique_ptr<Backing>();
        return OpenMapped(std::move(*file), name, progress);
      });
  if (!mapped || *mapped != nullptr) return mapped;
  return OpenToRead(name, nullptr, progress);
}

// ORDER  what is mapped, locked  <  what is not, read  <  the look for a writer  <  the look for a
//        newer state
// WHY    a writer that opens the file after the look finds the locks, and leaves what is mapped as
//        it is; the look finds one that opened it before. What one has written that came and went
//        in between is a newer state, or lies where this one says that pages lie elsewhere, and
//        those are read. What nobody had written until then is this state's as long as it is
//        mapped.                                                                         [HLD-1]
// CRASH  the kernel's locks go with the process, and its mappings.
// TEST   morsel/directory/lazy_open_test: AWriterThatComesMeanwhileIsSeenOrSees
Result<std::unique_ptr<Backing>> DirectoryPool::OpenMapped(os::File file, const std::string& name,
                                                           const image::Progress& progress) {
  Result<ImageFile> image = ImageFile::Open(std::move(file), /*read_only=*/true);
  if (!image) return image.status();
  const std::vector<os::FileRun> runs = LongestOf(image->RawRuns());
  if (runs.empty()) return std::unique_ptr<Backing>();
  const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
  if (!record) return record.status();
  MORSEL_TRY(ServesImageOf(*record));
  Result<os::AddressRange> range = ReserveRangeOf(*record);
  if (!range) return range.status();
  os::Frames frames = os::Frames::OpenPrivate();
  MORSEL_TRY(frames.Resize(*range, record->size_bytes));
  MORSEL_TRY(frames.CheckMemoryFor(image->LoadedBytes() - MappedBytes(runs)));
  MORSEL_TRY(os::PlaceProcessPage(*range, record->capacity_bytes));
  if (!os::LockMapped(image->file(), SpansOf(runs))) return std::unique_ptr<Backing>();
  {
    const KeepLastError keep;
    const Status mapped = frames.MapFile(*range, image->file().descriptor(), runs);
    if (!mapped.ok()) return std::unique_ptr<Backing>();
  }
  image->set_progress(progress);
  const Status loaded = image->LoadBeside(runs, range->at(0));
  if (!loaded.ok() && loaded.code() != Code::kCorrupt) return loaded;
  if (os::MayBeWritten(image->file())) return std::unique_ptr<Backing>();
  MORSEL_TRY(loaded.ok() ? CheckNotOvertaken(*image) : OrOverwritten(*image, loaded));
  MORSEL_TRY(frames.Protect());
  for (const os::FileRun& run : runs) {
    os::WatchForBusErrors(os::Watches::kMorsel, range->at(run.offset), run.size_bytes,
                          run.file_offset, LabelOf(name), image->file().path());
  }
  return std::unique_ptr<Backing>(new ImageBacking(*record, /*read_only=*/true, std::move(*range),
                                                   std::move(frames), directory_, std::move(*image),
                                                   nullptr));
}

}  // namespace morsel
