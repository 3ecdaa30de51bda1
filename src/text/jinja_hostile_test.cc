// Templates come inside model files: whatever they do ends soon, with a refusal that says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tatara/text/chat_template.h"
#include "test_support.h"

namespace tatara::text {
namespace {

using testing::HasSubstr;

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::string Refusal(const std::string& source, const std::string& context = "{}") {
  const auto parsed = ChatTemplate::Parse(source);
  if (!parsed.ok()) return parsed.error().text();
  const auto rendered = parsed.value().Render(context);
  return rendered.ok() ? "not refused, " + std::to_string(rendered.value().size()) + " bytes"
                       : rendered.error().text();
}

struct HostileCase {
  std::string source;
  std::string said;
};

void ExpectRefusals(const std::vector<HostileCase>& cases) {
  for (const HostileCase& hostile : cases) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(Refusal(hostile.source), HasSubstr(hostile.said)) << hostile.source.substr(0, 200);
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(took, std::chrono::seconds(20)) << hostile.source.substr(0, 200);
  }
}

TEST(JinjaHostile, EndlessWorkIsStopped) {
  const std::string loop = "{% for i in range(100000) %}";
  const std::string end = "{% endfor %}";
  ExpectRefusals({
      {loop + loop + end + end, "20000000 steps"},
      {loop + loop + "x" + end + end, "20000000 steps"},
      {loop + "{{ 'あ' * 1000 }}" + end, "the limit"},
      {loop + "{{ range(100000)|list|length }}" + end, "the limit"},
      {loop + "{% set x = range(100000)|map('string')|join %}" + end, "the limit"},
      {loop + "{{ range(100000)|sort|first }}" + end, "the limit"},
      {"{% set t = 'ab' * 1000000 %}" + loop + "{{ 'b' * 999999 in t }}" + end, "the limit"},
      {"{% set t = 'あ' * 1000000 %}" + loop + "{{ t[5] }}" + end, "the limit"},
      {"{% set t = 'a ' * 1000000 %}" + loop + "{% set q = t.split() %}" + end, "the limit"},
      {"{% set t = 'x' * 1000000 %}" + loop + "{{ t|upper|length }}" + end, "the limit"},
  });
}

TEST(JinjaHostile, MemoryIsBounded) {
  ExpectRefusals({
      {"{{ 'a' * 10 ** 9 }}", "268435456 bytes"},
      {"{{ ('a' * 10 ** 6) * 10 ** 12 }}", "268435456 bytes"},
      {"{{ [0] * 10 ** 9 }}", "268435456 bytes"},
      {"{{ ([0] * 10 ** 4) * 10 ** 4 }}", "268435456 bytes"},
      {"{{ 'a' * 40000000 }}", "33554432 bytes"},
      {"{% set ns = namespace(t='aa') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}"
       "{% endfor %}",
       "268435456 bytes"},
      {"{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}"
       "{% endfor %}",
       "268435456 bytes"},
      {"{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "the limit"},
      {"{{ '%999999999d' % 1 }}", "format"},
      {"{{ '{:999999999}'.format(1) }}", "format"},
      {"{{ '%*d' % (999999999, 1) }}", "%*"},
      {"{{ 'x'.center(10 ** 12) }}", "268435456 bytes"},
      {"{{ 'x'.zfill(10 ** 12) }}", "268435456 bytes"},
      {"{{ 'a\\nb'|indent(10 ** 12) }}", "268435456 bytes"},
      {"{{ [[1]]|tojson(indent=10 ** 12) }}", "268435456 bytes"},
      {"{{ ('a' * 10 ** 6)|replace('', 'b' * 1000) }}", "268435456 bytes"},
      {"{{ (['x' * 10 ** 6] * 10 ** 3)|join }}", "268435456 bytes"},
      {"{{ [1]|batch(10 ** 12, 'x')|list }}", "batch"},
      {"{{ [1]|slice(10 ** 12)|list }}", "slice"},
      {"{{ range(10 ** 15) }}", "100000"},
      {"{{ range(-9223372036854775807, 9223372036854775807) }}", "100000"},
      {"{{ range(10 ** 18, -(10 ** 18), -1) }}", "100000"},
  });
}

TEST(JinjaHostile, DepthIsBounded) {
  ExpectRefusals({
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper"},
      {"{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}", "nested deeper"},
      {"{% macro m() %}{% call m() %}{% endcall %}{{ caller }}{% endmacro %}{{ m() }}",
       "nested deeper"},
      {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested deeper"},
      {"{{ " + Repeat("(", 5000) + "1" + Repeat(")", 5000) + " }}", "nested deeper"},
      {"{{ " + Repeat("[", 5000) + Repeat("]", 5000) + " }}", "nested deeper"},
      {"{{ " + Repeat("{1:", 5000) + "1" + Repeat("}", 5000) + " }}", "nested deeper"},
      {"{{ " + Repeat("not ", 5000) + "1 }}", "nested deeper"},
      {"{{ " + Repeat("- ", 5000) + "1 }}", "nested deeper"},
      {"{{ 1" + Repeat(" + 1", 5000) + " }}", "nested deeper"},
      {"{{ 1" + Repeat("|abs", 5000) + " }}", "nested deeper"},
      {"{{ x" + Repeat(".y", 5000) + " }}", "nested deeper"},
      {"{{ x" + Repeat("[0]", 5000) + " }}", "nested deeper"},
      {"{{ x" + Repeat("()", 5000) + " }}", "nested deeper"},
      {"{{ " + Repeat("f(", 5000) + Repeat(")", 5000) + " }}", "nested deeper"},
      {"{{ 1" + Repeat(" if 1 else 1", 5000) + " }}", "nested deeper"},
      {"{{ 1" + Repeat(" or 1", 5000) + " }}", "nested deeper"},
      {"{{ 1" + Repeat(" is eq 1", 5000) + " }}", "nested deeper"},
      {Repeat("{% if 1 %}", 5000) + Repeat("{% endif %}", 5000), "nested deeper"},
      {Repeat("{% for x in [1] %}", 5000), "nested deeper"},
      {"{% set " + Repeat("(", 5000) + "x" + Repeat(")", 5000) + " = 1 %}", "nested deeper"},
      {"{% set ns = namespace(v=1) %}{% for i in range(5000) %}{% set ns.v = [ns.v] %}"
       "{% endfor %}{{ ns.v }}",
       "nested deeper"},
      {"{% set ns = namespace(v=1) %}{% for i in range(5000) %}{% set ns.v = [ns.v] %}"
       "{% endfor %}{{ ns.v|tojson }}",
       "nested deeper"},
      {"{% set n = namespace(v=1, w=1) %}{% for i in range(5000) %}{% set n.v = [n.v] %}"
       "{% set n.w = [n.w] %}{% endfor %}{{ n.v == n.w }}",
       "nested deeper"},
      {"{% set n = namespace(v=1) %}{% for i in range(5000) %}{% set n.v = (n.v,) %}"
       "{% endfor %}{{ {n.v: 1} }}",
       "nested deeper"},
      {"{% set n = namespace(v=1, w=1) %}{% for i in range(5000) %}{% set n.v = [n.v] %}"
       "{% set n.w = [n.w] %}{% endfor %}{{ [n.v, n.w]|sort }}",
       "nested deeper"},
  });
}

TEST(JinjaHostile, ANamespaceThatHoldsItselfIsNoLeakAndNoLoop) {
  EXPECT_EQ(Refusal("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me.me is defined }}"),
            "not refused, 4 bytes");
  EXPECT_THAT(Refusal("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me }}"),
              HasSubstr("str(namespace)"));
}

TEST(JinjaHostile, SmallStacksSuffice) {
  // A server's worker thread; half of the usual stack.
  std::string said;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 4u << 20);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* out) -> void* {
                  *static_cast<std::string*>(out) = Refusal(
                      "{% macro m(x) %}{% if x %}{% for i in [1] %}{{ (m(x|map('upper')|list)) "
                      "}}{% endfor %}{% endif %}{% endmacro %}{{ m(['a']) }}");
                  return nullptr;
                },
                &said),
            0);
  pthread_join(thread, nullptr);
  EXPECT_THAT(said, HasSubstr("nested deeper"));
}

