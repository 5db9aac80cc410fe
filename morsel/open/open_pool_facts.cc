// What an open pool tells of itself and of morsels that are not open.
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "morsel/open/open_options.h"
#include "morsel/open/open_pool.h"

namespace morsel {
namespace {

template <size_t kBytes>
void Copy(const std::string& text, char (&to)[kBytes]) {
  std::snprintf(to, kBytes, "%s", text.c_str());
}

uint32_t GranularityOf(const impl::Pool& pool, Contract contract) {
  const KeepLastError keep;
  return pool.Supports(contract, false).ok() ? pool.granularity_bytes(contract) : 0;
}

// What of a pool is durable when a call has returned.
const char* DurablePart(const PoolFacts& facts, const pmem::Medium& medium) {
  if (facts.is_carved) return "what was persisted ";
  return medium.is_persistent_memory() ? "what was persisted, or the last checkpoint, "
                                       : "the last checkpoint ";
}

void DescribeMedium(const impl::Pool& pool, const PoolFacts& facts, morsel_pool_info& info) {
  const pmem::Medium& medium = pool.medium();
  const std::string file_system = medium.FileSystem(pool.path());
  const pmem::Survival survival = medium.SurvivalOf(pool.path(), file_system);
  Copy(medium.name(), info.medium);
  Copy(file_system, info.file_system);
  Copy(medium.InWords(file_system, facts.unit_bytes), info.medium_in_words);
  Copy(DurablePart(facts, medium) + survival.words, info.survival);
  info.survives_power_off = survival.is_known ? 1 : 0;
}

}  // namespace

Result<morsel_pool_info> OpenPool::Facts() {
  MORSEL_TRY(MayUse());
  const Result<PoolFacts> facts = pool_->Facts();
  if (!facts) return facts.status();
  const Result<std::vector<CatalogRecord>> records = pool_->List();
  if (!records) return records.status();
  morsel_pool_info info{};
  info.struct_size = sizeof info;
  if (facts->is_carved) info.flags |= MORSEL_CARVED;
  if (pool_->read_only()) info.flags |= MORSEL_READ_ONLY;
  std::memcpy(info.id, facts->id.data(), sizeof info.id);
  info.snapshot_granularity = GranularityOf(*pool_, Contract::kSnapshot);
  info.fine_granularity = GranularityOf(*pool_, Contract::kFine);
  info.window_begin = facts->window_begin;
  info.window_end = facts->window_end;
  info.unit_bytes = facts->unit_bytes;
  info.size_bytes = facts->size_bytes;
  info.free_bytes = facts->free_bytes;
  info.morsels = records->size();
  Copy(facts->frames, info.frames);
  Copy(facts->tracking, info.tracking);
  DescribeMedium(*pool_, *facts, info);
  return info;
}

morsel_info OpenPool::InfoOf(const CatalogRecord& record) {
  morsel_info info{};
  info.struct_size = sizeof info;
  {
    const Use open(*this, record.name);
    const KeepLastError keep;
    if (open.morsel() != nullptr && open.morsel()->Fill(&info).ok()) return info;
    // The heap is damaged, and what the pool knows of the morsel is told.
  }
  FillInfo(record, pool_->granularity_bytes(record.contract), &info);
  return info;
}

Result<morsel_info> OpenPool::Find(const char* name) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  const Result<CatalogRecord> record = pool_->Find(name);
  if (!record) return record.status();
  return InfoOf(*record);
}

Status OpenPool::List(int (*visit)(const morsel_info*, void*), void* context) {
  MORSEL_TRY(MayUse());
  const Result<std::vector<CatalogRecord>> records = pool_->List();
  if (!records) return records.status();
  std::vector<morsel_info> infos;
  for (const CatalogRecord& record : *records) infos.push_back(InfoOf(record));
  for (const morsel_info& info : infos) {
    if (visit(&info, context) != 0) break;
  }
  return Code::kOk;
}

Status OpenPool::ListUnreadable(int (*visit)(const char* name, morsel_code code,
                                             const char* message, void* context),
                                void* context) {
  MORSEL_TRY(MayUse());
  struct Unreadable {
    std::string name;
    Code code;
    std::string message;
  };
  std::vector<Unreadable> all;
  {
    const Result<std::vector<std::string>> names = pool_->ListUnreadable();
    if (!names) return names.status();
    const KeepLastError keep;
    for (const std::string& name : *names) {
      const Result<CatalogRecord> record = pool_->Find(name);
      // It may have been removed meanwhile.
      const bool is_there = record || record.error() != Code::kNotFound;
      if (!record && is_there) all.push_back({name, record.error(), LastError()});
    }
  }
  for (const Unreadable& one : all) {
    const auto code = static_cast<morsel_code>(static_cast<int>(one.code));
    if (visit(one.name.c_str(), code, one.message.c_str(), context) != 0) break;
  }
  return Code::kOk;
}

}  // namespace morsel
