#pragma once
#include <map>
#include <string>
#include <vector>

namespace microemo {

using Words = std::map<std::string, std::string>;

/// What stands behind a task of gpu_bench, by name and without "--". Throws Error(config) for a task that there is not, a word
/// that the task does not take or that stands twice, and for a value that is missing, too much or none of its kind: what is
/// mistyped would measure something else.
Words read_words(const std::vector<std::string>& arguments);

}  // namespace microemo