TEST(JinjaHostile, BrokenInputIsRefusedWithItsPlace) {
  EXPECT_THAT(Refusal("a\nb\n{{ nope.x }}"), HasSubstr("line 3: 'nope' is undefined"));
  EXPECT_THAT(Refusal("\n{% include 'x' %}"), HasSubstr("line 2: the statement 'include'"));
  EXPECT_THAT(Refusal("{% extends 'x' %}"), HasSubstr("'extends'"));
  EXPECT_THAT(Refusal("{{ x|wordwrap }}"), HasSubstr("the filter 'wordwrap'"));
  EXPECT_THAT(Refusal("{{ x is strange }}"), HasSubstr("the test 'strange'"));
  EXPECT_THAT(Refusal("{{ 'x'.encode() }}"), HasSubstr("'str.encode' is not known"));
  EXPECT_THAT(Refusal("\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(Refusal(std::string("\xed\xa0\x80")), HasSubstr("not UTF-8"));
  EXPECT_THAT(Refusal("{{ '\\ud800' }}"), HasSubstr("\\ud800"));
  EXPECT_THAT(Refusal(std::string((1 << 20) + 1, 'x')), HasSubstr("1048576 bytes"));
  EXPECT_THAT(Refusal("{{ 9223372036854775807 + 1 }}"), HasSubstr("64-bit"));
  EXPECT_THAT(Refusal("{{ -9223372036854775807 - 2 }}"), HasSubstr("64-bit"));
  EXPECT_THAT(Refusal("{{ (-9223372036854775807 - 1) // -1 }}"), HasSubstr("64-bit"));
  EXPECT_THAT(Refusal("{{ 2 ** 10 ** 9 }}"), HasSubstr("64-bit"));
  EXPECT_THAT(Refusal("{{ (-9223372036854775807 - 1)|abs }}"), HasSubstr("64-bit"));
}

TEST(JinjaHostile, ContextsAreChecked) {
  EXPECT_THAT(Refusal("x", "[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Refusal("x", "{\"a\": }"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(Refusal("x", ""), HasSubstr("not JSON at byte"));
  EXPECT_THAT(Refusal("x", "{} {}"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(Refusal("x", "{\"a\": 1e999}"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("x", "{\"a\": \"\xff\"}"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("x", Repeat("{\"a\":", 5000)), HasSubstr("nested deeper than 200"));
  EXPECT_THAT(Refusal("x", "{\"a\":" + Repeat("[", 100000)), HasSubstr("nested deeper than 200"));
  EXPECT_THAT(Refusal("{{ strftime_now('%Y') }}", "{\"strftime_now_unix\": \"x\"}"),
              HasSubstr("strftime_now_unix"));
  EXPECT_THAT(Refusal("{{ strftime_now('%Y') }}", "{\"strftime_now_unix\": 9223372036854775807}"),
              HasSubstr("strftime_now"));
  EXPECT_THAT(Refusal("{{ strftime_now('%Q') }}"), HasSubstr("'%Q'"));
  EXPECT_EQ(Refusal("{{ strftime_now('%Y') }}", "{\"strftime_now_unix\": -1}"),
            "not refused, 4 bytes");
}

TEST(JinjaHostile, OneTemplateServesManyThreads) {
  const auto parsed = ChatTemplate::Parse(
      "{% macro m(x) %}{{ x|upper }}{% endmacro %}{% for i in items %}{{ m(i) }}{% endfor %}");
  ASSERT_TRUE(parsed.ok());
  std::vector<std::thread> threads;
  std::vector<std::string> found(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        found[t] = parsed.value().Render("{\"items\": [\"a\", \"あ\", \"b\"]}").value();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : found) EXPECT_EQ(text, "AあB");
}

}  // namespace
}  // namespace tatara::text
