// The graph above one thing as a tree of lines, as Mermaid, as JSON and as a page.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tatara/base/html.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/lineage.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShownDigits = 12;
constexpr int kDepthMax = 64;  // of trees that people read

std::string ShortDigest(std::string_view sha256) {
  return std::string(sha256.substr(0, kShownDigits));
}

// What is known of the bytes of a digest: from the record that made them, else from one that used
// them.
LineagePart PartOf(const LineageGraph& graph, const std::string& sha256) {
  if (const LineageRecord* maker = graph.MakerOf(sha256)) {
    for (const LineagePart& part : maker->event.outputs) {
      if (part.sha256 == sha256) return part;
    }
  }
  for (const LineageRecord& record : graph.records()) {
    for (const LineagePart& part : record.event.inputs) {
      if (part.sha256 == sha256) return part;
    }
  }
  return {.sha256 = sha256};
}

std::string NameOf(const LineagePart& part, const LineageRecord* maker) {
  if (!part.name.empty()) return part.name;
  if (maker != nullptr && !maker->event.name.empty()) return maker->event.name;
  return Tr("(no name)");
}

std::string CommandOf(const LineageRecord& record) {
  return fmt::format("{}", fmt::join(record.event.command, " "));
}

// Control characters of names would move a terminal's cursor.
std::string Plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
}

// What records say of kinds, roles and facts in words of their own; others are shown as they are.
constexpr const char* kKnownWords[] = {
    MarkText("train"),        MarkText("tune"),
    MarkText("prepare"),      MarkText("export"),
    MarkText("pull"),         MarkText("index"),
    MarkText("recipe"),       MarkText("recipe text"),
    MarkText("data"),         MarkText("text"),
    MarkText("weights"),      MarkText("model"),
    MarkText("base"),         MarkText("run"),
    MarkText("adapter"),      MarkText("held-out"),
    MarkText("document"),     MarkText("tokenizer"),
    MarkText("folder"),       MarkText("finished"),
    MarkText("steps"),        MarkText("training_loss"),
    MarkText("best_step"),    MarkText("best_validation_loss"),
    MarkText("parameters"),   MarkText("flops_per_step"),
    MarkText("seconds"),      MarkText("isa"),
    MarkText("threads"),      MarkText("workers"),
    MarkText("resumed_from"), MarkText("validation_loss"),
};
std::string InWords(const std::string& name) {
  const bool known = std::ranges::find(kKnownWords, name, [](const char* word) {
                       return std::string_view(word);
                     }) != std::end(kKnownWords);
  return known ? Tr(name) : name;
}

struct TreeText {
  const LineageGraph& graph;
  std::set<std::string> shown;
  std::string text;

  void Add(const std::string& sha256, std::string_view role, const std::string& first,
           const std::string& rest, int depth) {
    const LineageRecord* maker = graph.MakerOf(sha256);
    const LineagePart part = PartOf(graph, sha256);
    text += first + (role.empty() ? "" : Plain(InWords(std::string(role))) + ": ") +
            Plain(NameOf(part, maker)) + "  " + ShortDigest(sha256);
    if (maker == nullptr) {
      text += "  " + Tr("(where it came from is not recorded)") + "\n";
      return;
    }
    text += fmt::format("  {}  {}", Plain(InWords(maker->event.kind)), Plain(maker->created_utc));
    if (!shown.insert(sha256).second || depth >= kDepthMax) {
      text += "  " + Tr("(shown above)") + "\n";
      return;
    }
    text += "\n";
    if (!maker->event.command.empty()) text += rest + "    $ " + Plain(CommandOf(*maker)) + "\n";
    const std::vector<LineagePart>& inputs = maker->event.inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool last = i + 1 == inputs.size();
      Add(inputs[i].sha256, inputs[i].role, rest + (last ? "└─ " : "├─ "),
          rest + (last ? "   " : "│  "), depth + 1);
    }
  }
};

std::string EscapedHtml(std::string_view text) {
  return EscapeHtml(Plain(text));
}

// Mermaid takes no quotes inside a label, and reads #NAME; as a character.
std::string EscapedMermaid(std::string_view text) {
  std::string out;
  for (const char c : Plain(text)) {
    if (c == '"') {
      out += "#quot;";
    } else if (c == '#') {
      out += "#35;";
    } else {
      out += c;
    }
  }
  return out;
}

// A fact is JSON; a text is shown without its quotes.
std::string FactText(const std::string& value) {
  const Json json = Json::parse(value, nullptr, /*allow_exceptions=*/false);
  return json.is_string() ? json.get<std::string>() : value;
}

struct PageText {
  const LineageGraph& graph;
  std::set<std::string> shown;
  std::string html;

