// pull, rm, models.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "commands.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "tatara/base/localise.h"
#include "tatara/weights/model_store.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

std::string InLanguage(const std::string& english, const std::string& japanese) {
  return CurrentLanguage() == Language::kJapanese && !japanese.empty() ? japanese : english;
}

Json LocalJson(const weights::LocalModel& model) {
  Json files = Json::array();
  for (const weights::LocalFile& file : model.files) {
    files.push_back({{"path", (model.folder / file.path).string()},
                     {"bytes", file.n_bytes},
                     {"sha256", file.sha256},
                     {"source", file.source}});
  }
  Json out = {{"path", model.path().string()},
              {"sha256", model.sha256()},
              {"bytes", model.n_bytes()},
              {"licence", model.licence},
              {"pulled", model.pulled_utc},
              {"digest_was_known", model.digest_was_known},
              {"files", files}};
  if (!model.licence_accepted_utc.empty()) out["licence_accepted"] = model.licence_accepted_utc;
  return out;
}

// Asks on a terminal; elsewhere the pull itself refuses and says how to accept.
Result<bool> AcceptLicence(const weights::ModelStore& store, const std::string& model,
                           const PullOptions& options) {
  if (options.accept_licence) return true;
  TATARA_TRY(const auto licence, store.LicenceToAccept(model));
  if (!licence || !isatty(STDIN_FILENO) || !StandardErrorIsTerminal()) return false;
  Remark(
      Tr("{0} has a licence with terms of its own: {1} ({2})", model, licence->name, licence->url));
  fmt::print(stderr, "{}\n", InLanguage(licence->terms, licence->terms_ja));
  fmt::print(stderr, "{} ", Tr("Type 'yes' to accept:"));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

// A symbolic link in `folder` to each file of the model; what is there under that name is replaced
// unless it is a file of its own.
Result<> LinkInto(const fs::path& folder, const weights::LocalModel& model) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", folder.string(), error.message());
  }
  for (const weights::LocalFile& file : model.files) {
    const fs::path link = folder / fs::path(file.path).filename();
    const fs::path target = fs::absolute(model.folder / file.path, error);
    if (error) {
      return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", link.string(), error.message());
    }
    if (fs::exists(link, error) && !fs::is_symlink(link, error)) continue;
    fs::remove(link, error);
    fs::create_symlink(target, link, error);
    if (error) {
      return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", link.string(), error.message());
    }
  }
  return Ok{};
}

// Where a model came from, so that what is made of it leads back to there.
void RecordPull(const weights::PullReport& report) {
  const weights::LocalModel& model = report.model;
  LineageEvent event{.kind = "pull",
                     .name = model.name,
                     .facts = {{"licence", Json(model.licence).dump()},
                               {"digest_was_known", Json(model.digest_was_known).dump()}}};
  Json sources = Json::object();
  for (const weights::LocalFile& file : model.files) sources[file.path] = file.source;
  event.facts.emplace_back("sources", sources.dump());
  event.outputs.push_back({"model", model.name, model.sha256(), model.n_bytes()});
  for (const weights::LocalFile& file : model.files) {
    if (file.sha256 != model.sha256()) {
      event.outputs.push_back({"file", file.path, file.sha256, file.n_bytes});
    }
  }
  RecordLineage(std::move(event));
}

}  // namespace

Result<int> Pull(const PullOptions& options) {
  TATARA_TRY(auto store, weights::ModelStore::Open());
  Json pulled = Json::array();
  for (const std::string& name : options.models) {
    ProgressLine progress(ProgressLine::Unit::kBytes);
    weights::PullOptions pull;
    TATARA_TRY(pull.accept_licence, AcceptLicence(store, name, options));
    pull.from = options.from;
    pull.progress = &progress;
    pull.stop = &StopRequested();
    pull.announce = [](const weights::CatalogueEntry& entry) {
      Remark(Tr("{0}: {1} files, {2}, licence {3}", entry.publisher, entry.files.size(),
                FormatBytes(static_cast<double>(entry.n_bytes())),
                entry.licence.name.empty() ? Tr("not stated") : entry.licence.name));
    };
    TATARA_TRY(const weights::PullReport report, store.Pull(name, pull));
    progress.Clear();
    if (!report.was_there) RecordPull(report);
    if (!options.link_into.empty())
      TATARA_RETURN_IF_ERROR(LinkInto(options.link_into, report.model));
    const std::string source = report.model.files.front().source;
    if (options.json) {
      Json entry = LocalJson(report.model);
      entry["name"] = report.model.name;
      entry["was_there"] = report.was_there;
      entry["contacted"] = report.contacted;
      entry["failures"] = report.failures;
      pulled.push_back(std::move(entry));
      continue;
    }
    for (const std::string& failure : report.failures) Remark(failure);
    if (report.was_there) {
      Out(Tr("{0}: already here, {1}, SHA-256 {2}", report.model.name,
             FormatBytes(static_cast<double>(report.model.n_bytes())), report.model.sha256()) +
          "\n");
    } else {
      Out(Tr("{0}: {1} from {2}, SHA-256 {3}, licence {4}", report.model.name,
             FormatBytes(static_cast<double>(report.model.n_bytes())), source,
             report.model.sha256(), report.model.licence) +
          "\n");
      if (!report.contacted.empty()) {
        Remark(Tr("addresses used: {0}", fmt::format("{}", fmt::join(report.contacted, ", "))));
      }
    }
  }
  if (options.json) OutJson(pulled);
  return 0;
}

