#include "sampling_options.h"

#include <CLI/CLI.hpp>

#include "whole_number.h"

namespace microemo::cli {

void add_sampling_options(CLI::App& command, infer::SamplingOptions& sampling, std::vector<std::string>& stop) {
  command
      .add_option("--temperature", sampling.temperature, "Draw from softmax(logits / temperature); 0: the most probable token")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "Draw among so many of the most probable tokens; 0: all")->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "Draw among the fewest tokens that have this probability together; 1: all")
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", sampling.repetition_penalty,
                  "Logits of tokens that are there already are divided by it where positive, multiplied where negative")
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "Of what is drawn")->check(whole_number<int64_t>)->capture_default_str();
  command.add_option("--stop", stop, "A text that ends what is written, and is no part of it; may be given several times")
      ->allow_extra_args(false)
      ->type_name("TEXT");
}

}  // namespace microemo::cli
