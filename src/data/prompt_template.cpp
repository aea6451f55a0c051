#include "prompt_template.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "microemo/data/prompt_options.h"

namespace microemo::data {
namespace {

constexpr std::array placeholders{
    std::pair{std::string_view("begin"), PromptPart::begin},       std::pair{std::string_view("end"), PromptPart::end},
    std::pair{std::string_view("video"), PromptPart::video},       std::pair{std::string_view("audio"), PromptPart::audio},
    std::pair{std::string_view("fused"), PromptPart::fused},       std::pair{std::string_view("frames"), PromptPart::frames},
    std::pair{std::string_view("times"), PromptPart::times},       std::pair{std::string_view("words"), PromptPart::words},
    std::pair{std::string_view("question"), PromptPart::question}, std::pair{std::string_view("answer"), PromptPart::answer},
    std::pair{std::string_view("split"), PromptPart::split},       std::pair{std::string_view("features"), PromptPart::features}};

Error bad_prompt(const std::string& message, const std::string& hint) {
  return ConfigError("{}", message).at("prompt.text").hint(hint);
}

PromptAtom placeholder(const std::string& name) {
  if (name.starts_with("token:") && name.size() > 6) return {PromptPart::token, name.substr(6)};
  std::vector<std::string> known;
  for (const auto& [word, part] : placeholders) {
    if (word == name) return {part, ""};
    known.emplace_back(word);
  }
  std::string all;
  for (const std::string& word : known) all += " {" + word + "}";
  throw bad_prompt(fmt::format("there is no placeholder {{{}}}", name),
                   fmt::format("did you mean {{{}}}? There are{} and {{token:PIECE}}; a brace itself is written twice",
                               nearest_name(name, known), all));
}

int64_t count(const std::vector<PromptAtom>& atoms, PromptPart part) {
  return std::count_if(atoms.begin(), atoms.end(), [part](const PromptAtom& atom) { return atom.part == part; });
}

void check_branch(const std::vector<PromptAtom>& atoms, PromptPart part, const char* name, bool exists) {
  const int64_t named = count(atoms, part);
  if (exists && named == 0)
    throw bad_prompt(fmt::format("the model has tokens of {0}, and the prompt no {{{0}}}", name),
                     fmt::format("put {{{}}} where they belong, or switch the branch off", name));
  if (!exists && named > 0)
    throw bad_prompt(fmt::format("the prompt has {{{0}}}, and the model no tokens of {0}", name),
                     fmt::format("take {{{}}} out, or switch the branch on", name));
  if (named > 1) throw bad_prompt(fmt::format("the prompt has {{{}}} twice", name), "leave one of them out");
}

}  // namespace

std::vector<PromptAtom> parse_prompt(const std::string& text) {
  std::vector<PromptAtom> atoms;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) atoms.push_back({PromptPart::text, std::exchange(literal, "")});
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if ((text[i] == '{' || text[i] == '}') && doubled) {
      literal += text[i++];
    } else if (text[i] == '{') {
      const size_t end = text.find('}', i);
      if (end == std::string::npos) throw bad_prompt("a brace is opened and not closed", "close it, or write it twice");
      flush();
      atoms.push_back(placeholder(text.substr(i + 1, end - i - 1)));
      i = end;
    } else if (text[i] == '}') {
      throw bad_prompt("a brace is closed that was not opened", "write it twice");
    } else {
      literal += text[i];
    }
  }
  flush();
  return atoms;
}

void check_prompt(const PromptOptions& options, const model::ModelOptions& model) {
  if (options.text.empty()) return;
  const std::vector<PromptAtom> atoms = parse_prompt(options.text);
  if (count(atoms, PromptPart::answer) != 1)
    throw bad_prompt(fmt::format("the prompt has {} places for {{answer}}", count(atoms, PromptPart::answer)),
                     "put {answer} where the model is to go on");
  const bool picture = model.visual.enabled, sound = model.audio.enabled;
  check_branch(atoms, PromptPart::video, "video", picture);
  check_branch(atoms, PromptPart::audio, "audio", sound);
  check_branch(atoms, PromptPart::fused, "fused", picture && sound && model.fusion.enabled);
  check_branch(atoms, PromptPart::features, "features", model.features.tokens() > 0);
}

}  // namespace microemo::data
