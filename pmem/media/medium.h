// What a pool is stored on. A medium is a type: an object of a class of its own that answers what
// the floors above ask, so that none of them asks which medium it is.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "os/file/file.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// What of a pool lies on the medium.
enum class PoolPart {
  kCarvedPool,  ///< the file or device that is carved
  kDirectory,   ///< a file in the pool's directory
};

/// The bytes that a medium has for a carved pool.
struct MediumSpace {
  uint64_t size_bytes = 0;
  uint64_t align_bytes = 0;  ///< offsets and lengths of mappings are multiples of it
};

/// What outlives a power cut.
struct Survival {
  bool is_known = false;  ///< what is durable survives, as far as the platform says
  std::string words;      ///< the same for people; it is read behind what it is said of
};

/// A medium, and all that differs between media.
///
/// Ownership  objects are static and without state.
/// Threads    any.
class Medium {
 public:
  Medium() = default;
  Medium(const Medium&) = delete;
  Medium& operator=(const Medium&) = delete;

  /// The name for users and programs, e.g. "device-dax". It is part of what morselctl promises.
  virtual const char* name() const = 0;
  /// Whether the `part` of a pool that is open as `file` lies on this medium. AllMedia() are asked
  /// in their order, and the first that says so is the medium.
  virtual bool Has(const os::File& file, PoolPart part) const = 0;
  /// Whether mappings are persistent memory itself, and no memory that stands in for it.
  virtual bool is_persistent_memory() const { return false; }

  /// Describes the medium. file_system  the kernel's name of it. unit_bytes  of a carved pool.
  virtual std::string InWords(const std::string& file_system, uint64_t unit_bytes) const;
  /// The name of the file system that `path` is on; "none" if the medium has no file system.
  virtual std::string FileSystem(const std::string& path) const;
  virtual Survival SurvivalOf(const std::string& path, const std::string& file_system) const = 0;

  // What follows is for media of carved pools. The defaults are those of a file.

  /// Errors  as DaxDeviceOf(); kIo.
  virtual Result<MediumSpace> SpaceOf(const os::File& file) const;
  /// What makes the medium a pool, for the message that it is none; "" if nothing can be said.
  virtual std::string HowToFormat(const std::string& path) const;
  /// Whether read(2) reads the medium, and not only a mapping.
  virtual bool CanBeRead() const { return true; }
  /// Reads the first bytes, which may be fewer than one unit.
  /// Errors  kIo, kNoMemory, kPermission.
  virtual Status ReadFirst(const os::File& file, void* bytes, size_t size_bytes) const;
  /// Takes space for the bytes, so that a full medium is an error now and not a SIGBUS later. Bytes
  /// that have space already keep their content.
  /// Errors  kNoSpace, kIo.
  virtual Status TakeSpace(const os::File& file, uint64_t offset, uint64_t size_bytes) const;
  /// Whether the bytes [0, size_bytes) may have holes, as in a sparse copy.
  virtual Result<bool> MayHaveHoles(const os::File& file, uint64_t size_bytes) const;
  /// Takes space for a new pool's first bytes, `whole_bytes` of which one fault should map.
  /// Errors  kNoSpace, kIo, kNoMemory.
  virtual Status PrepareNew(const os::File& file, uint64_t whole_bytes) const;
  /// Makes the bytes zero, whatever they were, and takes space for them.
  /// Durability  with the next SyncSpace().
  /// Errors      kNoSpace, kIo, kNoMemory.
  virtual Status Zero(const os::File& file, uint64_t offset, uint64_t size_bytes,
                      Persist persist) const = 0;
  /// Makes durable what TakeSpace() and Zero() did.
  /// Errors  kIo.
  virtual Status SyncSpace(const os::File& file) const;
  /// Gives the space of free bytes back to whoever else can use it. It may fail, and the bytes may
  /// have any content afterwards.
  virtual void GiveBack(const os::File& file, uint64_t offset, uint64_t size_bytes) const;

 protected:
  /// Makes the bytes a hole, which reads as zeros, or returns false and sets errno.
  static bool PunchHole(const os::File& file, uint64_t offset, uint64_t size_bytes);
  /// What the platform says of persistent memory at `path`.
  static Survival SurvivalOfPersistentMemory(const std::string& path);
  ~Medium() = default;
};

}  // namespace morsel::pmem
