// Codes that calls are documented to answer, beside those of codes_test.cc and failures_test.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "morsel/tools.h"
#include "os/testing/variable_testing.h"
#include "tests/trouble/documented_codes.h"
#include "tests/trouble/failing_calls.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;

struct Pair {
  const char* call;
  morsel_code code;
  std::function<morsel_code()> provoke;
};

// "a" is open, "b" and "c" are not. "bad" has a byte of its memory changed, "old" is of a version
// to come; `image_` is one of "c", which its pool need not have.
class PairsTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a", "b", "c"});
    Make(carved_, MORSEL_CARVED, {"f", "g"});
    pool_ = OpenPool(directory_);
    second_ = OpenPool(scratch_.At("second"), MORSEL_CREATE);
    carved_pool_ = OpenPool(carved_);
    a_ = Open(pool_, "a");
    ASSERT_EQ(morsel_export(pool_, "c", image_.c_str()), MORSEL_OK) << morsel_last_error();
    for (const std::string& copy : {bad_, old_, torn_}) fs::copy_file(image_, copy);
    FlipBit(bad_, (4 << 20) - 100);  // in a page that nobody has changed since
    for (const uint64_t superblock : {0, 1 << 20}) {
      Overwrite(old_, superblock + 16, "c");
      FlipBit(torn_, superblock + 100);
    }
    for (const auto& [path, name] : {std::pair(bad_, "bad"), {old_, "old"}}) {
      fs::copy_file(path, directory_ + "/" + name);
    }
  }
  void TearDown() override {
    if (a_ != nullptr) {
      EXPECT_EQ(morsel_discard(a_), MORSEL_OK);
    }
    for (morsel_pool_t* const pool : {pool_, second_, carved_pool_}) {
      if (pool != nullptr) {
        EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
      }
    }
    TroubleTest::TearDown();
  }
  static void Expect(const std::vector<Pair>& pairs) {
    for (const Pair& pair : pairs) {
      const morsel_code code = pair.provoke();
      EXPECT_EQ(code, pair.code) << pair.call << ": " << morsel_last_error();
      NoteReached(pair.call, code);
    }
  }
  // The message of a call in a child cannot be noted there.
  static void ExpectInChild(const std::vector<Pair>& pairs) {
    InChild([&] { Expect(pairs); });
    for (const Pair& pair : pairs) NoteReached(pair.call, pair.code);
  }
  void* BaseOf(morsel_pool_t* pool, const char* name) {
    info_ = {};
    info_.struct_size = sizeof info_;
    EXPECT_EQ(morsel_find(pool, name, &info_), MORSEL_OK) << morsel_last_error();
    return info_.base;
  }
  morsel_code RebaseTo(const char* name, void* base, uint64_t capacity_bytes = 0) {
    morsel_rebase_options options = {};
    options.struct_size = sizeof options;
    options.base = base;
    options.capacity_bytes = capacity_bytes;
    return morsel_rebase(pool_, name, &options, nullptr);
  }
  morsel_code CopyTo(const char* name, const char* to, void* base, uint64_t capacity_bytes = 0) {
    morsel_rebase_options options = {};
    options.struct_size = sizeof options;
    options.base = base;
    options.capacity_bytes = capacity_bytes;
    return morsel_copy(pool_, name, to, &options, nullptr);
  }
  static morsel_code ImportAs(morsel_pool_t* pool, const std::string& path, const char* name,
                              void* base = nullptr, uint64_t capacity_bytes = 0) {
    morsel_rebase_options rebase = {};
    rebase.struct_size = sizeof rebase;
    rebase.base = base;
    rebase.capacity_bytes = capacity_bytes;
    morsel_import_options options = {};
    options.struct_size = sizeof options;
    options.name = name;
    options.rebase = &rebase;
    return morsel_import_with(pool, path.c_str(), &options, nullptr);
  }
  static morsel_code ExportWith(morsel_pool_t* pool, const char* name, const std::string& path) {
    morsel_export_options options = {};
    options.struct_size = sizeof options;
    return morsel_export_with(pool, name, path.c_str(), &options);
  }

  const std::string image_ = scratch_.At("image");
  const std::string bad_ = scratch_.At("bad image");
  const std::string old_ = scratch_.At("old image");
  const std::string torn_ = scratch_.At("torn image");
  const std::string new_ = scratch_.At("new");
  const std::string none_ = scratch_.At("none");
  morsel_pool_t* pool_ = nullptr;
  morsel_pool_t* second_ = nullptr;
  morsel_pool_t* carved_pool_ = nullptr;
  morsel_t* a_ = nullptr;
  morsel_info info_ = {};
  uint64_t number_ = 0;
};

