// Whatever reads an image without a lock begins again when its writer has overtaken it, and gives
// up after a hundred times.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "image/format/superblock.h"
#include "image/image_file.h"
#include "morsel/open/open_pool.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/image_record.h"
#include "os/testing/frames_testing.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

using image::ImageFile;

constexpr char kMorsel[] = "m";

// One way to read the morsel. Returns what it answers.
struct Reading {
  const char* what;
  std::function<Status()> read;
};

class OvertakenTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto pool = Open(path_, os::KernelCalls(), MORSEL_CREATE);
    Open(target_, os::KernelCalls(), MORSEL_CREATE);
    morsel_options options{};
    options.flags = MORSEL_CREATE;
    options.size_bytes = 2 * kSubtreeBytes;
    const Result<OpenMorsel*> m = pool->OpenMorselNamed(kMorsel, &options);
    ASSERT_TRUE(m) << LastError();
    ASSERT_TRUE(pool->Close(*m, false).ok()) << LastError();
    OpenWriter();
    reader_ = Open(path_, calls_, MORSEL_READ_ONLY);
    copier_ = Open(path_, calls_, 0);
    importer_ = Open(target_, calls_, 0);
  }

  static std::unique_ptr<OpenPool> Open(const std::string& path, os::SystemCalls& calls,
                                        uint32_t flags) {
    morsel_pool_options options{};
    options.flags = flags;
    auto pool = OpenPool::Open(path.c_str(), &options, calls);
    EXPECT_TRUE(pool) << LastError();
    return std::move(*pool);
  }

  // The writer has the memory elsewhere, so that readers may be in this process.
  void OpenWriter() {
    Result<os::File> file =
        os::File::Open(writing_, AT_FDCWD, path_ + "/" + kMorsel, O_RDWR, 0, kMorsel);
    ASSERT_TRUE(file) << LastError();
    Result<ImageFile> image = ImageFile::Open(std::move(*file), false);
    ASSERT_TRUE(image) << LastError();
    writer_.emplace(std::move(*image));
    memory_.assign(2 * kSubtreeBytes, '\0');
    ASSERT_TRUE(writer_->Load(memory_.data()).ok()) << LastError();
    Overtake();
  }
  // Changes a page of the second subtree, where the heap has nothing: there is a log then.
  void Checkpoint() {
    ++value_;
    const uint64_t at = kSubtreeBytes + value_ % 8 * kPageBytes;
    std::memcpy(&memory_[at], &value_, sizeof value_);
    os::PageSet dirty;
    dirty.Add(at, kPageBytes);
    ASSERT_TRUE(writer_->Store(memory_.data(), memory_.size(), 0, &dirty).ok()) << LastError();
  }
  // There is another tree, and another log in front of it, where the last ones were or elsewhere.
  void Overtake() {
    for (int times = 0; times < 3; ++times) {
      ASSERT_TRUE(writer_->Settle(memory_.data()).ok()) << LastError();
      Checkpoint();
    }
  }

  Status OpenAndClose(uint32_t flags) {
    morsel_options options{};
    options.flags = MORSEL_READ_ONLY | flags;
    std::string found;
    options.damaged_context = &found;
    if (flags == MORSEL_SALVAGE) {
      options.damaged = [](const char* message, void* context) {
        *static_cast<std::string*>(context) = message;
      };
    }
    const Result<OpenMorsel*> m = reader_->OpenMorselNamed(kMorsel, &options);
    EXPECT_EQ(found, "");
    return m ? reader_->Close(*m, false) : m.status();
  }
  Status CopyAndRemove() {
    MORSEL_TRY(copier_->CopyMorsel(kMorsel, "copy", {}).status());
    return copier_->Remove("copy");
  }
  Status ImportAndRemove(const OpenPool::Importing& importing) {
    MORSEL_TRY(importer_->Import((path_ + "/" + kMorsel).c_str(), "in", importing).status());
    return importer_->Remove("in");
  }
  Status ExportAndRemove(std::optional<image::Codec> codec) {
    ExportRequest request;
    request.codec = codec;
    MORSEL_TRY(reader_->Export(kMorsel, exported_.c_str(), request));
    return remove(exported_.c_str()) == 0 ? Code::kOk : Code::kIo;
  }
  Status Salvage(const std::string& to) {
    const auto report = [](const char* message) { ADD_FAILURE() << message; };
    MORSEL_TRY(SalvageImage(calls_, path_ + "/" + kMorsel, to, report).status());
    return to.empty() || remove(to.c_str()) == 0 ? Code::kOk : Code::kIo;
  }
  Status ListUnreadable() {
    const auto visit = [](const char* name, morsel_code, const char* message, void*) {
      ADD_FAILURE() << name << ": " << message;
      return 0;
    };
    return reader_->ListUnreadable(visit, nullptr);
  }
  Status Check() {
    const auto report = [](const Finding& found) { ADD_FAILURE() << found.message; };
    return reader_->pool().Check(report);
  }
  Status ListAll() {
    int count = 0;
    const auto visit = [](const morsel_info*, void* counted) {
      ++*static_cast<int*>(counted);
      return 0;
    };
    MORSEL_TRY(reader_->List(visit, &count));
    EXPECT_EQ(count, 1);
    return Code::kOk;
  }

  // Each way in which the library reads an image for somebody who does not write it.
  std::vector<Reading> Readings() {
    const std::string file = path_ + "/" + kMorsel;
    const auto report = [](const char* message) { ADD_FAILURE() << message; };
    return {
        {"open", [this] { return OpenAndClose(0); }},
        {"open to salvage", [this] { return OpenAndClose(MORSEL_SALVAGE); }},
        {"find", [this] { return reader_->Find(kMorsel).status(); }},
        {"list", [this] { return ListAll(); }},
        {"list what is unreadable", [this] { return ListUnreadable(); }},
        {"facts", [this] { return reader_->Facts().status(); }},
        {"check", [this] { return Check(); }},
        {"export", [this] { return ExportAndRemove({}); }},
        {"export, coded", [this] { return ExportAndRemove(image::Codec::kLz4); }},
        {"copy", [this] { return CopyAndRemove(); }},
        {"try to rebase", [this] { return reader_->Rebase(kMorsel, {.is_dry = true}).status(); }},
        {"import", [this] { return ImportAndRemove({}); }},
        {"import elsewhere",
         [this] { return ImportAndRemove({.rebasing = {.capacity_bytes = 16 * kSubtreeBytes}}); }},
        {"stat an image", [=, this] { return RecordOfImageAt(calls_, file).status(); }},
        {"verify", [=, this] { return VerifyImage(calls_, file, report); }},
        {"salvage", [this] { return Salvage(""); }},
        {"salvage to", [this] { return Salvage(exported_); }}};
  }

  const os::Setting io_{"MORSEL_IO", "plain"};  // each call is a scripted one
  const os::Setting log_{"MORSEL_LOG", "always"};
  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("pool");
  std::string target_ = scratch_.At("target");
  std::string exported_ = scratch_.At("exported");
  os::ScriptedCalls writing_;
  os::ScriptedCalls calls_;
  std::optional<ImageFile> writer_;
  std::string memory_;
  uint64_t value_ = 0;
  std::unique_ptr<OpenPool> reader_;
  std::unique_ptr<OpenPool> copier_;
  std::unique_ptr<OpenPool> importer_;
};

