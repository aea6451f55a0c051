#include "rule_options.h"

#include <string>

namespace microemo::cli {

void add_rule_options(CLI::App& command, text::UtteranceRules& rules) {
  const std::string group = "Utterances";
  command
      .add_option_function<std::string>(
          "--overlap",
          [&rules](const std::string& wanted) {
            for (const auto& [overlap, name] : names_of(text::Overlap{}))
              if (wanted == name) rules.overlap = overlap;
          },
          "Cues that overlap: refuse them, cut the earlier one, or merge both")
      ->check(CLI::IsMember({"refuse", "cut", "merge"}))
      ->group(group);
  const auto seconds = [&](const char* name, double& value, const char* meaning) {
    command.add_option(name, value, meaning)->check(CLI::Range(0.0, 1e7).description(""))->type_name("SECONDS")->group(group);
  };
  seconds("--merge-gap", rules.merge_gap_s, "Merge cues of one speaker with a shorter gap between them");
  seconds("--longest", rules.longest_s, "Split longer utterances, between words");
  seconds("--shortest", rules.shortest_s, "Merge shorter utterances with their neighbour");
  seconds("--pad", rules.pad_s, "Begin earlier and end later by so much, to the middle of a gap at most");
  command.add_option("--most", rules.most, "Merge the nearest neighbours until there are no more utterances than these")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40).description(""))
      ->type_name("N")
      ->group(group);
}

}  // namespace microemo::cli