const auto kPassRoot = [](const morsel_root_info*, void*) { return 0; };
const auto kPassBlock = [](void*, size_t, void*) { return 0; };
const auto kPassPointer = [](const morsel_pointer*, void*) { return 0; };

TEST_F(PairsTest, OfImages) {
  const auto verify = [](const std::string& path) {
    return morsel_verify(path.c_str(), nullptr, nullptr);
  };
  const auto salvage = [](const std::string& path, const std::string& to) {
    return morsel_salvage(path.c_str(), to.c_str(), nullptr, nullptr);
  };
  const auto counted = [this](const std::string& path, const std::string& to) {
    return morsel_salvage_counted(path.c_str(), to.c_str(), nullptr, nullptr, &number_);
  };
  const auto stat = [this](const std::string& path) {
    info_.struct_size = sizeof info_;
    return morsel_stat_image(path.c_str(), &info_);
  };
  const auto export_to = [this](const char* name, const std::string& path) {
    return morsel_export(pool_, name, path.c_str());
  };
  const auto coded = [this](const char* name, const std::string& path) {
    return morsel_export_coded(pool_, name, path.c_str(), MORSEL_CODEC_LZ4);
  };
  const auto import = [this](const std::string& path, const char* name) {
    return morsel_import(pool_, path.c_str(), name);
  };
  Expect({
      {"morsel_verify", MORSEL_NOT_FOUND, [&] { return verify(none_); }},
      {"morsel_salvage", MORSEL_NOT_FOUND, [&] { return salvage(none_, new_); }},
      {"morsel_salvage", MORSEL_EXISTS, [&] { return salvage(bad_, image_); }},
      {"morsel_salvage", MORSEL_CORRUPT, [&] { return salvage(torn_, new_); }},
      {"morsel_salvage", MORSEL_VERSION, [&] { return salvage(old_, new_); }},
      {"morsel_salvage_counted", MORSEL_EXISTS, [&] { return counted(bad_, image_); }},
      {"morsel_salvage_counted", MORSEL_CORRUPT, [&] { return counted(torn_, new_); }},
      {"morsel_salvage_counted", MORSEL_VERSION, [&] { return counted(old_, new_); }},
      {"morsel_stat_image", MORSEL_NOT_FOUND, [&] { return stat(none_); }},
      {"morsel_stat_image", MORSEL_CORRUPT, [&] { return stat(torn_); }},
      {"morsel_stat_image", MORSEL_VERSION, [&] { return stat(old_); }},
      {"morsel_export", MORSEL_NOT_FOUND, [&] { return export_to("none", new_); }},
      {"morsel_export", MORSEL_CORRUPT, [&] { return export_to("bad", new_); }},
      {"morsel_export_coded", MORSEL_EXISTS, [&] { return coded("c", image_); }},
      {"morsel_export_coded", MORSEL_CORRUPT, [&] { return coded("bad", new_); }},
      {"morsel_export_with", MORSEL_NOT_FOUND, [&] { return ExportWith(pool_, "none", new_); }},
      {"morsel_export_with", MORSEL_EXISTS, [&] { return ExportWith(pool_, "c", image_); }},
      {"morsel_export_with", MORSEL_CORRUPT, [&] { return ExportWith(pool_, "bad", new_); }},
      {"morsel_import", MORSEL_NOT_FOUND, [&] { return import(none_, "i"); }},
      {"morsel_import", MORSEL_EXISTS, [&] { return import(image_, "b"); }},
      {"morsel_import", MORSEL_ADDRESS_TAKEN, [&] { return import(image_, "i"); }},
      {"morsel_import", MORSEL_CORRUPT, [&] { return import(torn_, "i"); }},
      {"morsel_import", MORSEL_VERSION, [&] { return import(old_, "i"); }},
      {"morsel_import_with", MORSEL_NOT_FOUND, [&] { return ImportAs(pool_, none_, "i"); }},
      {"morsel_import_with", MORSEL_EXISTS, [&] { return ImportAs(pool_, image_, "b"); }},
      {"morsel_import_with", MORSEL_ADDRESS_TAKEN, [&] { return ImportAs(pool_, image_, "i"); }},
      {"morsel_import_with", MORSEL_CORRUPT, [&] { return ImportAs(pool_, torn_, "i"); }},
      {"morsel_import_with", MORSEL_VERSION, [&] { return ImportAs(pool_, old_, "i"); }},
  });
}

