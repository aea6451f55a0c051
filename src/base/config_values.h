#pragma once
#include <string>

#include "config_document.h"
#include "microemo/base/config.h"

namespace microemo {

/// "a whole number", "one of rgb, flow": what an option takes.
std::string wanted_text(const OptionAccess& access);
/// "min 0, below 1"; empty without limits.
std::string limits_text(const Option& option);

/// Writes the node's value into the option's member. False when it is of another type; the member is then unchanged.
bool assign(const OptionAccess& access, const ConfigNode& node);
/// What stands there, for "seen": "the text 'abc'", "a list", "nothing".
std::string seen_text(const ConfigNode& node);

Json json_of(const OptionAccess& access);

/// The number that breaks a limit of the option, if any.
std::optional<double> number_outside_limits(const Option& option);

/// `values["a"]["b"] = value` for the key "a.b".
void set_nested(Json& values, std::string_view key, const Json& value);

}  // namespace microemo
