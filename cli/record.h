// How a morsel's record is written, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "morsel/pool/pool.h"

namespace morsel::cli {

/// "fine" or "snapshot".
const char* ContractName(const CatalogRecord& record);

/// User and group, e.g. "alice:users", or numbers if they have no names.
std::string OwnerOf(const CatalogRecord& record);

/// 32 hexadecimal digits in the groups of a UUID: "00112233-...".
std::string FormatId(const Id& id);

/// The granularity in words, e.g. "cache line (64 bytes)".
std::string GranularityInWords(uint32_t granularity_bytes);

/// The record as a JSON object. Sizes are numbers of bytes; addresses and ids are strings. The keys
/// are a contract: see docs/morselctl.md.
nlohmann::ordered_json JsonOf(const CatalogRecord& record, uint32_t granularity_bytes);

}  // namespace morsel::cli
