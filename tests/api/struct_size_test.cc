// Structures of callers that are older or newer than the library: never a byte beyond theirs.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr unsigned char kSentinel = 0x5a;
constexpr size_t kRoomBytes = 8192;

// A place for a structure of any size, with bytes behind it that nobody may change.
class Room {
 public:
  explicit Room(uint32_t struct_size) {
    std::memset(bytes_, kSentinel, sizeof bytes_);
    std::memcpy(bytes_, &struct_size, sizeof struct_size);
  }
  void* at() { return bytes_; }
  uint32_t struct_size() const {
    uint32_t size;
    std::memcpy(&size, bytes_, sizeof size);
    return size;
  }
  /// Whether all bytes of [begin, end) are `value`.
  bool Are(size_t begin, size_t end, unsigned char value) const {
    for (size_t i = begin; i < end; ++i) {
      if (bytes_[i] != value) return false;
    }
    return true;
  }

 private:
  alignas(16) unsigned char bytes_[kRoomBytes];
};

class StructSizeTest : public testing::Test {
 protected:
  void SetUp() override {
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    auto pool = morsel::Pool::open(path_, {.flags = MORSEL_CREATE});
    ASSERT_TRUE(pool) << morsel_last_error();
    pool_ = std::make_unique<morsel::Pool>(std::move(*pool));
    auto made = morsel::Morsel::open(*pool_, "a", {.flags = MORSEL_CREATE, .size_bytes = 2 * kMiB});
    ASSERT_TRUE(made && made->close().ok()) << morsel_last_error();
    ASSERT_TRUE(pool_->export_to("a", scratch_.At("image")).ok());
  }

