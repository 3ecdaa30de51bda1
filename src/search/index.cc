#include "tatara/search/index.h"

#include <algorithm>
#include <map>
#include <set>

#include "rank.h"
#include "store.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/documents/document.h"
#include "tatara/search/fold.h"
#include "tatara/text/encoding.h"
#include "walk.h"

namespace tatara::search {
namespace {

namespace fs = std::filesystem;

constexpr int kCandidatesMax = 200;     // scored in full
constexpr std::size_t kTermsMax = 96;   // of a question, the weightiest
constexpr double kWeakCoverage = 0.45;  // below it the expander is asked

fs::path FolderOf(const fs::path& home) {
  return (home.empty() ? TataraHome() : home) / "collections";
}

// What is printed must be UTF-8; a name on a file system is bytes.
std::string Printable(std::string bytes) {
  while (const auto at = text::FirstInvalidUtf8(bytes)) bytes[*at] = '?';
  return bytes;
}

class LexicalIndex : public Index {
 public:
  LexicalIndex(std::string collection, std::unique_ptr<Store> store, const Clock& clock)
      : collection_(std::move(collection)), store_(std::move(store)), clock_(clock) {}

  Result<AddReport> Add(std::span<const fs::path> paths, ProgressSink* progress,
                        const StopFlag* stop) override;
  Result<AddReport> Remove(std::span<const std::string> names) override;
  Result<std::vector<DocumentInfo>> List() override { return store_->List(); }
  Result<SearchResult> Search(const Query& query) override;
  Result<std::string> StoredText(std::string_view path) override { return store_->TextOf(path); }
  const std::string& collection() const override { return collection_; }

 private:
  Result<FileReport> AddFile(const FoundFile& file);
  Result<FileReport> RefuseFile(const FoundFile& file, Error reason);
  Result<std::string> FreeName(const FoundFile& file);
  Result<FileReport> RemovePath(const std::string& path);

  Result<bool> HasOtherLanguage(std::string_view question);
  // Adds terms to `question` with their weight in this collection.
  Result<> Weigh(const std::vector<Term>& terms, std::vector<WeightedTerm>& question);
  Result<> Rank(const std::vector<WeightedTerm>& question, int passages_max, SearchResult& result);

