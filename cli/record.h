// A morsel as its pool knows it, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "morsel/pool/pool.h"

namespace morsel::cli {

/// "fine" or "snapshot".
const char* ContractName(const CatalogRecord& record);

/// "alice:users", numbers where there are no names.
std::string OwnerOf(const CatalogRecord& record);

/// "00112233-...": 32 hexadecimal digits in the groups of a UUID.
std::string FormatId(const Id& id);

/// When bytes become durable, e.g. "cache line (64 bytes)".
std::string GranularityInWords(uint32_t granularity_bytes);

/// Sizes in bytes, addresses and ids as strings.
nlohmann::ordered_json JsonOf(const CatalogRecord& record, uint32_t granularity_bytes);

}  // namespace morsel::cli
