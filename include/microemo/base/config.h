#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/json.h"

// One typed schema for configuration. An options struct is declared beside its owner, with a free function that describes it once:
//
//   struct FaceOptions { double window_s = 0.32; FaceInput input = FaceInput::rgb; };
//   template <class Visitor>
//   void describe(Visitor& option, FaceOptions& o) {
//     option("window_s", o.window_s, "Length of one face window, in seconds.").above(0);
//     option("input", o.input, "What the face encoder reads.");
//   }
//   constexpr auto names_of(FaceInput) { return std::array{std::pair{FaceInput::rgb, "rgb"}, std::pair{FaceInput::flow, "flow"}}; }
//
// Member types: bool, int64_t, double, std::string, std::vector of int64_t/double/std::string, an enum with names_of (found by ADL), or
// another described struct (a section). Limits: min, max (inclusive), above, below (exclusive); `only_if(condition, "when")` makes a
// value that the user set although the condition is false an error ("no effect unless when").
