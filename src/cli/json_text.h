#pragma once
#include <string>

#include "microemo/base/json.h"

namespace microemo::cli {

/// For standard output. Paths and broken lines are quoted in it, whose bytes need not be UTF-8.
inline std::string json_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

}  // namespace microemo::cli
