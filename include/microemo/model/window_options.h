#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "microemo/base/config.h"

namespace microemo::model {

/// Which stretches of a clip get tokens of their own, beside those of the whole clip.
enum class Windows {
  none,
  utterance,
  fixed,    ///< [0, s), [s, 2 s), … up to the end
  sliding,  ///< so many frames (or pieces of sound), one window every `stride` of them, as in TimeChat
};
constexpr auto names_of(Windows) {
  return std::array{std::pair{Windows::utterance, "utterance"}, std::pair{Windows::none, "none"},
                    std::pair{Windows::fixed, "fixed"}, std::pair{Windows::sliding, "sliding"}};
}

enum class WindowOrder { whole_first, whole_last };
constexpr auto names_of(WindowOrder) {
  return std::array{std::pair{WindowOrder::whole_first, "whole_first"}, std::pair{WindowOrder::whole_last, "whole_last"}};
}

/// What reads the whole clip, beside the other windows.
enum class WholeReader {
  own_queries,     ///< the same layers with queries of their own
  shared_queries,  ///< the same layers and queries
  own_layers,      ///< layers and queries of their own
};
constexpr auto names_of(WholeReader) {
  return std::array{std::pair{WholeReader::own_queries, "own_queries"}, std::pair{WholeReader::shared_queries, "shared_queries"},
                    std::pair{WholeReader::own_layers, "own_layers"}};
}

struct WindowOptions {
  Windows windows = Windows::utterance;
  bool whole = true;  ///< the whole clip has tokens too
  WholeReader whole_reader = WholeReader::own_queries;
  WindowOrder order = WindowOrder::whole_first;
  double window_s = 2.0;
  int64_t window_length = 32, stride = 32;

  /// Window 0 is the whole clip.
  bool has_whole() const { return whole || windows == Windows::none; }
  bool has_others() const { return windows != Windows::none; }
};

/// Keys of `section`, beside the owner's own; `tokens` says what is counted ("frames", "pieces"); without effect unless `used`.
template <class Visitor>
void describe_windows(Visitor& option, WindowOptions& o, const std::string& section, const std::string& tokens, bool used,
                      const std::string& when) {
  const bool both = o.has_others() && o.whole, sliding = o.windows == Windows::sliding;
  const std::string is_both = section + ".whole is true and " + section + ".windows is not none";
  option("windows", o.windows,
         "Tokens for every utterance, for windows of window_s seconds (fixed), for windows of window_length " + tokens +
             " (sliding), or for the whole clip alone (none).")
      .only_if(used, when);
  option("whole", o.whole, "Tokens for the whole clip beside those of the windows.")
      .only_if(used, when)
      .only_if(o.has_others(), section + ".windows is not none");
  option("whole_reader", o.whole_reader,
         "What reads the whole clip: own_queries and the windows' layers, shared_queries, or own_layers.")
      .only_if(used, when)
      .only_if(both, is_both);
  option("order", o.order, "Where the tokens of the whole clip stand in the prompt: before the windows' or behind them.")
      .only_if(used, when)
      .only_if(both, is_both);
  option("window_s", o.window_s, "Length of a fixed window, in seconds.")
      .above(0)
      .max(3600)
      .only_if(used, when)
      .only_if(o.windows == Windows::fixed, section + ".windows is fixed");
  option("window_length", o.window_length, "Length of a sliding window, in " + tokens + ".")
      .min(1)
      .max(1 << 20)
      .only_if(used, when)
      .only_if(sliding, section + ".windows is sliding");
  option("stride", o.stride, "From the start of a sliding window to that of the next, in " + tokens + ".")
      .min(1)
      .max(1 << 20)
      .only_if(used, when)
      .only_if(sliding, section + ".windows is sliding");
}

}  // namespace microemo::model
