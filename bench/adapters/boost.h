// Boost.Interprocess, a managed mapped file: in a file, but nothing is flushed and no crash is
// survived.
#pragma once

#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/version.hpp>
#include <new>
#include <string>

#include "bench/place.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place& place)
      : file_(boost::interprocess::create_only, (place.folder + "/pool").c_str(),
              place.size_bytes) {}

  static std::string Version() { return BOOST_LIB_VERSION; }

  class Thread {
   public:
    explicit Thread(Adapter& adapter) : file_(adapter.file_) {}
    void* Allocate(size_t size_bytes) { return file_.allocate(size_bytes, std::nothrow); }
    void Free(void* block) { file_.deallocate(block); }

   private:
    boost::interprocess::managed_mapped_file& file_;
  };

 private:
  boost::interprocess::managed_mapped_file file_;
};

}  // namespace bench
