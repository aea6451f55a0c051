#pragma once
#include <vector>

#include "microemo/data/prompt_options.h"
#include "prompt_template.h"
#include "row.h"

namespace microemo::data {

/// A row after the template. Text on both sides of a placeholder for text goes to the tokenizer as one; blanks right before
/// {answer} belong to the answer, so a row that is to be answered ends before them. What is learned begins with the first token
/// behind those of the prompt alone, which is how TimeChat's public code counts. Throws Error(data) for a row to train on without
/// an answer.
Row write_template_row(const RowContext& context, const std::vector<PromptAtom>& prompt, const PromptOptions& options,
                       const Sample& sample, int64_t utterance, Purpose purpose);

}  // namespace microemo::data