  std::string collection_;
  std::unique_ptr<Store> store_;
  const Clock& clock_;
};

void Count(AddReport& report, FileReport file) {
  switch (file.status) {
    case FileStatus::kAdded:
      ++report.added;
      break;
    case FileStatus::kUpdated:
      ++report.updated;
      break;
    case FileStatus::kUnchanged:
      ++report.unchanged;
      break;
    case FileStatus::kRemoved:
      ++report.removed;
      break;
    case FileStatus::kRefused:
      ++report.refused;
      break;
  }
  report.files.push_back(std::move(file));
}

Result<AddReport> LexicalIndex::Add(std::span<const fs::path> paths, ProgressSink* progress,
                                    const StopFlag* stop) {
  TATARA_TRY(const Walk walk, FilesOf({paths.begin(), paths.end()}));
  TATARA_TRY(Transaction transaction, Transaction::Begin(store_->database()));
  AddReport report{.skipped = walk.skipped};
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < walk.files.size(); ++i) {
    if (stop != nullptr && stop->IsSet()) {
      return MakeError(ErrorKind::kCancelled,
                       "stopped after {0} of {1} files; the collection is as it was before", i,
                       walk.files.size());
    }
    if (progress != nullptr) progress->Report(walk.files[i].name, i, walk.files.size());
    TATARA_TRY(FileReport file, AddFile(walk.files[i]));
    Count(report, std::move(file));
    seen.insert(walk.files[i].path);
  }
  for (const std::string& folder : walk.folders) {
    TATARA_TRY(const std::vector<std::string> below, store_->PathsBelow(folder));
    for (const std::string& path : below) {
      if (seen.contains(path)) continue;
      TATARA_TRY(FileReport file, RemovePath(path));
      Count(report, std::move(file));
    }
  }
  TATARA_RETURN_IF_ERROR(transaction.Commit());
  if (progress != nullptr) progress->Report("", walk.files.size(), walk.files.size());
  std::stable_sort(report.files.begin(), report.files.end(),
                   [](const FileReport& a, const FileReport& b) { return a.path < b.path; });
  return report;
}

Result<FileReport> LexicalIndex::AddFile(const FoundFile& file) {
  if (text::FirstInvalidUtf8(file.path)) {
    return FileReport{.path = Printable(file.path),
                      .document = Printable(file.name),
                      .status = FileStatus::kRefused,
                      .reason = Refuse("{0}: the file's name is not UTF-8", Printable(file.path))};
  }
  std::error_code ignored;
  if (!fs::is_regular_file(file.path, ignored)) {
    return RefuseFile(file, Refuse("{0}: not a regular file", file.path));
  }
  const auto format = documents::FormatOfFile(file.path);
  if (!format.ok()) return RefuseFile(file, format.error());
  const auto bytes = ReadWholeFile(file.path, documents::kFileBytesMax);
  if (!bytes.ok()) return RefuseFile(file, bytes.error());
  const std::string sha256 = Sha256Hex(*bytes);
  TATARA_TRY(const std::optional<StoredDocument> before, store_->Find(file.path));
  if (before && before->sha256 == sha256) {
    return FileReport{.path = file.path,
                      .document = before->name,
                      .status = FileStatus::kUnchanged,
                      .n_chunks = before->n_chunks};
  }
  const auto document = documents::ParseDocument(file.path, AsBytes(*bytes), *format);
  if (!document.ok()) return RefuseFile(file, document.error());

  DocumentInfo info{.path = file.path,
                    .title = document->title,
                    .encoding = std::string(text::EncodingName(document->encoding)),
                    .sha256 = sha256,
                    .bytes = bytes->size(),
                    .n_chunks = static_cast<int>(document->chunks.size()),
                    .added_unix = clock_.UnixSeconds()};
  if (before) {
    info.document = before->name;
    TATARA_RETURN_IF_ERROR(store_->Delete(before->id));
  } else {
    TATARA_TRY(info.document, FreeName(file));
  }
  TATARA_RETURN_IF_ERROR(store_->Insert(info, *document));
  return FileReport{.path = file.path,
                    .document = info.document,
                    .status = before ? FileStatus::kUpdated : FileStatus::kAdded,
                    .n_chunks = info.n_chunks};
}

// What the collection had of this file is not what the file says now, so it goes.
Result<FileReport> LexicalIndex::RefuseFile(const FoundFile& file, Error reason) {
  TATARA_TRY(const std::optional<StoredDocument> before, store_->Find(file.path));
  if (before) TATARA_RETURN_IF_ERROR(store_->Delete(before->id));
  return FileReport{.path = file.path,
                    .document = file.name,
                    .status = FileStatus::kRefused,
                    .reason = std::move(reason)};
}

// Names are unique in a collection: with another folder of the same name the parents are added.
Result<std::string> LexicalIndex::FreeName(const FoundFile& file) {
  std::string name = file.name;
  while (true) {
    TATARA_TRY(const bool taken, store_->NameIsTaken(name, file.path));
    if (!taken) return name;
    // `name` is a suffix of the path, so this ends at the path itself, which no other document has.
    const std::size_t rest = file.path.size() - name.size();
    if (rest <= 1) return file.path;
    const std::size_t slash = file.path.rfind('/', rest - 2);
    name = slash == std::string::npos ? file.path : file.path.substr(slash + 1);
  }
}

Result<FileReport> LexicalIndex::RemovePath(const std::string& path) {
  TATARA_TRY(const std::optional<StoredDocument> found, store_->Find(path));
  if (!found)
    return MakeError(ErrorKind::kNotFound, "{0}: no such document in this collection", path);
  TATARA_RETURN_IF_ERROR(store_->Delete(found->id));
  return FileReport{.path = path,
                    .document = found->name,
                    .status = FileStatus::kRemoved,
                    .n_chunks = found->n_chunks};
}

Result<AddReport> LexicalIndex::Remove(std::span<const std::string> names) {
  TATARA_TRY(Transaction transaction, Transaction::Begin(store_->database()));
  AddReport report;
  for (const std::string& name : names) {
    TATARA_TRY(const std::vector<DocumentInfo> documents, store_->List());
    std::error_code ignored;
    const fs::path absolute = fs::weakly_canonical(fs::absolute(name, ignored), ignored);
    std::vector<std::string> paths;
    for (const DocumentInfo& info : documents) {
      if (info.document == name || info.path == name) paths.push_back(info.path);
    }
    if (paths.empty()) {
      TATARA_TRY(paths, store_->PathsBelow(absolute.string()));
    }
    if (paths.empty())
      return MakeError(ErrorKind::kNotFound, "{0}: no such document in this collection", name);
    for (const std::string& path : paths) {
      TATARA_TRY(FileReport file, RemovePath(path));
      Count(report, std::move(file));
    }
  }
  TATARA_RETURN_IF_ERROR(transaction.Commit());
  return report;
}

Result<> LexicalIndex::Weigh(const std::vector<Term>& terms, std::vector<WeightedTerm>& question) {
  TATARA_TRY(const std::int64_t n_chunks, store_->ChunkCount());
  std::map<std::string_view, int> at;
  for (std::size_t i = 0; i < question.size(); ++i)
    at.emplace(question[i].text, static_cast<int>(i));
  std::vector<WeightedTerm> added;
  int previous = -1;
  for (const Term& term : terms) {
    const auto known = at.find(term.text);
    if (known != at.end()) {
      previous = known->second;
      continue;
    }
    TATARA_TRY(const std::int64_t n_with, store_->ChunksWith(term.text));
    const int index = static_cast<int>(question.size() + added.size());
    added.push_back({.text = term.text,
                     .weight = term.weight * InverseDocumentFrequency(n_chunks, n_with),
                     .follows = previous});
    at.emplace(term.text, index);
    previous = index;
    if (added.size() >= kTermsMax) break;
  }
  question.insert(question.end(), added.begin(), added.end());
  return Ok{};
}

Result<> LexicalIndex::Rank(const std::vector<WeightedTerm>& question, int passages_max,
                            SearchResult& result) {
  std::vector<const WeightedTerm*> by_weight;
  for (const WeightedTerm& term : question) by_weight.push_back(&term);
  std::stable_sort(
      by_weight.begin(), by_weight.end(),
      [](const WeightedTerm* a, const WeightedTerm* b) { return a->weight > b->weight; });
  if (by_weight.size() > kTermsMax) by_weight.resize(kTermsMax);
  std::vector<std::string> terms;
  for (const WeightedTerm* term : by_weight) terms.push_back(term->text);
  TATARA_TRY(const std::vector<std::int64_t> ids, store_->ChunksWithAny(terms, kCandidatesMax));

  struct Scored {
    StoredChunk chunk;
    PassageScore score;
  };
  std::vector<Scored> scored;
  for (const std::int64_t id : ids) {
    TATARA_TRY(StoredChunk chunk, store_->Chunk(id));
    const PassageScore score =
        ScorePassage(question, TermsOf(HeadOf(chunk.passage)), TermsOf(chunk.passage.text));
    scored.push_back({std::move(chunk), score});
  }
  std::sort(scored.begin(), scored.end(), [](const Scored& a, const Scored& b) {
    if (a.score.score != b.score.score) return a.score.score > b.score.score;
    if (a.chunk.passage.document != b.chunk.passage.document) {
      return a.chunk.passage.document < b.chunk.passage.document;
    }
    return a.chunk.passage.line_first < b.chunk.passage.line_first;
  });
  result.passages.clear();
  result.coverage = 0;
  for (Scored& one : scored) {
    if (static_cast<int>(result.passages.size()) >= passages_max) break;
    result.coverage = std::max(result.coverage, one.score.coverage);
    one.chunk.passage.score = one.score.score;
    result.passages.push_back(std::move(one.chunk.passage));
  }
  return Ok{};
}

// A ranking by the question in another language leads where it covers its words clearly better;
// otherwise it is left out, for what it finds is then mostly chance and mistranslation. Where it
// leads, the two are taken in turn; scores become shares of their ranking's best.
SearchResult Merged(SearchResult a, SearchResult b, int passages_max) {
  constexpr double kLeadCoverage = 0.3;
  constexpr double kLeadRatio = 1.5;
  if (!a.passages.empty() && (b.coverage < kLeadCoverage || b.coverage < kLeadRatio * a.coverage))
    return a;
  constexpr double kBest = 100;
  for (SearchResult* result : {&a, &b}) {
    const double best = result->passages.empty() ? 1 : result->passages.front().score;
    for (Passage& passage : result->passages) passage.score *= kBest / best;
  }
  SearchResult merged{.coverage = std::max(a.coverage, b.coverage),
                      .expansions = std::move(a.expansions)};
  std::set<std::pair<std::string, int>> seen;
  for (std::size_t i = 0; i < std::max(a.passages.size(), b.passages.size()); ++i) {
    for (SearchResult* result : {&b, &a}) {
      if (i >= result->passages.size() || static_cast<int>(merged.passages.size()) >= passages_max)
        continue;
      Passage& passage = result->passages[i];
      if (seen.emplace(passage.path, passage.line_first).second)
        merged.passages.push_back(std::move(passage));
    }
  }
  return merged;
}

// Whether chunks in another language than the question's are there at all, by words that every text
// has: then it is worth asking for the question's words in it.
Result<bool> LexicalIndex::HasOtherLanguage(std::string_view question) {
  bool japanese = false;
  for (const Term& term : TermsOf(question)) japanese |= term.kind == TermKind::kBigram;
  static const std::vector<std::string> kEnglishWords = {"the", "and", "is"};
  static const std::vector<std::string> kJapaneseWords = {"する", "ます", "こと", "てい"};
  for (const std::string& word : japanese ? kEnglishWords : kJapaneseWords) {
    TATARA_TRY(const std::int64_t n_with, store_->ChunksWith(word));
    if (n_with > 0) return true;
  }
  return false;
}

Result<SearchResult> LexicalIndex::Search(const Query& query) {
  std::string_view text = std::string_view(query.text).substr(0, kQueryBytesMax);
  std::vector<WeightedTerm> question;
  TATARA_RETURN_IF_ERROR(Weigh(TermsOfQuestion(text), question));
  SearchResult result;
  TATARA_RETURN_IF_ERROR(Rank(question, query.passages_max, result));
  if (!query.expand || result.coverage >= kWeakCoverage) return result;
  TATARA_TRY(const bool useful, HasOtherLanguage(text));
  if (!useful) return result;

  TATARA_TRY(result.expansions, query.expand(text));
  for (const std::string& expansion : result.expansions) {
    std::vector<WeightedTerm> other;
    TATARA_RETURN_IF_ERROR(Weigh(TermsOfQuestion(expansion), other));
    SearchResult by_other;
    TATARA_RETURN_IF_ERROR(Rank(other, query.passages_max, by_other));
    result = Merged(std::move(result), std::move(by_other), query.passages_max);
  }
  return result;
}

}  // namespace

