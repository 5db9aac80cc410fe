// morselctl verify: looks for damage in an image.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/image_record.h"

namespace morsel::cli {
namespace {

// The result of a verification.
struct Verified {
  std::vector<std::string> findings;
  std::optional<CatalogRecord> record;  // the image's morsel, if the image could be opened
};

Verified Verify(const std::string& path) {
  Verified verified;
  auto image = OpenImageAt(os::KernelCalls(), path);
  // If the image does not open, no subtree can be found, and one message is all there is to say.
  if (!image && image.error() == Code::kCorrupt) return {{LastError()}, std::nullopt};
  if (!image) throw Failure{image.error(), LastError()};
  verified.record = Must(RecordOf(path, image->file(), image->info()));
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  image->set_progress(ProgressOf(bar.get()));
  const Status status =
      VerifyImage(*image, [&](const char* message) { verified.findings.emplace_back(message); });
  if (status.code() != Code::kCorrupt) Must(status);
  return verified;
}

int VerifyIt(const std::string& path, bool json) {
  const Verified verified = Verify(path);
  const bool is_clean = verified.findings.empty();
  if (json) {
    nlohmann::ordered_json report = {
        {"file", path}, {"clean", is_clean}, {"findings", verified.findings}};
    if (verified.record) {
      report["morsel"] = JsonOf(*verified.record, kPageBytes);
      // The granularity is the pool's, and an image is in no pool.
      report["morsel"].erase("granularity_bytes");
    }
    Print(report);
  } else {
    std::string text;
    for (const std::string& finding : verified.findings) text += Printable(finding) + "\n";
    if (is_clean) {
      const CatalogRecord& record = *verified.record;
      text += "clean: a morsel under the " + std::string(ContractName(record)) + " contract, " +
              FormatSize(record.size_bytes) + " of " + FormatSize(record.capacity_bytes) + " at " +
              FormatAddress(record.base) + ", generation " + std::to_string(record.generation) +
              "\n";
    }
    Print(text);
  }
  return is_clean ? kExitDone : kExitDamage;
}

}  // namespace

void AddVerify(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "verify", "Look for damage in an image.",
      "Reads an exported file, or a directory pool's morsel, whole and holds it against\n"
      "its checksums. Exits with 1 where something is damaged.");
  const auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "The image.")->required();
  command->callback([&invocation, path] {
    invocation.run = [&invocation, path] { return VerifyIt(*path, invocation.json); };
  });
}

}  // namespace morsel::cli