Result<int> Remove(const RemoveOptions& options) {
  TATARA_TRY(auto store, weights::ModelStore::Open());
  Json removed = Json::array();
  for (const std::string& name : options.models) {
    TATARA_TRY(const weights::RemoveReport report, store.Remove(name));
    if (options.json) {
      removed.push_back({{"name", report.name}, {"bytes_freed", report.n_bytes_freed}});
    } else {
      Out(Tr("{0}: removed, {1} freed", report.name,
             FormatBytes(static_cast<double>(report.n_bytes_freed))) +
          "\n");
    }
  }
  if (options.json) OutJson(removed);
  return 0;
}

namespace {

// What a tuned model stands on; empty for other models.
std::string BaseNameOf(const weights::ModelStore& store, const weights::ModelListing& listing) {
  if (!listing.local || listing.catalogue) return {};
  const auto model = store.Resolve(listing.name);
  if (!model.ok() || model->adapter.empty()) return {};
  return model->local ? model->local->name : model->path.string();
}

std::string Described(const weights::ModelStore& store, const weights::ModelListing& listing) {
  if (listing.catalogue) {
    return InLanguage(listing.catalogue->description, listing.catalogue->description_ja);
  }
  const std::string base = BaseNameOf(store, listing);
  return base.empty() ? "" : Tr("an adapter beside {0}", base);
}

}  // namespace

Result<int> Models(const ModelsOptions& options) {
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  TATARA_TRY(const auto listings, store.List());
  Json list = Json::array();
  for (const weights::ModelListing& m : listings) {
    if (options.names) {
      Out(m.name + "\n");
    } else if (options.json) {
      Json entry = {
          {"name", m.name}, {"here", m.local.has_value()}, {"partial_bytes", m.partial_bytes}};
      if (m.catalogue) {
        entry["catalogue"] = {
            {"description", InLanguage(m.catalogue->description, m.catalogue->description_ja)},
            {"kind", m.catalogue->kind},
            {"languages", m.catalogue->languages},
            {"context_tokens", m.catalogue->context_tokens},
            {"bytes", m.catalogue->n_bytes()},
            {"sha256", m.catalogue->files.front().sha256},
            {"licence", m.catalogue->licence.name},
            {"publisher", m.catalogue->publisher},
            {"origin", InLanguage(m.catalogue->origin, m.catalogue->origin_ja)}};
      }
      if (m.local) entry["local"] = LocalJson(*m.local);
      if (const std::string base = BaseNameOf(store, m); !base.empty()) entry["base"] = base;
      list.push_back(std::move(entry));
    } else {
      const std::uint64_t bytes = m.local       ? m.local->n_bytes()
                                  : m.catalogue ? m.catalogue->n_bytes()
                                                : 0;
      Out(fmt::format("{} {:<20} {:>8}  {:<11} {:<10} {}\n", m.local ? "*" : " ", m.name,
                      FormatBytes(static_cast<double>(bytes)),
                      m.local       ? m.local->licence
                      : m.catalogue ? m.catalogue->licence.name
                                    : "",
                      m.catalogue ? fmt::format("{}", fmt::join(m.catalogue->languages, ",")) : "",
                      Described(store, m)));
    }
  }
  if (options.json) OutJson(list);
  if (!options.json && !options.names)
    Out(Tr("* on this machine; the others: tatara pull NAME") + "\n");
  return 0;
}

}  // namespace tatara::cli
