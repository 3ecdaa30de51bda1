// A knowledge base: documents of one collection, found again by a question.
//
// Behind this interface stands a lexical engine (SQLite FTS5 over folded character bigrams and
// words); other engines (vectors, fusion) will stand behind the same one.
//
// What Add promises: one call is one transaction. Whatever stops it (refusal, full disk, kill -9,
// power), the collection answers as before the call, or wholly as after it. Readers are never
// blocked; a second writer waits up to IndexOptions::wait_ms_max and is then told. Thread safety:
// one thread at a time per object; several objects and processes may use one collection.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::search {

inline constexpr std::string_view kDefaultCollection = "default";
inline constexpr std::size_t kCollectionNameBytesMax = 64;
inline constexpr std::size_t kFilesPerAddMax = 100'000;
inline constexpr int kFolderDepthMax = 64;
inline constexpr std::size_t kQueryBytesMax = 16 * 1024;  // more of a query is not searched for

struct IndexOptions {
  std::filesystem::path
      home;  // empty: TataraHome(); collections lie in home/collections/NAME.sqlite
  std::string collection = std::string(kDefaultCollection);
  int wait_ms_max = 10'000;
  // A missing collection is created only for adding; otherwise it is kNotFound, naming those there
  // are.
  bool create = false;
  const Clock* clock = nullptr;  // null: the system's
};

// Letters, digits, '-', '_' and '.', not starting with '.' or '-', at most kCollectionNameBytesMax.
Result<> CheckCollectionName(std::string_view name);
// Names, sorted.
Result<std::vector<std::string>> ListCollections(const std::filesystem::path& home);

enum class FileStatus { kAdded, kUpdated, kUnchanged, kRemoved, kRefused };
std::string_view FileStatusName(FileStatus status);  // "added", "updated", ...

struct FileReport {
  std::string path;      // absolute
  std::string document;  // the name that citations show
  FileStatus status = FileStatus::kUnchanged;
  std::optional<Error> reason;  // with kRefused
  int n_chunks = 0;
};

struct AddReport {
  std::vector<FileReport> files;  // by path
  int added = 0;
  int updated = 0;
  int unchanged = 0;
  int removed = 0;
  int refused = 0;
  int skipped = 0;  // other extensions, hidden files and folders, symbolic links: not read
};

struct DocumentInfo {
  std::string
      document;  // name that citations show: "FOLDER/sub/file.md" below the folder that was added
  std::string path;  // absolute
  std::string title;
  std::string encoding;
  std::string sha256;  // of the file's bytes when it was read
  std::uint64_t bytes = 0;
  int n_chunks = 0;
  std::int64_t added_unix = 0;
};

struct Passage {
  std::string document;
  std::string path;
  std::string document_sha256;
  std::string title;
  std::vector<std::string> heading_path;
  int line_first = 0;  // 1-based, inclusive
  int line_last = 0;
  std::string text;        // exactly as in the document (UTF-8, line ends "\n")
  std::string table_head;  // heading rows of a table that starts before this passage
  double score = 0;        // higher is better; comparable within one answer only
};

// Further words to search for (other words, another language, another script) for a question whose
// own words find little. May be slow (a language model writes them); called at most once per
// search.
using Expander = std::function<Result<std::vector<std::string>>(std::string_view question)>;

struct Query {
  std::string text;
  int passages_max = 8;
  Expander expand;  // may be empty
};

struct SearchResult {
  std::vector<Passage> passages;  // best first
  // Share of the question's weight (rare words weigh more) that the best passage contains, 0..1.
  double coverage = 0;
  std::vector<std::string> expansions;  // what Query::expand gave; empty when it was not asked
};

class Index {
 public:
  static Result<std::unique_ptr<Index>> Open(const IndexOptions& options);
  virtual ~Index() = default;

  // Files, and folders with all that is below them: .md .markdown .txt .text. Unchanged files (by
  // digest) are left alone; documents that are gone below a given folder are removed; a file that
  // cannot be read any more is refused and no longer answers. Hidden names and symbolic links below
  // a folder are skipped; a path given here may itself be a link. `progress` and `stop` may be
  // null.
  virtual Result<AddReport> Add(std::span<const std::filesystem::path> paths,
                                ProgressSink* progress, const StopFlag* stop) = 0;
  // Documents by file, by folder, or by the name that citations show; kNotFound where there is
  // none.
  virtual Result<AddReport> Remove(std::span<const std::string> names) = 0;
  // By document name.
  virtual Result<std::vector<DocumentInfo>> List() = 0;

  virtual Result<SearchResult> Search(const Query& query) = 0;

  // The whole text of a document as it was read when it was added; by Passage::path.
  virtual Result<std::string> StoredText(std::string_view path) = 0;

  virtual const std::string& collection() const = 0;
};

}  // namespace tatara::search
