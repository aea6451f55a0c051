#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::eval {

/// A language model as extractor, after the public benchmarks (MERTools, toolkit/utils/qwen.py):
/// prompts of the same structure in our own words, and the public code's treatment of what the model writes. Name
/// and version stand for the prompts and the treatment together.
inline constexpr std::string_view mertools_extractor = "mertools-1";

/// Role, task (the emotional states of the main character, who has the most detailed clues), form (a list in brackets, separated
/// by commas, empty when there is none), two examples, the answer.
std::string mertools_label_prompt(std::string_view answer);

/// The same for "positive", "negative" or "neutral", without examples.
std::string mertools_sentiment_prompt(std::string_view answer);

/// What a model wrote, without what it puts in front: blanks; one of 输入, 输出, 翻译, 让我们来翻译一下：, output, Output, input,
/// Input; one colon; line ends. In the public code's order, each step once.
std::string clean_output(std::string_view output);

/// The labels in a model's output: clean_output, string_to_list, normalise_label, each label once. With string_to_list's quirks:
/// "and", full-width commas and semicolons do not separate.
std::vector<std::string> labels_of_output(std::string_view output);

/// The sentiment in a model's output: clean_output, compared with nothing; whoever scores compares it exactly.
std::string sentiment_of_output(std::string_view output);

}  // namespace microemo::eval