// Something is at the address of a fine morsel in this process.
TEST_F(PairsTest, OfTakenAddresses) {
  void* const base = BaseOf(carved_pool_, "f");
  void* const taken =
      mmap(base, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(taken, base);
  void* const others = BaseOf(pool_, "b");
  Expect({
      {"morsel_export", MORSEL_ADDRESS_TAKEN,
       [&] { return morsel_export(carved_pool_, "f", new_.c_str()); }},
      {"morsel_export_coded", MORSEL_ADDRESS_TAKEN,
       [&] { return morsel_export_coded(carved_pool_, "f", new_.c_str(), MORSEL_CODEC_LZ4); }},
      {"morsel_export_with", MORSEL_ADDRESS_TAKEN,
       [&] { return ExportWith(carved_pool_, "f", new_); }},
      {"morsel_count_huge", MORSEL_ADDRESS_TAKEN,
       [&] { return morsel_count_huge(carved_pool_, "f", &number_); }},
      {"morsel_rebase", MORSEL_ADDRESS_TAKEN, [&] { return RebaseTo("c", others); }},
      {"morsel_copy", MORSEL_ADDRESS_TAKEN, [&] { return CopyTo("c", "d", others); }},
  });
  munmap(taken, 4096);
}

TEST_F(PairsTest, OfMoves) {
  Expect({
      {"morsel_rebase", MORSEL_BUSY, [&] { return RebaseTo("a", nullptr); }},
      {"morsel_rebase", MORSEL_CORRUPT, [&] { return RebaseTo("bad", nullptr); }},
      {"morsel_rebase", MORSEL_INVALID_ARGUMENT, [&] { return RebaseTo("c", this); }},
      {"morsel_copy", MORSEL_EXISTS, [&] { return CopyTo("c", "b", nullptr); }},
      {"morsel_copy", MORSEL_CORRUPT, [&] { return CopyTo("bad", "d", nullptr); }},
      {"morsel_copy", MORSEL_INVALID_ARGUMENT, [&] { return CopyTo("c", "d", this); }},
  });
  // A window that has room for what is there only.
  morsel_pool_t* small = nullptr;
  {
    const os::Variable window("MORSEL_WINDOW", "160000000000-160080000000");
    small = OpenPool(scratch_.At("small"), MORSEL_CREATE);
  }
  EXPECT_EQ(morsel_close(Open(small, "m", MORSEL_CREATE)), MORSEL_OK);
  morsel_options large = {};
  large.flags = MORSEL_CREATE;
  large.capacity_bytes = uint64_t{4} << 30;
  morsel_t* morsel = nullptr;
  morsel_rebase_options more = {};
  more.struct_size = sizeof more;
  more.capacity_bytes = large.capacity_bytes;
  Expect({
      {"morsel_open", MORSEL_ADDRESS_EXHAUSTED,
       [&] { return morsel_open(small, "large", &large, &morsel); }},
      {"morsel_rebase", MORSEL_ADDRESS_EXHAUSTED,
       [&] { return morsel_rebase(small, "m", &more, nullptr); }},
      {"morsel_copy", MORSEL_ADDRESS_EXHAUSTED,
       [&] { return morsel_copy(small, "m", "d", &more, nullptr); }},
      {"morsel_import_with", MORSEL_ADDRESS_EXHAUSTED,
       [&] { return ImportAs(small, image_, "i", nullptr, large.capacity_bytes); }},
  });
  EXPECT_EQ(morsel_pool_close(small), MORSEL_OK);
}

TEST_F(PairsTest, OfReadersAndOfFull) {
  morsel_t* const reader = Open(pool_, "b", MORSEL_READ_ONLY);
  morsel_pool_t* const carved = OpenPool(carved_ + "2", MORSEL_CREATE | MORSEL_CARVED);
  EXPECT_EQ(morsel_close(Open(carved, "f", MORSEL_CREATE | kFine)), MORSEL_OK);
  morsel_t* const fine_reader = Open(carved, "f", MORSEL_READ_ONLY);
  void* const text = morsel_root(a_, "text");
  const auto set = [](morsel_t* m, const char* name, void* object, uint32_t flags = 0) {
    return morsel_set_root_typed(m, name, object, nullptr, flags);
  };
  Expect({
      {"morsel_set_root", MORSEL_PERMISSION, [&] { return morsel_set_root(reader, "r", nullptr); }},
      {"morsel_set_root", MORSEL_NOT_FOUND, [&] { return morsel_set_root(a_, "none", nullptr); }},
      {"morsel_set_root_typed", MORSEL_PERMISSION, [&] { return set(reader, "r", nullptr); }},
      {"morsel_set_root_typed", MORSEL_NOT_FOUND, [&] { return set(a_, "none", nullptr); }},
      {"morsel_set_root_typed", MORSEL_EXISTS,
       [&] { return set(a_, "text", text, MORSEL_EXCLUSIVE); }},
      {"morsel_resize", MORSEL_INVALID_ARGUMENT, [&] { return morsel_resize(a_, 0); }},
      {"morsel_flush", MORSEL_PERMISSION,
       [&] { return morsel_flush(fine_reader, morsel_base(fine_reader), 1); }},
      {"morsel_persist", MORSEL_PERMISSION,
       [&] { return morsel_persist(fine_reader, morsel_base(fine_reader), 1); }},
      {"morsel_fence", MORSEL_PERMISSION, [&] { return morsel_fence(fine_reader); }},
      {"morsel_persist", MORSEL_UNSUPPORTED, [&] { return morsel_persist(a_, text, 1); }},
      {"morsel_fence", MORSEL_UNSUPPORTED, [&] { return morsel_fence(a_); }},
      {"morsel_rename", MORSEL_NOT_FOUND, [&] { return morsel_rename(pool_, "none", "x"); }},
  });
  EXPECT_EQ(morsel_close(fine_reader), MORSEL_OK);
  morsel_t* const fine = Open(carved, "f");
  EXPECT_EQ(morsel_resize(a_, 8 << 20), MORSEL_OK);
  while (morsel_malloc(a_, 60 << 10) != nullptr) continue;
  while (morsel_malloc(a_, 16) != nullptr) continue;
  const std::string long_name(255, 'n');
  Expect({
      {"morsel_flush", MORSEL_INVALID_ARGUMENT, [&] { return morsel_flush(fine, &number_, 1); }},
      {"morsel_resize", MORSEL_BUSY, [&] { return morsel_resize(a_, 2 << 20); }},
      {"morsel_set_root", MORSEL_NO_SPACE,
       [&] { return morsel_set_root(a_, long_name.c_str(), text); }},
      {"morsel_set_root_typed", MORSEL_NO_SPACE, [&] { return set(a_, long_name.c_str(), text); }},
  });
  EXPECT_EQ(morsel_close(fine), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(carved), MORSEL_OK);
  EXPECT_EQ(morsel_close(reader), MORSEL_OK);
}

TEST_F(PairsTest, OfForkedChildren) {
  ExpectInChild({
      {"morsel_discard", MORSEL_BUSY, [&] { return morsel_discard(a_); }},
      {"morsel_stat", MORSEL_BUSY, [&] { return morsel_stat(a_, &info_); }},
      {"morsel_for_each_root", MORSEL_BUSY,
       [&] { return morsel_for_each_root(a_, kPassRoot, nullptr); }},
      {"morsel_for_each_block", MORSEL_BUSY,
       [&] { return morsel_for_each_block(a_, kPassBlock, nullptr); }},
      {"morsel_check_pointers", MORSEL_BUSY,
       [&] { return morsel_check_pointers(a_, kPassPointer, nullptr); }},
      {"morsel_find_unreached", MORSEL_BUSY,
       [&] { return morsel_find_unreached(a_, nullptr, nullptr, nullptr); }},
  });
}

TEST_F(PairsTest, OfTheListOfMappings) {
  const auto failing = [&](int error) {
    const FailingCalls no_stream(Fails::kStream, error);
    return morsel_check_pointers(a_, kPassPointer, nullptr);
  };
  Expect({
      {"morsel_check_pointers", MORSEL_IO, [&] { return failing(EIO); }},
      {"morsel_check_pointers", MORSEL_NOT_FOUND, [&] { return failing(ENOENT); }},
      {"morsel_check_pointers", MORSEL_PERMISSION, [&] { return failing(EACCES); }},
      {"morsel_check_pointers", MORSEL_NO_MEMORY, [&] { return failing(EMFILE); }},
  });
}

// The words of the roots, in the memory of the program, which may write what it likes there.
TEST_F(PairsTest, OfRootsThatAreDamaged) {
  void* const text = morsel_root(a_, "text");
  std::memset(static_cast<char*>(morsel_base(a_)) + 2048, 0x7f, 2048);
  Expect({
      {"morsel_for_each_root", MORSEL_CORRUPT,
       [&] { return morsel_for_each_root(a_, kPassRoot, nullptr); }},
      {"morsel_set_root", MORSEL_CORRUPT, [&] { return morsel_set_root(a_, "r", text); }},
      {"morsel_set_root_typed", MORSEL_CORRUPT,
       [&] { return morsel_set_root_typed(a_, "r", text, nullptr, 0); }},
      {"morsel_for_each_block", MORSEL_CORRUPT,
       [&] { return morsel_for_each_block(a_, kPassBlock, nullptr); }},
      {"morsel_check_pointers", MORSEL_CORRUPT,
       [&] { return morsel_check_pointers(a_, kPassPointer, nullptr); }},
      {"morsel_find_unreached", MORSEL_CORRUPT,
       [&] { return morsel_find_unreached(a_, nullptr, nullptr, nullptr); }},
  });
}

TEST_F(PairsTest, OfPools) {
  morsel_check_info checked = {};
  checked.struct_size = sizeof checked;
  Expect({
      {"morsel_pool_open", MORSEL_EXISTS,
       [&] { return TryPool(directory_, MORSEL_CREATE | MORSEL_EXCLUSIVE); }},
      {"morsel_check", MORSEL_NOT_FOUND,
       [&] { return morsel_check(second_, "none", nullptr, nullptr, &checked); }},
      {"morsel_format", MORSEL_NOT_FOUND, [&] { return morsel_format(none_.c_str(), 0); }},
      {"morsel_count_huge", MORSEL_NOT_FOUND,
       [&] { return morsel_count_huge(carved_pool_, "none", &number_); }},
      {"morsel_count_huge", MORSEL_INVALID_ARGUMENT,
       [&] { return morsel_count_huge(carved_pool_, "f", nullptr); }},
  });
  // A snapshot morsel, and what is no morsel.
  ASSERT_EQ(morsel_import(second_, image_.c_str(), "i"), MORSEL_OK) << morsel_last_error();
  WriteFile(directory_ + "/foreign", "nothing that a pool has made");
  Expect({
      {"morsel_count_huge", MORSEL_UNSUPPORTED,
       [&] { return morsel_count_huge(second_, "i", &number_); }},
      {"morsel_remove", MORSEL_CORRUPT, [&] { return morsel_remove(pool_, "foreign"); }},
      {"morsel_rename", MORSEL_CORRUPT, [&] { return morsel_rename(pool_, "foreign", "x"); }},
  });
  for (const auto& [offset, code] : {std::pair(40, MORSEL_CORRUPT), {16, MORSEL_VERSION}}) {
    const std::string path = scratch_.At("pool of " + std::to_string(offset));
    EXPECT_EQ(morsel_pool_close(OpenPool(path, MORSEL_CREATE)), MORSEL_OK);
    Overwrite(path + "/.morsel-pool", static_cast<uint64_t>(offset), "c");
    Expect({{"morsel_pool_open", code, [&] { return TryPool(path); }}});
  }
}

// The tables of a carved pool are cut off while it is open for reading.
TEST_F(PairsTest, OfPoolsThatAreDamagedMeanwhile) {
  const std::string path = scratch_.At("damaged");
  Make(path, MORSEL_CARVED, {"f"});
  morsel_pool_t* const reader = OpenPool(path, MORSEL_READ_ONLY);
  fs::resize_file(path, 4096);
  morsel_check_info checked = {};
  checked.struct_size = sizeof checked;
  morsel_pool_info facts = {};
  facts.struct_size = sizeof facts;
  Expect({{"morsel_check", MORSEL_CORRUPT,
           [&] { return morsel_check(reader, nullptr, nullptr, nullptr, &checked); }},
          {"morsel_pool_stat", MORSEL_CORRUPT, [&] { return morsel_pool_stat(reader, &facts); }},
          {"morsel_count_huge", MORSEL_CORRUPT,
           [&] { return morsel_count_huge(reader, "f", &number_); }}});
  EXPECT_EQ(morsel_pool_close(reader), MORSEL_OK);
}

// A process was killed, and what its heap has on the medium is damaged. Its blocks are counted
// then.
TEST_F(PairsTest, OfHeapsThatAreDamaged) {
  EXPECT_EQ(morsel_pool_close(carved_pool_), MORSEL_OK);
  InChild([&] {
    morsel_t* const killed = Open(OpenPool(carved_), "g");
    EXPECT_NE(morsel_malloc(killed, 100), nullptr);
    _exit(0);
  });
  carved_pool_ = OpenPool(carved_);
  morsel_t* const g = Open(carved_pool_, "g");
  auto* const base = static_cast<char*>(morsel_base(g));
  uint64_t map_offset = 0;
  std::memcpy(&map_offset, base + 72, sizeof map_offset);
  std::memset(base + map_offset + 16, 0x7f, 128);
  Expect({{"morsel_stat", MORSEL_CORRUPT, [&] { return morsel_stat(g, &info_); }}});
  EXPECT_EQ(morsel_discard(g), MORSEL_OK) << morsel_last_error();
}

// A carved pool's file is removed while it is open.
TEST_F(PairsTest, OfRemovedFiles) {
  morsel_t* const fine = Open(carved_pool_, "g");
  fs::remove(carved_);
  Expect({{"morsel_checkpoint", MORSEL_NOT_FOUND, [&] { return morsel_checkpoint(fine); }},
          {"morsel_close", MORSEL_NOT_FOUND, [&] { return morsel_close(fine); }}});
  (void)morsel_discard(fine);
  Expect(
      {{"morsel_pool_close", MORSEL_NOT_FOUND, [&] { return morsel_pool_close(carved_pool_); }}});
  carved_pool_ = nullptr;
}

TEST_F(PairsTest, OfTheRegistry) {
  morsel_address_info info = {};
  info.struct_size = sizeof info;
  const auto ask = [&] { return morsel_addresses(&info, nullptr, nullptr); };
  const auto failing = [&](Fails kind, int error) {
    const FailingCalls failing_calls(kind, error);
    return ask();
  };
  setenv("MORSEL_ADDRESSES", "", 1);
  Expect({{"morsel_addresses", MORSEL_NOT_FOUND, ask}});
  setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);
  EXPECT_EQ(
      morsel_close(Open(OpenPool(scratch_.At("registered"), MORSEL_CREATE), "m", MORSEL_CREATE)),
      MORSEL_OK);
  EXPECT_EQ(ask(), MORSEL_OK) << morsel_last_error();
  Expect({{"morsel_addresses", MORSEL_IO, [&] { return failing(Fails::kRead, EIO); }},
          {"morsel_addresses", MORSEL_PERMISSION, [&] { return failing(Fails::kOpen, EACCES); }}});
  // Somebody has it, and does not go on.
  const int other = open(scratch_.At("addresses").c_str(), O_RDWR | O_CLOEXEC);
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_len = 1;
  ASSERT_EQ(fcntl(other, F_OFD_SETLK, &lock), 0);
  Expect({{"morsel_addresses", MORSEL_BUSY, ask}});
  close(other);
  setenv("MORSEL_ADDRESSES", "", 1);
  ExpectInChild({{"morsel_share_addresses", MORSEL_PERMISSION, [] {
                    (void)seteuid(61001);  // nobody who may
                    return morsel_share_addresses(61001);
                  }}});
}

}  // namespace
}  // namespace morsel::trouble
