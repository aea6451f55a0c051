#include "answers.h"

#include <algorithm>
#include <cstdio>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

#include "microemo/base/error.h"
#include "microemo/infer/text_generation.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/init.h"

namespace microemo {
namespace {

constexpr int64_t vocabulary = 2000, prompts = 40, written = 32, longest = 60;

model::Decoder small_decoder() {
  model::DecoderOptions shape;
  shape.layers = 4;
  shape.width = 256;
  shape.hidden = 512;
  shape.heads = 8;
  shape.key_value_heads = 4;
  shape.max_tokens = longest + written;
  shape.utterance_embedding = false;
  model::Decoder decoder(shape, vocabulary);
  nn::initialise(decoder, 11);
  return decoder;
}

std::vector<infer::TextPrompt> all_prompts() {
  std::vector<infer::TextPrompt> found;
  for (int64_t prompt = 0; prompt < prompts; ++prompt) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i <= prompt * 17 % longest; ++i) ids.push_back((prompt * 131 + i * i * 7 + 3) % vocabulary);
    found.push_back({std::to_string(prompt), std::move(ids)});
  }
  return found;
}

std::vector<std::vector<int64_t>> answers(const model::Decoder& decoder, std::vector<infer::TextPrompt> asked, int64_t batch_rows,
                                          bool reversed) {
  if (reversed) std::ranges::reverse(asked);
  std::vector<std::vector<int64_t>> found;
  for (infer::GeneratedText& text : infer::generate_texts(decoder, {}, asked, {.max_new_tokens = written}, batch_rows))
    found.push_back(std::move(text.ids));
  if (reversed) std::ranges::reverse(found);
  return found;
}

std::vector<double> margins(const model::Decoder& decoder, std::vector<int64_t> read, const std::vector<int64_t>& answer) {
  const auto first = int64_t(read.size()) - 1;
  read.insert(read.end(), answer.begin(), answer.end() - 1);
  const at::Tensor hidden_1LC = decoder.forward(decoder.embed(at::tensor(read, at::kLong).unsqueeze(0)));
  const at::Tensor best_L2 = std::get<0>(decoder.logits(hidden_1LC[0].slice(0, first)).topk(2)).to(at::kDouble);
  const at::Tensor margin_L = (best_L2.select(1, 0) - best_L2.select(1, 1)).contiguous();
  return {margin_L.const_data_ptr<double>(), margin_L.const_data_ptr<double>() + margin_L.numel()};
}

/// Compares one answer; false when it is other.
bool compare(const Answers& wanted, size_t answer, const std::vector<int64_t>& found, AnswerDifferences& differences) {
  const std::vector<int64_t>& ids = wanted.ids[answer];
  for (size_t i = 0; i < ids.size(); ++i) {
    const double margin = wanted.margins[answer][i];
    const bool sure = margin > sure_margin;
    ++differences.compared;
    differences.unsure += !sure;
    if (i < found.size() && found[i] == ids[i]) continue;
    if (sure && differences.wrong.empty())
      differences.wrong = fmt::format("token {} of answer {} is {} in place of {}, which is {:.2g} more probable than the next",
                                      i + 1, answer + 1, i < found.size() ? std::to_string(found[i]) : "none", ids[i], margin);
    return false;
  }
  if (found.size() > ids.size() && differences.wrong.empty())
    differences.wrong = fmt::format("answer {} has {} tokens in place of {}", answer + 1, found.size(), ids.size());
  return found.size() == ids.size();
}

}  // namespace

AnswerDifferences compare_answers(const Answers& wanted, const std::vector<std::vector<int64_t>>& found) {
  MICROEMO_CHECK(wanted.ids.size() == found.size() && wanted.ids.size() == wanted.margins.size(),
                 "{} answers with {} lists of margins against {}", wanted.ids.size(), wanted.margins.size(), found.size());
  AnswerDifferences differences;
  for (size_t answer = 0; answer < found.size(); ++answer) {
    differences.tokens += int64_t(wanted.ids[answer].size());
    differences.other += !compare(wanted, answer, found[answer], differences);
  }
  return differences;
}

bool same_answers(const at::Device& device) {
  const at::NoGradGuard no_grad;
  model::Decoder decoder = small_decoder();
  const std::vector<infer::TextPrompt> asked = all_prompts();
  Answers here{answers(decoder, asked, 1, false), {}};
  for (size_t i = 0; i < asked.size(); ++i) here.margins.push_back(margins(decoder, asked[i].ids, here.ids[i]));
  const AnswerDifferences itself = compare_answers(here, here.ids);
  std::printf("%lld tokens of %lld greedy answers in fp32; %.2f %% have a margin of at most %g to the second best\n",
              (long long)itself.tokens, (long long)prompts, 100.0 * double(itself.unsure) / double(itself.tokens), sure_margin);
  decoder.to(device);
  bool same = true;
  std::printf("%-30s%15s%18s\n", "on the device", "other answers", "tokens compared");
  for (const auto& [name, rows, reversed] :
       {std::tuple("one by one", 1, false), std::tuple("5 at a time", 5, false), std::tuple("16 at a time", 16, false),
        std::tuple("16, in reverse order", 16, true)}) {
    const AnswerDifferences differences = compare_answers(here, answers(decoder, asked, rows, reversed));
    std::printf("%-30s%15lld%18lld%s\n", name, (long long)differences.other, (long long)differences.compared,
                differences.wrong.empty() ? "" : ("  DIFFERS: " + differences.wrong).c_str());
    same &= differences.wrong.empty();
  }
  return same;
}

}  // namespace microemo
