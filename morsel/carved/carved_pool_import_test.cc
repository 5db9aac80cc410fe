// What a power cut may leave of the bytes of an image that is imported.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "image/image_copy.h"
#include "image/image_testing.h"
#include "morsel/carved/carved_pool_backing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel {
namespace {

using ImportTest = image::ImageTest;

TEST_F(ImportTest, LoadedBytesAreDurableAfterAFence) {
  image::Memory memory = image::MemoryOf(1);
  image::FillSubtree(memory, 0, 1);
  ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
  const Result<image::ImageFile> image = Open("a", true);
  ASSERT_TRUE(image.has_value()) << LastError();
  const std::unique_ptr<char, decltype(&std::free)> zeroed(
      static_cast<char*>(std::aligned_alloc(kSubtreeBytes, memory.size())), &std::free);
  char* const place = zeroed.get();
  std::memset(place, 0, memory.size());
  pmem::CrashRecorder recorder({{place, memory.size()}});
  ASSERT_TRUE(FillDurably(
                  place, memory.size(),
                  [&](char* bytes) { return image::LoadBesideWriter(*image, bytes); },
                  recorder.persist())
                  .ok())
      << LastError();
  recorder.persist().Fence();
  recorder.WithDurable([&] { EXPECT_EQ(std::memcmp(place, memory.data(), memory.size()), 0); });
}

}  // namespace
}  // namespace morsel
