#include "microemo/infer/extract_decoder.h"

#include <algorithm>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/infer/conversation.h"
#include "microemo/infer/text_generation.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/text/tokenizer.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;

/// What stands around a question.
struct Turn {
  std::string before, after, end;  ///< end: the token that closes the answer, or empty
};

Turn turn_of(const std::string& chat) {
  if (chat == "plain") return {};
  if (chat != "chatml" && chat != "qwen2.5")
    throw ConfigError("there is no chat form \"{}\"", chat).hint("take qwen2.5, chatml or plain");
  const std::string place = "{user}", text = turn_text(chat_style(chat), "", place, /*first=*/true, /*closed=*/false);
  const size_t question = text.find(place);
  return {text.substr(0, question), text.substr(question + place.size()), "<|im_end|>"};
}

class LocalModel {
 public:
  LocalModel(const DecoderExtractorOptions& options, std::function<bool()> go_on)
      : turn_(turn_of(options.chat)),
        go_on_(std::move(go_on)),
        tokenizer_(options.folder),
        end_ids_(checkpoint::read_hf_decoder_config(options.folder).eos_token_id) {
    // Before the weights are read, which may take minutes.
    if (!turn_.end.empty()) end_ids_.push_back(tokenizer_.id_of(turn_.end));
    decoder_ = model::load_hf_decoder(options.folder);
  }

  /// What is drawn depends on the question and the seed, and neither on what was asked before nor on how often.
  std::string answer(const std::string& question, int64_t max_tokens, const SamplingOptions& sampling) const {
    bool stopped = false;
    TextSession session(*decoder_, sha256(question));
    const GeneratedText text =
        session.turn(prompt(question),
                     {.max_new_tokens = max_tokens, .end_ids = end_ids_, .sampling = sampling, .vocabulary = tokenizer_.size()},
                     [&](int64_t) { return !(stopped = !go_on_()); });
    if (stopped) throw EnvironmentError("stopped while an answer was read").hint("run again: it goes on where it stopped");
    return tokenizer_.decode(text.ids);
  }

 private:
  std::vector<int64_t> prompt(const std::string& question) const {
    std::vector<int64_t> ids;
    const auto add = [&](const std::string& text, const text::EncodeOptions& how) {
      const std::vector<int64_t> more = tokenizer_.encode(text, how);
      ids.insert(ids.end(), more.begin(), more.end());
    };
    if (!turn_.before.empty()) add(turn_.before, {.find_special = true, .add_special = true});
    add(question, {.find_special = false, .add_special = turn_.before.empty()});
    if (!turn_.after.empty()) add(turn_.after, {.find_special = true, .add_special = false});
    return ids;
  }

  Turn turn_;
  std::function<bool()> go_on_;
  text::Tokenizer tokenizer_;
  std::vector<int64_t> end_ids_;
  std::shared_ptr<model::Decoder> decoder_;
};

SamplingOptions sampling_of(const Json& request) {
  return {.temperature = request.at("temperature").get<double>(),
          .top_p = request.at("top_p").get<double>(),
          .repetition_penalty = request.value("repetition_penalty", 1.0),
          .seed = request.at("seed").get<int64_t>()};
}

}  // namespace

std::string decoder_extractor_name(const DecoderExtractorOptions& options) {
  turn_of(options.chat);
  std::vector<fs::path> files;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(options.folder, missing))
    if (entry.is_regular_file()) files.push_back(entry.path());
  if (files.empty())
    throw DataError("the decoder's folder holds no files")
        .where(options.folder)
        .hint("name a folder in the layout of Hugging Face");
  std::ranges::sort(files);
  std::string text = options.chat + "\n";
  for (const fs::path& file : files) text += file.filename().string() + " " + sha256_file(file) + "\n";
  const fs::path whole = fs::absolute(options.folder).lexically_normal();
  const fs::path name = whole.has_filename() ? whole.filename() : whole.parent_path().filename();
  return name.string() + "@" + sha256(text).substr(0, 12);
}

eval::HttpPost decoder_post(const DecoderExtractorOptions& options, std::function<bool()> go_on) {
  return [options, go_on = std::move(go_on), model = std::shared_ptr<LocalModel>()](const eval::HttpRequest& sent) mutable {
    const Json request = Json::parse(sent.body);
    if (!model) model = std::make_shared<LocalModel>(options, go_on);
    const std::string text = model->answer(request.at("messages").at(0).at("content").get<std::string>(),
                                           request.at("max_tokens").get<int64_t>(), sampling_of(request));
    const Json message = {{"message", {{"role", "assistant"}, {"content", text}}}};
    return eval::HttpReply{200, Json{{"choices", Json::array({message})}}.dump(-1, ' ', false, Json::error_handler_t::replace),
                           "", -1};
  };
}

}  // namespace microemo::infer
