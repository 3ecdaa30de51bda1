// The part of JSON Schema (draft 2020-12) that the OpenAPI document uses, to hold answers against
// it. Stricter in one thing: an object may have no property that its schema does not name.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace tatara::test {

class SchemaCheck {
 public:
  using Json = nlohmann::ordered_json;
  explicit SchemaCheck(const Json& document) : document_(document) {}

  // Nothing where `value` fits; else what does not, with its path.
  std::optional<std::string> Check(const Json& value, const Json& schema,
                                   const std::string& path = "$") const {
    if (schema.contains("$ref")) return Check(value, Resolve(schema), path);
    if (schema.contains("anyOf")) {
      std::string all;
      for (const Json& one : schema["anyOf"]) {
        const auto wrong = Check(value, one, path);
        if (!wrong) return std::nullopt;
        all += (all.empty() ? "" : " | ") + *wrong;
      }
      return all;
    }
    if (schema.contains("const") && value != schema["const"]) return path + ": not the constant";
    if (schema.contains("enum")) {
      bool found = false;
      for (const Json& one : schema["enum"]) found = found || one == value;
      if (!found) return path + ": not listed: " + value.dump();
    }
    if (schema.contains("type") && !HasType(value, schema["type"])) {
      return path + ": wrong type: " + value.dump().substr(0, 80);
    }
    if (value.is_number()) {
      if (schema.contains("minimum") && value < schema["minimum"]) return path + ": too small";
      if (schema.contains("maximum") && value > schema["maximum"]) return path + ": too large";
    }
    if (value.is_array() && schema.contains("items")) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (auto wrong = Check(value[i], schema["items"], path + "[" + std::to_string(i) + "]")) {
          return wrong;
        }
      }
    }
    return value.is_object() ? CheckObject(value, schema, path) : std::nullopt;
  }

  const Json& Resolve(const Json& schema) const {
    if (!schema.contains("$ref")) return schema;
    const auto at = schema["$ref"].get<std::string>().substr(1);  // behind '#'
    return document_.at(Json::json_pointer(at));
  }

 private:
  std::optional<std::string> CheckObject(const Json& value, const Json& schema,
                                         const std::string& path) const {
    if (schema.contains("required")) {
      for (const Json& name : schema["required"]) {
        if (!value.contains(name.get<std::string>())) {
          return path + ": has no '" + name.get<std::string>() + "'";
        }
      }
    }
    for (const auto& [name, member] : value.items()) {
      const std::string at = path + "." + name;
      std::optional<std::string> wrong;
      if (schema.contains("properties") && schema["properties"].contains(name)) {
        wrong = Check(member, schema["properties"][name], at);
      } else if (schema.contains("additionalProperties")) {
        wrong = Check(member, schema["additionalProperties"], at);
      } else if (schema.contains("properties")) {
        wrong = at + ": the schema names no such property";
      }
      if (wrong) return wrong;
    }
    return std::nullopt;
  }
  static bool HasType(const Json& value, const Json& type) {
    if (type.is_array()) {
      for (const Json& one : type) {
        if (HasType(value, one)) return true;
      }
      return false;
    }
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "array") return value.is_array();
    return type == "object" ? value.is_object() : value.is_null();
  }
  const Json& document_;
};

}  // namespace tatara::test
