#pragma once
#include <CLI/CLI.hpp>

#include "microemo/text/utterance_rules.h"

namespace microemo::cli {

/// The options of a command that say how the cues of a transcript become utterances. `rules` has to live as long as the command.
void add_rule_options(CLI::App& command, text::UtteranceRules& rules);

}  // namespace microemo::cli
