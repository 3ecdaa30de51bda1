// What came from what: recorded, found again by name and digest, shown.

#include "tatara/ledger/lineage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "test_support.h"

namespace tatara::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string D(char c) {
  return std::string(64, c);
}

LineageEvent Train() {
  return {.kind = "train",
          .name = "machine-shop",
          .command = {"tatara", "tune", "recipes/machine-shop-lora.toml"},
          .facts = {{"steps", "60"}, {"digest", "\"abc\""}},
          .inputs = {{"model", "smollm2-135m", D('a'), 100}, {"data", "pairs.csv", D('b'), 20}},
          .outputs = {{"adapter", "machine-shop", D('c'), 7}}};
}

LineageEvent Merge() {
  return {
      .kind = "export",
      .name = "merged",
      .inputs = {{"adapter", "machine-shop", D('c'), 7}, {"model", "smollm2-135m", D('a'), 100}},
      .outputs = {{"model", "merged", D('d'), 107}}};
}

class LineageTest : public ::testing::Test {
 protected:
  LineageTest() : sink_(scratch_.path()) {
    EXPECT_TRUE(sink_
                    .Record({.kind = "pull",
                             .name = "smollm2-135m",
                             .outputs = {{"model", "smollm2-135m", D('a'), 100}}})
                    .ok());
    EXPECT_TRUE(sink_.Record(Train()).ok());
    EXPECT_TRUE(sink_.Record(Merge()).ok());
  }
  LineageGraph Graph() { return LineageGraph::Read(scratch_.path()).value(); }
  test::ScratchDir scratch_;
  LedgerSink sink_;
};

TEST_F(LineageTest, RecordsComeBackAsTheyWere) {
  const LineageGraph graph = Graph();
  ASSERT_EQ(graph.records().size(), 3U);
  const LineageRecord& record = graph.records()[1];
  EXPECT_EQ(record.index, 1U);
  EXPECT_EQ(record.event.kind, "train");
  EXPECT_EQ(record.event.command, Train().command);
  EXPECT_EQ(record.event.facts, Train().facts);
  ASSERT_EQ(record.event.inputs.size(), 2U);
  EXPECT_EQ(record.event.inputs[1].name, "pairs.csv");
  EXPECT_EQ(record.event.inputs[1].bytes, 20U);
  EXPECT_EQ(record.numerics_contract, 1);
  EXPECT_TRUE(LineageGraph::Read(scratch_.path() / "nothing")->records().empty());
}

TEST_F(LineageTest, ThingsAreFoundByNameAndByDigest) {
  const LineageGraph graph = Graph();
  EXPECT_EQ(graph.Find("machine-shop").value(), D('c'));
  EXPECT_EQ(graph.Find(D('b')).value(), D('b'));
  EXPECT_EQ(graph.Find("cccccccc").value(), D('c'));
  EXPECT_THAT(graph.Find("machine-shap").error().text(),
              HasSubstr("nearest name is 'machine-shop'"));
  EXPECT_EQ(graph.Find("zzz").error().kind(), ErrorKind::kNotFound);
  ASSERT_TRUE(
      sink_.Record({.kind = "train", .outputs = {{"adapter", "machine-shop", D('e'), 7}}}).ok());
  EXPECT_EQ(Graph().Find("machine-shop").value(), D('e')) << "the newest of a name";
  ASSERT_TRUE(
      sink_.Record({.kind = "x", .outputs = {{"y", "", std::string(63, 'c') + "d", 7}}}).ok());
  EXPECT_THAT(Graph().Find("cccccccc").error().text(), HasSubstr("several"));
}

TEST_F(LineageTest, TheGraphGoesBackToTheBeginning) {
  const LineageGraph graph = Graph();
  EXPECT_THAT(graph.Ancestors(D('d')), ElementsAre(D('d'), D('c'), D('a'), D('b')));
  EXPECT_EQ(graph.Reached().size(), 4U);
  const std::string tree = LineageTree(graph, D('d'));
  EXPECT_THAT(tree, HasSubstr("├─ adapter: machine-shop  cccccccccccc  train"));
  EXPECT_THAT(
      tree, HasSubstr("│  └─ data: pairs.csv  bbbbbbbbbbbb  (where it came from is not recorded)"));
  EXPECT_THAT(tree, HasSubstr("└─ model: smollm2-135m  aaaaaaaaaaaa  pull"));
  EXPECT_THAT(tree, HasSubstr("(shown above)"));
  EXPECT_THAT(LineageMermaid(graph, D('d')),
              HasSubstr("ndddddddddddd -->|\"adapter\"| ncccccccccccc"));
  const auto json = nlohmann::json::parse(LineageJson(graph, D('d')));
  EXPECT_EQ(json["root"], D('d'));
  EXPECT_EQ(json["things"].size(), 4U);
  EXPECT_EQ(json["things"][1]["made_by"]["facts"]["steps"], 60);
  EXPECT_TRUE(json["things"][3]["made_by"].is_null());
}

TEST_F(LineageTest, NamesCannotDrawOnAPageOrATerminal) {
  ASSERT_TRUE(sink_
                  .Record({.kind = "pull\x1b[2J",
                           .name = "<script>alert(1)</script>",
                           .outputs = {{"model", "<img src=x onerror=y>\"#", D('f'), 1}}})
                  .ok());
  const LineageGraph graph = Graph();
  EXPECT_THAT(LineagePage(graph, D('f')), Not(HasSubstr("<img")));
  EXPECT_THAT(LineageTree(graph, D('f')), Not(HasSubstr("\x1b")));
  EXPECT_THAT(LineageMermaid(graph, D('f')), Not(HasSubstr("y>\"#\"")));
}

TEST_F(LineageTest, ARecordThatNamesItselfEnds) {
  ASSERT_TRUE(sink_
                  .Record({.kind = "loop",
                           .inputs = {{"a", "one", D('1'), 1}},
                           .outputs = {{"a", "two", D('2'), 1}}})
                  .ok());
  ASSERT_TRUE(sink_
                  .Record({.kind = "loop",
                           .inputs = {{"a", "two", D('2'), 1}},
                           .outputs = {{"a", "one", D('1'), 1}}})
                  .ok());
  const LineageGraph graph = Graph();
  EXPECT_EQ(graph.Ancestors(D('1')).size(), 2U);
  EXPECT_THAT(LineageTree(graph, D('1')), HasSubstr("(shown above)"));
  EXPECT_THAT(LineagePage(graph, D('1')), HasSubstr("</html>"));
}

TEST_F(LineageTest, WhatIsNoRecordIsRefusedOrPassedOver) {
  LineageEvent event = Train();
  event.inputs[0].sha256 = "abc";
  EXPECT_FALSE(sink_.Record(event).ok());
  event = Train();
  event.facts.emplace_back("bad", "{");
  EXPECT_FALSE(sink_.Record(event).ok());
  for (const char* entry : {"", "{}", "[]", "{\"lineage\":2}", "{\"lineage\":1}", "\xff",
                            "{\"lineage\":1,\"kind\":1}"}) {
    EXPECT_FALSE(ParseLineageEntry(entry, 0, "log").ok()) << entry;
  }
  const auto key = SigningKey::LoadOrCreate(scratch_.path()).value();
  auto log = Log::Open(LedgerFolder(scratch_.path()), kLedgerName, key).value();
  ASSERT_TRUE(log->Append("another kind of entry").ok());
  EXPECT_EQ(Graph().records().size(), 3U);
}

}  // namespace
}  // namespace tatara::ledger
