// tatara-verify: checks a ledger, its objects and receipts with nothing but this program and the
// public key. It links the ledger and what that stands on, reads, and changes nothing.
//
//   tatara-verify KEY LEDGER_FOLDER [--earlier CHECKPOINT] [--objects FOLDER]
//   tatara-verify --receipt FILE
//   tatara-verify --help | --version
//
// Objects are those of LEDGER_FOLDER where --objects names no other folder.
//
// Exit status: 0 all is as it was written, 1 something is not, 2 the call was wrong.

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/version.h"
#include "tatara/ledger/lineage.h"
#include "tatara/ledger/object_store.h"
#include "tatara/ledger/receipt.h"

namespace tatara::ledger {
namespace {

constexpr Translation kTranslations[] = {
#include "tatara/base/messages_ja.inc"
#include "tatara/ledger/messages_ja.inc"
};

struct Call {
  std::string key, folder, earlier, objects, receipt;
};

int Usage(std::FILE* to, int status) {
  fmt::print(to, "{}\n{}\n",
             Tr("usage: tatara-verify KEY LEDGER_FOLDER [--earlier CHECKPOINT] [--objects FOLDER]"),
             Tr("       tatara-verify --receipt FILE"));
  return status;
}

bool Parse(int argc, char** argv, Call& call) {
  std::vector<std::string> plain;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    std::string* value = word == "--earlier"   ? &call.earlier
                         : word == "--objects" ? &call.objects
                         : word == "--receipt" ? &call.receipt
                                               : nullptr;
    if (value == nullptr) {
      if (word.starts_with("--")) return false;
      plain.emplace_back(word);
    } else if (++i < argc) {
      *value = argv[i];
    } else {
      return false;
    }
  }
  if (!call.receipt.empty()) return plain.empty() && call.earlier.empty() && call.objects.empty();
  if (plain.size() != 2) return false;
  call.key = plain[0], call.folder = plain[1];
  return true;
}

int Fail(const std::string& difference) {
  fmt::print("{}\n", difference);
  return 1;
}

int CheckReceipt(const std::string& file) {
  const auto bytes = ReadWholeFile(file, kReceiptBytesMax);
  if (!bytes.ok()) return Fail(bytes.error().text(CurrentLanguage()));
  const VerifyReport report = VerifyReceipt(*bytes, {});
  if (!report.ok)
    return Fail(report.problems.empty() ? report.first_difference : report.problems.front());
  fmt::print("{}\n", Tr("{0}: as it was signed by the key {1}", file, report.key_id));
  return 0;
}

int CheckLedger(const Call& call) {
  const auto key = ParseNoteKey(call.key);
  if (!key.ok()) {
    fmt::print(stderr, "{}\n", key.error().text(CurrentLanguage()));
    return 2;
  }
  std::string earlier;
  if (!call.earlier.empty()) {
    auto note = ReadWholeFile(call.earlier, kNoteBytesMax);
    if (!note.ok()) return Fail(note.error().text(CurrentLanguage()));
    earlier = std::move(note).value();
  }
  const LogReport report = VerifyLog(call.folder, *key, earlier);
  if (!report.ok) return Fail(report.first_difference);
  fmt::print("{}\n",
             Tr("{0}: {1} entries, as they were written and signed", call.folder, report.size));
  const std::string& folder = call.objects.empty() ? call.folder : call.objects;
  const ObjectStore store(folder);
  const auto digests = store.All();
  if (!digests.ok()) return Fail(digests.error().text(CurrentLanguage()));
  for (const std::string& digest : *digests) {
    const auto checked = store.Verify(digest);
    if (!checked.ok()) return Fail(checked.error().text(CurrentLanguage()));
  }
  fmt::print("{}\n", Tr("{0}: {1} objects, as they were written", folder, digests->size()));
  return 0;
}

int Main(int argc, char** argv) {
  InstallTranslations(kTranslations);
  SetLanguage(LanguageFromEnvironment());
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    fmt::print("tatara-verify {}\n", kVersion);
    return 0;
  }
  if (argc == 2 && std::string_view(argv[1]) == "--help") return Usage(stdout, 0);
  Call call;
  if (!Parse(argc, argv, call)) return Usage(stderr, 2);
  return call.receipt.empty() ? CheckLedger(call) : CheckReceipt(call.receipt);
}

}  // namespace
}  // namespace tatara::ledger

int main(int argc, char** argv) {
  return tatara::ledger::Main(argc, argv);
}