Result<> CheckCollectionName(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  const bool good = !name.empty() && name.size() <= kCollectionNameBytesMax &&
                    name.front() != '.' && name.front() != '-' &&
                    std::all_of(name.begin(), name.end(), allowed);
  if (good) return Ok{};
  return Refuse(
      "collection '{0}': a name has 1 to {1} letters (a-z, A-Z), digits, '-', '_' and '.', and "
      "does not "
      "start with '-' or '.'",
      Printable(std::string(name)), kCollectionNameBytesMax);
}

Result<std::vector<std::string>> ListCollections(const fs::path& home) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(FolderOf(home), code); !code && it != fs::directory_iterator();
       it.increment(code)) {
    const fs::path& path = it->path();
    if (path.extension() == ".sqlite" && CheckCollectionName(path.stem().string()).ok()) {
      names.push_back(path.stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string_view FileStatusName(FileStatus status) {
  switch (status) {
    case FileStatus::kAdded:
      return "added";
    case FileStatus::kUpdated:
      return "updated";
    case FileStatus::kUnchanged:
      return "unchanged";
    case FileStatus::kRemoved:
      return "removed";
    case FileStatus::kRefused:
      return "refused";
  }
  return "";
}

Result<std::unique_ptr<Index>> Index::Open(const IndexOptions& options) {
  TATARA_RETURN_IF_ERROR(CheckCollectionName(options.collection));
  const fs::path folder = FolderOf(options.home);
  const fs::path path = folder / (options.collection + ".sqlite");
  std::error_code code;
  if (options.create) {
    fs::create_directories(folder, code);
    if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", folder.string(), code.message());
  } else if (!fs::exists(path, code)) {
    TATARA_TRY(const std::vector<std::string> names, ListCollections(options.home));
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    return MakeError(ErrorKind::kNotFound,
                     "collection '{0}': nothing has been added to it (there are: {1})",
                     options.collection, list.empty() ? "-" : list);
  }
  TATARA_TRY(auto store, Store::Open(path, options.create, options.wait_ms_max));
  const Clock& clock = options.clock != nullptr ? *options.clock : SystemClock();
  return std::unique_ptr<Index>(new LexicalIndex(options.collection, std::move(store), clock));
}

}  // namespace tatara::search