  // Each function that fills a structure; `known` is what this library has of it, and `first` was
  // the size of the first version.
  struct Filler {
    const char* name;
    uint32_t first;
    uint32_t known;
    std::function<morsel_code(void*)> fill;
  };
  std::vector<Filler> Fillers() {
    morsel_pool_t* const pool = pool_->handle();
    return {
        {"morsel_find", 288, sizeof(morsel_info),
         [=](void* at) { return morsel_find(pool, "a", static_cast<morsel_info*>(at)); }},
        {"morsel_stat_image", 288, sizeof(morsel_info),
         [this](void* at) {
           return morsel_stat_image(scratch_.At("image").c_str(), static_cast<morsel_info*>(at));
         }},
        {"morsel_stat", 288, sizeof(morsel_info),
         [this](void* at) {
           auto open = morsel::Morsel::open(*pool_, "a");
           return morsel_stat(open->handle(), static_cast<morsel_info*>(at));
         }},
        {"morsel_pool_stat", 1672, sizeof(morsel_pool_info),
         [=](void* at) { return morsel_pool_stat(pool, static_cast<morsel_pool_info*>(at)); }},
        {"morsel_check", 40, sizeof(morsel_check_info),
         [=](void* at) {
           return morsel_check(pool, nullptr, nullptr, nullptr,
                               static_cast<morsel_check_info*>(at));
         }},
    };
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::string path_ = scratch_.At("pool");
  std::unique_ptr<morsel::Pool> pool_;
};

TEST_F(StructSizeTest, InfoIsFilledAsFarAsBothKnowIt) {
  for (const Filler& filler : Fillers()) {
    for (const uint32_t size :
         {filler.first, filler.known, filler.known + 4, filler.known + 300, uint32_t{4096}}) {
      SCOPED_TRACE(filler.name + std::string(" into ") + std::to_string(size) + " bytes");
      Room room(size);
      ASSERT_EQ(filler.fill(room.at()), MORSEL_OK) << morsel_last_error();
      const uint32_t filled = std::min(size, filler.known);
      EXPECT_EQ(room.struct_size(), filled);
      EXPECT_FALSE(room.Are(4, filled, kSentinel));
      EXPECT_TRUE(room.Are(filled, size, 0)) << "what this library does not know is 0";
      EXPECT_TRUE(room.Are(size, kRoomBytes, kSentinel)) << "written beyond the caller's structure";
    }
  }
}

TEST_F(StructSizeTest, SizeZeroIsTheFirstVersion) {
  for (const Filler& filler : Fillers()) {
    SCOPED_TRACE(filler.name);
    Room room(0);
    ASSERT_EQ(filler.fill(room.at()), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(room.struct_size(), filler.first);
    EXPECT_TRUE(room.Are(filler.first, kRoomBytes, kSentinel));
  }
  EXPECT_EQ(offsetof(morsel_info, user), 288u) << "the second version of it begins here";
}

TEST_F(StructSizeTest, InfoOfNoVersionIsRefusedAndLeftAlone) {
  for (const Filler& filler : Fillers()) {
    for (const uint32_t size : {uint32_t{1}, filler.first - 1, uint32_t{4097}, 0xffffffffu}) {
      SCOPED_TRACE(filler.name + std::string(" into ") + std::to_string(size) + " bytes");
      Room room(size);
      EXPECT_EQ(filler.fill(room.at()), MORSEL_INVALID_ARGUMENT);
      EXPECT_NE(std::string(morsel_last_error()).find("struct_size"), std::string::npos);
      EXPECT_TRUE(room.Are(4, kRoomBytes, kSentinel));
    }
  }
}

// Options with a member that this library does not know.
template <class Options>
struct Newer {
  Options options{};
  uint64_t newer = 0;
};

TEST_F(StructSizeTest, OptionsThatAreNewerMayNotSayWhatIsNotKnown) {
  Newer<morsel_options> open;
  Newer<morsel_pool_options> pool_open;
  Newer<morsel_export_options> exporting;
  open.options.struct_size = sizeof open;
  pool_open.options.struct_size = sizeof pool_open;
  exporting.options.struct_size = sizeof exporting;
  const auto all = [&](const char* file) {
    morsel_pool_t* pool = nullptr;
    morsel_t* morsel = nullptr;
    std::vector<morsel_code> codes;
    codes.push_back(morsel_open(pool_->handle(), "a", &open.options, &morsel));
    if (morsel != nullptr && morsel_discard(morsel) != MORSEL_OK) ADD_FAILURE();
    pool_open.options.flags = MORSEL_CREATE;
    codes.push_back(morsel_pool_open(scratch_.At(file).c_str(), &pool_open.options, &pool));
    if (pool != nullptr && morsel_pool_close(pool) != MORSEL_OK) ADD_FAILURE();
    codes.push_back(morsel_export_with(pool_->handle(), "a", (scratch_.At(file) + ".image").c_str(),
                                       &exporting.options));
    return codes;
  };
  EXPECT_EQ(all("zero"), (std::vector<morsel_code>(3, MORSEL_OK))) << morsel_last_error();
  open.newer = pool_open.newer = exporting.newer = 1;
  EXPECT_EQ(all("one"), (std::vector<morsel_code>(3, MORSEL_INVALID_ARGUMENT)));
  EXPECT_NE(std::string(morsel_last_error()).find("newer"), std::string::npos)
      << morsel_last_error();
}

TEST_F(StructSizeTest, OptionsOfNoVersionAreRefused) {
  for (const uint32_t size : {3u, 23u, 4097u, 0xffffffffu}) {
    morsel_options open{};
    open.struct_size = size;
    morsel_t* morsel = nullptr;
    EXPECT_EQ(morsel_open(pool_->handle(), "a", &open, &morsel), MORSEL_INVALID_ARGUMENT) << size;
    morsel_export_options exporting{};
    exporting.struct_size = size;
    EXPECT_EQ(morsel_export_with(pool_->handle(), "a", scratch_.At("x").c_str(), &exporting),
              MORSEL_INVALID_ARGUMENT)
        << size;
  }
}

}  // namespace
