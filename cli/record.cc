#include "cli/record.h"

#include <grp.h>
#include <pwd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/units.h"
#include "image/codecs/codecs.h"

namespace morsel::cli {

const char* ContractName(const CatalogRecord& record) {
  return record.contract == Contract::kFine ? "fine" : "snapshot";
}

std::string OwnerOf(const CatalogRecord& record) {
  const passwd* const user = getpwuid(record.user);
  const group* const group = getgrgid(record.group);
  return (user != nullptr ? user->pw_name : std::to_string(record.user)) + ":" +
         (group != nullptr ? group->gr_name : std::to_string(record.group));
}

std::string FormatId(const Id& id) {
  std::string text;
  for (size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", id[i]);
    text += digits;
  }
  return text;
}

std::string GranularityInWords(uint32_t granularity_bytes) {
  switch (granularity_bytes) {
    case 1:
      return "byte (stores are durable once ordered)";
    case kLineBytes:
      return "cache line (64 bytes)";
    case kPageBytes:
      return "page (4096 bytes, by checkpoints only)";
    default:
      return std::to_string(granularity_bytes) + " bytes";
  }
}

nlohmann::ordered_json JsonOf(const CatalogRecord& record, uint32_t granularity_bytes) {
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", record.mode & 07777);
  return {{"name", record.name},
          {"id", FormatId(record.id)},
          {"contract", ContractName(record)},
          {"giant", record.giant},
          {"grows", record.grows},
          {"size_bytes", record.size_bytes},
          {"capacity_bytes", record.capacity_bytes},
          {"live_bytes", record.live_bytes},
          {"base", FormatAddress(record.base)},
          {"generation", record.generation},
          {"codec", image::CodecName(record.codec)},
          {"granularity_bytes", granularity_bytes},
          {"mode", mode},
          {"user", record.user},
          {"group", record.group}};
}

}  // namespace morsel::cli
