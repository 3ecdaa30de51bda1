#include "text_shape.h"

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "tatara/base/check.h"
#include "unicode_categories.h"
#include "utf8.h"

namespace tatara::text {
namespace {

constexpr std::size_t kCodePoints = 0x110000;
constexpr std::uint8_t kFirstCategory = 0x80;
// The only white space outside ASCII whose category (Cc) is not a separator's.
constexpr char32_t kNextLine = 0x85;
// Outside ASCII only these fold to an ASCII letter (CaseFolding.txt, statuses C and S).
constexpr char32_t kLongS = 0x17F, kKelvin = 0x212A;
constexpr std::uint8_t kNextLineShape = kFirstCategory + kGeneralCategories;
constexpr std::uint8_t kLongSShape = kNextLineShape + 1;
constexpr std::uint8_t kKelvinShape = kNextLineShape + 2;

// Of every code point.
const std::uint8_t* ShapeTable() {
  static const std::unique_ptr<std::uint8_t[]> table = [] {
    std::unique_ptr<std::uint8_t[]> shapes(new std::uint8_t[kCodePoints]);
    const std::uint8_t* categories = GeneralCategoryTable();
    for (std::size_t c = 0; c < kCodePoints; ++c) {
      shapes[c] = c < 0x80 ? static_cast<std::uint8_t>(c)
                           : static_cast<std::uint8_t>(kFirstCategory + categories[c]);
    }
    shapes[kNextLine] = kNextLineShape;
    shapes[kLongS] = kLongSShape;
    shapes[kKelvin] = kKelvinShape;
    return shapes;
  }();
  return table.get();
}

// Which of the 256 shapes belong to something.
using ShapeSet = std::array<bool, 256>;

// A character of each shape; category and white space are one for all that share a shape. -1: no
// such shape.
const std::array<std::int32_t, 256>& CharacterOfShape() {
  static const std::array<std::int32_t, 256> characters = [] {
    std::array<std::int32_t, 256> first;
    first.fill(-1);
    const std::uint8_t* shapes = ShapeTable();
    for (std::size_t c = kCodePoints; c-- > 0;) first[shapes[c]] = static_cast<std::int32_t>(c);
    return first;
  }();
  return characters;
}

template <typename Predicate>
ShapeSet ShapesWhere(const Predicate& holds) {
  ShapeSet set{};
  for (std::size_t shape = 0; shape < set.size(); ++shape) {
    const std::int32_t c = CharacterOfShape()[shape];
    set[shape] = c >= 0 && holds(static_cast<char32_t>(c));
  }
  return set;
}

ShapeSet ShapesOfCategory(std::string_view name) {
  return ShapesWhere([&](char32_t c) { return NameOf(CategoryOf(c)).starts_with(name); });
}

std::string ClassItems(const ShapeSet& set) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string items;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (set[i]) items += {'\\', 'x', kHex[i >> 4], kHex[i & 15]};
  }
  return items;
}

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// All that a letter equals when case is ignored, as a class.
std::string CaselessClass(char letter) {
  const char lower = static_cast<char>(letter | 0x20);
  ShapeSet set{};
  set[static_cast<unsigned char>(lower)] = set[static_cast<unsigned char>(lower - 0x20)] = true;
  if (lower == 's') set[kLongSShape] = true;
  if (lower == 'k') set[kKelvinShape] = true;
  return "[" + ClassItems(set) + "]";
}

class Translator {
 public:
  explicit Translator(std::string_view expression) : rest_(expression) {}

  std::string Run() {
    while (!rest_.empty()) Step();
    TATARA_CHECK(!in_class_ && groups_.empty());
    return std::move(out_);
  }

 private:
  char Take() {
    TATARA_CHECK(!rest_.empty());
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  void Step() {
    const char c = Take();
    TATARA_CHECK(static_cast<unsigned char>(c) < 0x80);
    if (c == '\\') {
      Escape();
    } else if (in_class_) {
      in_class_ = c != ']';
      TATARA_CHECK(!Caseless() || !in_class_ || !IsLetter(c));
      out_ += c;
    } else if (c == '[') {
      in_class_ = true;
      out_ += c;
    } else if (c == '(') {
      Open();
    } else if (c == ')') {
      TATARA_CHECK(!groups_.empty());
      groups_.pop_back();
      out_ += c;
    } else if (Caseless() && IsLetter(c)) {
      out_ += CaselessClass(c);
    } else {
      out_ += c;
    }
  }

  bool Caseless() const { return !groups_.empty() && groups_.back(); }

  void Open() {
    const bool inherited = Caseless();
    out_ += '(';
    constexpr std::string_view kIgnoreCase = "?i:";
    if (rest_.starts_with(kIgnoreCase)) {
      rest_.remove_prefix(kIgnoreCase.size());
      out_ += "?:";
      groups_.push_back(true);
      return;
    }
    for (const std::string_view opening : {"?:", "?=", "?!", "?<=", "?<!", "?>"}) {
      if (!rest_.starts_with(opening)) continue;
      rest_.remove_prefix(opening.size());
      out_ += opening;
      break;
    }
    groups_.push_back(inherited);
  }

  void Escape() {
    const char kind = Take();
    switch (kind) {
      case 's':
      case 'S':
        Set(ShapesWhere(IsWhiteSpace), kind == 'S');
        break;
      case 'p':
      case 'P': {
        TATARA_CHECK(Take() == '{');
        std::string name;
        for (char c; (c = Take()) != '}';) name += c;
        TATARA_CHECK(name.size() <= 2);
        Set(ShapesOfCategory(name), kind == 'P');
        break;
      }
      default:
        // Not a class of the library's own: those know nothing of shapes.
        TATARA_CHECK(!IsLetter(kind) || kind == 'r' || kind == 'n' || kind == 't');
        out_ += '\\';
        out_ += kind;
    }
  }

  void Set(ShapeSet set, bool negated) {
    if (negated) {
      for (bool& member : set) member = !member;
    }
    const std::string items = ClassItems(set);
    TATARA_CHECK(!items.empty());
    out_ += in_class_ ? items : "[" + items + "]";
  }

  std::string_view rest_;
  std::string out_;
  bool in_class_ = false;
  std::vector<bool> groups_;  // of each open group, whether case is ignored in it
};

}  // namespace

bool AppendShape(std::string_view text, std::string& shape) {
  const std::uint8_t* shapes = ShapeTable();
  const char invalid = static_cast<char>(shapes[0xFFFD]);
  bool valid = true;
  for (;;) {
    const std::size_t n_ascii = AsciiPrefix(text);
    shape.append(text.substr(0, n_ascii));
    text.remove_prefix(n_ascii);
    if (text.empty()) return valid;
    // Scripts outside ASCII come in runs.
    do {
      const Utf8Sequence sequence = ReadUtf8(text);
      shape += sequence.valid ? static_cast<char>(shapes[sequence.code_point]) : invalid;
      valid &= sequence.valid;
      text.remove_prefix(sequence.length);
    } while (!text.empty() && static_cast<unsigned char>(text[0]) >= 0x80);
  }
}

std::string ShapeExpression(std::string_view expression) {
  return Translator(expression).Run();
}

}  // namespace tatara::text