  void Row(const std::string& name, const std::string& value) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", EscapedHtml(name), value);
  }
  void Facts(const LineageRecord& record, const LineagePart& part) {
    html += "<dl>";
    Row(Tr("SHA-256"), "<code>" + part.sha256 + "</code>");
    if (part.bytes > 0) Row(Tr("Size"), Tr("{0} bytes", part.bytes));
    Row(Tr("Made by"), EscapedHtml(InWords(record.event.kind)));
    Row(Tr("When"), EscapedHtml(record.created_utc));
    Row(Tr("Program"), EscapedHtml(Tr("Tatara {0}, numerics contract {1}", record.program_version,
                                      record.numerics_contract)));
    Row(Tr("Recorded"), EscapedHtml(record.index ? Tr("log entry {0}", *record.index)
                                                 : Tr("in the receipt itself, which is signed")));
    if (!record.event.command.empty()) {
      Row(Tr("Command"), "<code>" + EscapedHtml(CommandOf(record)) + "</code>");
    }
    for (const auto& [name, value] : record.event.facts) {
      Row(InWords(name), "<code>" + EscapedHtml(FactText(value)) + "</code>");
    }
    html += "</dl>";
  }
  void Add(const std::string& sha256, std::string_view role, int depth) {
    const LineageRecord* maker = graph.MakerOf(sha256);
    const LineagePart part = PartOf(graph, sha256);
    const std::string heading =
        (role.empty()
             ? ""
             : "<span class=role>" + EscapedHtml(InWords(std::string(role))) + "</span> ") +
        "<b>" + EscapedHtml(NameOf(part, maker)) + "</b> <code>" + ShortDigest(sha256) + "</code>";
    if (maker == nullptr) {
      html +=
          fmt::format("<li>{} <i>{}</i></li>", heading, Tr("(where it came from is not recorded)"));
      return;
    }
    if (!shown.insert(sha256).second || depth >= kDepthMax) {
      html += fmt::format("<li>{} <i>{}</i></li>", heading, Tr("(shown above)"));
      return;
    }
    html += fmt::format("<li><details open><summary>{}</summary>", heading);
    Facts(*maker, part);
    if (!maker->event.inputs.empty()) {
      html += "<ul>";
      for (const LineagePart& input : maker->event.inputs) Add(input.sha256, input.role, depth + 1);
      html += "</ul>";
    }
    html += "</details></li>";
  }
};

constexpr std::string_view kStyle =
    "body{font:16px/1.6 system-ui,'Noto Sans JP','Hiragino Sans','Yu Gothic UI',sans-serif;"
    "max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}"
    "ul{list-style:none;padding-left:1.2rem;border-left:2px solid #d5dae1}"
    "body>ul{border:0;padding:0}li{margin:.6rem 0}summary{cursor:pointer}"
    "code{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    ".role{color:#57606a}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;"
    "margin:.3rem 0 .3rem 1rem}dt{color:#57606a}dd{margin:0}"
    "@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}"
    "ul{border-color:#3a4048}.role,dt{color:#9aa4af}}";

}  // namespace

std::string LineageTree(const LineageGraph& graph, const std::string& sha256) {
  TreeText tree{graph, {}, {}};
  tree.Add(sha256, "", "", "", 0);
  return tree.text;
}

std::string LineageMermaid(const LineageGraph& graph, const std::string& sha256) {
  std::string text = "graph RL\n";
  const std::vector<std::string> digests = graph.Ancestors(sha256);
  for (const std::string& digest : digests) {
    const LineageRecord* maker = graph.MakerOf(digest);
    text += fmt::format("  n{0}[\"{1}<br/>{0}\"]\n", ShortDigest(digest),
                        EscapedMermaid(NameOf(PartOf(graph, digest), maker)));
  }
  for (const std::string& digest : digests) {
    const LineageRecord* maker = graph.MakerOf(digest);
    if (maker == nullptr) continue;
    for (const LineagePart& part : maker->event.inputs) {
      text += fmt::format("  n{} -->|\"{}\"| n{}\n", ShortDigest(digest), EscapedMermaid(part.role),
                          ShortDigest(part.sha256));
    }
  }
  return text;
}

std::string LineageJson(const LineageGraph& graph, const std::string& sha256) {
  Json things = Json::array();
  for (const std::string& digest : graph.Ancestors(sha256)) {
    const LineagePart part = PartOf(graph, digest);
    Json thing = {{"sha256", digest}, {"name", part.name}, {"bytes", part.bytes}};
    if (const LineageRecord* maker = graph.MakerOf(digest)) {
      Json facts = Json::object();
      for (const auto& [name, value] : maker->event.facts) {
        facts[name] = Json::parse(value, nullptr, /*allow_exceptions=*/false);
      }
      Json inputs = Json::array();
      for (const LineagePart& input : maker->event.inputs) {
        inputs.push_back({{"role", input.role}, {"name", input.name}, {"sha256", input.sha256}});
      }
      thing["made_by"] = {{"kind", maker->event.kind},
                          {"entry", maker->index ? Json(*maker->index) : Json()},
                          {"created", maker->created_utc},
                          {"program", maker->program_version},
                          {"contract", maker->numerics_contract},
                          {"command", maker->event.command},
                          {"facts", std::move(facts)},
                          {"inputs", std::move(inputs)}};
    } else {
      thing["made_by"] = nullptr;
    }
    things.push_back(std::move(thing));
  }
  return Json{{"root", sha256}, {"things", std::move(things)}}.dump(-1, ' ', false,
                                                                    Json::error_handler_t::replace);
}

std::string LineagePage(const LineageGraph& graph, const std::string& sha256) {
  PageText page{graph, {}, {}};
  page.Add(sha256, "", 0);
  const std::string title =
      Tr("What {0} was made of", NameOf(PartOf(graph, sha256), graph.MakerOf(sha256)));
  return fmt::format(
      "<!doctype html><html lang=\"{0}\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{1}</title><style>{2}</style><h1>{1}</h1>"
      "<ul>{3}</ul></html>\n",
      CurrentLanguage() == Language::kJapanese ? "ja" : "en", EscapedHtml(title), kStyle,
      page.html);
}

}  // namespace tatara::ledger