TEST_F(OvertakenTest, WhoeverIsOvertakenOnceReadsANewerCheckpoint) {
  for (const Reading& reading : Readings()) {
    for (int overtaken_at = 0, reads = 1; overtaken_at < reads; ++overtaken_at) {
      SCOPED_TRACE(reading.what + std::string(", read ") + std::to_string(overtaken_at));
      reads = 0;
      calls_.AfterEach([&](const os::Call& made) {
        if (made.kind == os::Call::kRead && reads++ == overtaken_at) Overtake();
      });
      ASSERT_TRUE(reading.read().ok()) << LastError();
    }
    calls_.AfterEach(nullptr);
  }
}

// The log is there to be read, and another is written meanwhile, each time.
TEST_F(OvertakenTest, WhoeverIsOvertakenAlwaysGivesUp) {
  const std::pair<const char*, const char*> told[] = {
      {"find", "try again when that makes fewer checkpoints, or close the morsel there"},
      {"verify", "let that process export it itself"}};
  const std::vector<Reading> readings = Readings();
  for (const auto& [what, advice] : told) {
    SCOPED_TRACE(what);
    const auto reading =
        std::find_if(readings.begin(), readings.end(),
                     [what = what](const Reading& one) { return one.what == std::string(what); });
    int times = 0;
    calls_.AfterEach([&](const os::Call& made) {
      if (made.kind != os::Call::kOpen || (made.flags & O_DIRECT) == 0) return;
      ++times;
      Overtake();
    });
    EXPECT_EQ(reading->read().code(), Code::kBusy);
    calls_.AfterEach(nullptr);
    EXPECT_EQ(times, 100);
    const std::string message = LastError();
    EXPECT_NE(message.find("while it was read, each of 100 times: "), std::string::npos) << message;
    EXPECT_NE(message.find(advice), std::string::npos) << message;
    EXPECT_TRUE(reading->read().ok()) << LastError();
  }
}

// Any subtree may be one that the damaged record has changed.
TEST_F(OvertakenTest, OfADamagedLogNothingIsSureToBeIntact) {
  Checkpoint();
  const std::string file = path_ + "/" + kMorsel;
  const int damaging = open(file.c_str(), O_WRONLY | O_CLOEXEC);
  const auto record = static_cast<off_t>(writer_->superblock().log_offset);
  ASSERT_EQ(pwrite(damaging, "x", 1, record + 60), 1);
  close(damaging);
  std::vector<std::string> said;
  const Result<uint64_t> intact =
      SalvageImage(calls_, file, "", [&](const char* message) { said.emplace_back(message); });
  ASSERT_TRUE(intact) << LastError();
  EXPECT_EQ(*intact, 0U);
  EXPECT_GE(said.size(), 2U);
}

}  // namespace
}  // namespace morsel
