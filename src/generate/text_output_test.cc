#include "text_output.h"

#include <gtest/gtest.h>

#include "fake_model.h"

namespace tatara::generate {
namespace {

// What StopFilter promises, looked up in the whole text.
std::string CutAtStop(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.substr(end - stop.size(), stop.size()) == stop) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(StopFilter, DoesNotDependOnHowTheTextIsCut) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    std::uint64_t n = 0;
    const auto below = [&](std::uint32_t m) {
      return RandomWords({.seed = seed, .purpose = RandomPurpose::kTest, .position = n++})[0] % m;
    };
    const auto random_text = [&](std::uint32_t size) {
      std::string text;
      while (text.size() < size) text += static_cast<char>('a' + below(3));
      return text;
    };
    const std::string text = random_text(60);
    std::vector<std::string> stops;
    for (std::uint32_t i = below(4); i > 0; --i) stops.push_back(random_text(1 + below(6)));
    StopFilter filter(stops);
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + below(7);
      out += filter.Push(std::string_view(text).substr(at, size));
      ASSERT_EQ(out, CutAtStop(text, stops).substr(0, out.size())) << "gave out what is not final";
      at += size;
    }
    out += filter.Flush();
    ASSERT_EQ(out, CutAtStop(text, stops)) << seed;
    ASSERT_EQ(filter.stopped(), out != text);
  }
}

TEST(StopFilter, HoldsBackOnlyWhatMayBecomeAStop) {
  StopFilter filter({"END", "\n\n"});
  EXPECT_EQ(filter.Push("the E"), "the ");
  EXPECT_EQ(filter.Push("N"), "");
  EXPECT_EQ(filter.Push("T\n"), "ENT");
  EXPECT_EQ(filter.Push("x"), "\nx");
  EXPECT_EQ(filter.Push("EN"), "");
  EXPECT_EQ(filter.Push("D more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.Push("more"), "");
  EXPECT_EQ(filter.Flush(), "");
}

TEST(TextOutput, NeverGivesAPartOfACharacter) {
  const test::FakeTokenizer tokenizer;
  TextOutput output(tokenizer, {"b"});
  EXPECT_EQ(output.Push(31), "");
  EXPECT_EQ(output.Push(32), "");
  EXPECT_EQ(output.Push(33), "あ");
  EXPECT_EQ(output.Push(34), "");
  EXPECT_EQ(output.Push(35), "é");
  EXPECT_EQ(output.Push(34), "");
  EXPECT_EQ(output.Flush(), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace tatara::generate
