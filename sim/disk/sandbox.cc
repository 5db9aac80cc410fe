#include "sim/disk/sandbox.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/check.h"

namespace morsel::sim {
namespace {

// What goes wrong here is the machine's fault, and nothing can be simulated.
void MustDo(bool done, const char* what, const std::string& path) {
  if (!done) Die("the simulated disk: %s '%s': %s", what, path.c_str(), std::strerror(errno));
}

ino_t InodeOf(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 ? status.st_ino : 0;
}

void WritePage(int descriptor, uint64_t index, const Content::Page* page) {
  const auto offset = static_cast<off_t>(index * Content::kPageBytes);
  const auto size = static_cast<off_t>(Content::kPageBytes);
  if (page == nullptr) {
    MustDo(fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) == 0,
           "punching a hole", "");
  } else {
    MustDo(pwrite(descriptor, page->bytes.data(), page->bytes.size(), offset) == size, "writing",
           "");
  }
}

}  // namespace

Sandbox::Sandbox() {
  MustDo(mkdir(scratch_.At("store").c_str(), 0700) == 0, "making", scratch_.At("store"));
}

Sandbox::~Sandbox() {
  for (const auto& [id, slot] : slots_) close(slot.descriptor);
}

std::string Sandbox::StorePathOf(NodeId node) const {
  return scratch_.path() + "/store/" + std::to_string(node);
}

std::string Sandbox::BytesOf(NodeId node) const {
  const auto slot = slots_.find(node);
  if (slot == slots_.end()) return "";
  return "/proc/self/fd/" + std::to_string(slot->second.descriptor);
}

// Gives each file that is shown its name in the store back. What has no name left cannot get one.
void Sandbox::Park() {
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    const NodeId id = slot++->first;
    if (!slots_[id].is_on) continue;
    const std::string store = StorePathOf(id);
    const std::string bytes = BytesOf(id);
    if (linkat(AT_FDCWD, bytes.c_str(), AT_FDCWD, store.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      MustDo(errno == ENOENT, "linking", store);
      Forget(id);
    }
  }
}

void Sandbox::Forget(NodeId node) {
  const auto slot = slots_.find(node);
  if (slot == slots_.end()) return;
  nodes_.erase(InodeOf(slot->second.descriptor));
  close(slot->second.descriptor);
  unlink(StorePathOf(node).c_str());
  slots_.erase(slot);
}

void Sandbox::Show(const Disk& disk) {
  Park();
  std::error_code error;
  std::filesystem::remove_all(root_, error);
  MustDo(!error, "emptying", root_);
  nodes_.clear();
  for (auto& [id, slot] : slots_) {
    nodes_[InodeOf(slot.descriptor)] = id;
    slot.is_on = false;
  }
  ShowDirectory(disk, kRootNode, root_);
  for (const auto& [id, slot] : slots_) {
    if (slot.is_on) unlink(StorePathOf(id).c_str());
  }
}

void Sandbox::ShowDirectory(const Disk& disk, NodeId id, const std::string& path) {
  const Node& node = disk.node(id);
  MustDo(mkdir(path.c_str(), 0700) == 0, "making", path);
  MustDo(chmod(path.c_str(), node.visible.mode) == 0, "chmod of", path);
  struct stat status;
  MustDo(stat(path.c_str(), &status) == 0, "stat of", path);
  nodes_[status.st_ino] = id;
  for (const auto& [name, child] : node.visible.names) {
    const Node& shown = disk.node(child);
    if (shown.is_directory) {
      ShowDirectory(disk, child, path + "/" + name);
    } else {
      ShowFile(shown, child, path + "/" + name);
    }
  }
}

void Sandbox::ShowFile(const Node& node, NodeId id, const std::string& path) {
  const std::string store = StorePathOf(id);
  if (slots_.count(id) == 0) {
    const int descriptor = open(store.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MustDo(descriptor >= 0, "making", store);
    slots_[id].descriptor = descriptor;
    nodes_[InodeOf(descriptor)] = id;
  }
  Slot& slot = slots_[id];
  const Content& wanted = node.visible.content;
  const auto size_bytes = static_cast<off_t>(wanted.size_bytes());
  const uint64_t pages = std::max(slot.shown.pages(), wanted.pages());
  for (uint64_t i = 0; i < pages; ++i) {
    if (slot.shown.page(i) != wanted.page(i)) WritePage(slot.descriptor, i, wanted.page(i));
  }
  MustDo(ftruncate(slot.descriptor, size_bytes) == 0, "truncating", store);
  MustDo(fchmod(slot.descriptor, node.visible.mode) == 0, "chmod of", store);
  slot.shown = wanted;
  slot.is_on = true;
  MustDo(link(store.c_str(), path.c_str()) == 0, "linking", path);
}

void Sandbox::Shows(const Disk& disk) {
  for (auto& [id, slot] : slots_) {
    if (slot.is_on && disk.nodes().count(id) != 0) slot.shown = disk.node(id).visible.content;
  }
}

void Sandbox::Distrust() {
  while (!slots_.empty()) Forget(slots_.begin()->first);
}

std::optional<NodeId> Sandbox::NodeOf(int descriptor) const {
  const auto found = nodes_.find(InodeOf(descriptor));
  if (found == nodes_.end()) return std::nullopt;
  return found->second;
}

std::optional<NodeId> Sandbox::NodeAt(int directory, const std::string& path) const {
  struct stat status;
  if (fstatat(directory, path.c_str(), &status, 0) != 0) return std::nullopt;
  const auto found = nodes_.find(status.st_ino);
  if (found == nodes_.end()) return std::nullopt;
  return found->second;
}

void Sandbox::Adopt(int directory, const char* name, int descriptor, NodeId node) {
  Forget(node);
  struct stat status;
  MustDo(fstat(descriptor, &status) == 0, "fstat of", name);
  nodes_[status.st_ino] = node;
  if (S_ISDIR(status.st_mode)) return;
  const int own = openat(directory, name, O_RDWR | O_CLOEXEC);
  MustDo(own >= 0, "opening", name);
  slots_[node] = {.descriptor = own, .shown = {}, .is_on = true};
}

bool Sandbox::CopyTo(const std::string& path) const {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) {
    std::filesystem::copy(root_, path, std::filesystem::copy_options::recursive, error);
  }
  return !error;
}

}  // namespace morsel::sim
