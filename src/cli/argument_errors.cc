#include "argument_errors.h"

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "parse_shared.h"
#include "tatara/base/nearest.h"

namespace tatara::cli {
namespace {

// The command whose arguments were wrong, and its name as it is typed.
struct Place {
  const CLI::App* command;
  std::string name = "tatara";
};

Place Innermost(const CLI::App& app) {
  Place place{&app};
  for (;;) {
    const std::vector<CLI::App*> chosen = place.command->get_subcommands();
    if (chosen.empty()) return place;
    place.command = chosen.back();
    place.name += " " + place.command->get_name();
  }
}

std::string NearestOf(std::string_view word, const std::vector<std::string>& names) {
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  return Nearest(word, candidates);
}

Error UnknownCommand(const Place& place, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : place.command->get_subcommands(nullptr)) {
    names.push_back(command->get_name());
  }
  const std::string near = NearestOf(word, names);
  if (!near.empty()) {
    return Refuse("'{0}' is no command of {1}; did you mean '{2}'?", word, place.name, near);
  }
  return Refuse("'{0}' is no command of {1} (see: {1} --help)", word, place.name);
}

Error Unexpected(const Place& place, const std::string& word) {
  if (!word.starts_with('-')) {
    return Refuse("'{0}': one argument more than {1} takes (see: {1} --help)", word, place.name);
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : place.command->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::string near = NearestOf(word.substr(0, word.find('=')), names);
  if (!near.empty()) {
    return Refuse("'{0}' is no option of {1}; did you mean {2}?", word, place.name, near);
  }
  return Refuse("'{0}' is no option of {1} (see: {1} --help)", word, place.name);
}

// Words that nobody took, the first option among them first: what follows it is its value.
std::string FirstExtra(const CLI::App& app) {
  const std::vector<std::string> extras = app.remaining(/*recurse=*/true);
  for (const std::string& word : extras) {
    if (word.starts_with('-')) return word;
  }
  return extras.empty() ? std::string() : extras.front();
}

// The text before `mark`, which is cut off with it; nothing where it is not there.
std::optional<std::string> CutBefore(std::string& text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return std::nullopt;
  std::string before = text.substr(0, at);
  text.erase(0, at + mark.size());
  return before;
}

// CLI11 writes the bounds of numbers with six decimals.
std::string WithoutZeros(std::string number) {
  if (number.find('.') == std::string::npos) return number;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.ends_with('.')) number.pop_back();
  return number;
}

// "OPTION: Value V not in range A to B", "OPTION: V not in {a,b}", or a validator's own words.
Error WrongValue(const Place& place, std::string text) {
  const std::string whole = text;
  const auto option = CutBefore(text, ": ");
  if (option && text == kEmptyValue) {
    return Refuse("{0}: its value is empty (see: {1} --help)", *option, place.name);
  }
  if (option && text.starts_with("Value ")) {
    CutBefore(text, "Value ");
    const auto value = CutBefore(text, " not in range ");
    const auto least = CutBefore(text, " to ");
    if (value && least) {
      return Refuse("{0}: found '{1}', expected a number from {2} to {3} (see: {4} --help)",
                    *option, *value, WithoutZeros(*least), WithoutZeros(text), place.name);
    }
  } else if (option) {
    if (const auto value = CutBefore(text, " not in {")) {
      return Refuse("{0}: found '{1}', expected one of {2} (see: {3} --help)", *option, *value,
                    text.substr(0, text.find('}')), place.name);
    }
  }
  return Refuse("{0} (see: {1} --help)", whole, place.name);
}

}  // namespace

Error ArgumentError(const CLI::App& app, const CLI::ParseError& error) {
  const Place place = Innermost(app);
  const std::string extra = FirstExtra(app);
  std::string text = error.what();
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const bool no_command = text == "A subcommand is required";
    if (no_command && !extra.empty()) {
      return extra.starts_with('-') ? Unexpected(place, extra) : UnknownCommand(place, extra);
    }
    if (no_command) return Refuse("{0}: a command is missing (see: {0} --help)", place.name);
    if (const auto name = CutBefore(text, " is required")) {
      return Refuse("{0}: '{1}' is missing (see: {0} --help)", place.name, *name);
    }
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !extra.empty()) {
    return Unexpected(place, extra);
  } else if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    CutBefore(text, "Could not convert: ");
    if (const auto option = CutBefore(text, " = ")) {
      return Refuse("{0}: '{1}' is no number or list as it is wanted there (see: {2} --help)",
                    *option, text, place.name);
    }
  } else if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) {
    return WrongValue(place, text);
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    if (const auto option = CutBefore(text, ": ")) {
      if (text.starts_with("At Most")) {
        return Refuse("{0}: given more often than it can be (see: {1} --help)", *option,
                      place.name);
      }
      return Refuse("{0}: a value is missing after it (see: {1} --help)", *option, place.name);
    }
  } else if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    if (const auto option = CutBefore(text, " excludes ")) {
      return Refuse("{0} and {1} can not be given together (see: {2} --help)", *option, text,
                    place.name);
    }
  }
  return Refuse("{0} (see: {1} --help)", std::string(error.what()), place.name);
}

}  // namespace tatara::cli
