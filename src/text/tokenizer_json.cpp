#include <algorithm>
#include <unordered_map>

#include "added_tokens.h"
#include "bpe.h"
#include "folder_config.h"
#include "json_parts.h"
#include "kind.h"
#include "microemo/base/error.h"
#include "unicode.h"
#include "utf8.h"
#include "wordpiece.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

class JsonTokenizer : public TokenizerKind {
 public:
  JsonTokenizer(const Json& json, const TokenizerFiles& files);

  void encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const override;
  std::unique_ptr<Decoder> decoder(bool keep_special) const override;
  std::string piece(int64_t id) const override { return pieces_[size_t(id)]; }
  std::optional<int64_t> id_of(const std::string& piece) const override;
  int64_t size() const override { return int64_t(pieces_.size()); }

 private:
  void read_vocabulary(const Json& vocabulary);
  void read_bpe(const Json& model);
  void read_merges(const Json& merges);
  void read_wordpiece(const Json& model);
  void read_added(const Json& json, const fs::path& folder);
  void add_piece(const std::string& text, int64_t id);
  uint32_t id_in_merge(const std::string& text, const std::string& merge) const;
  std::string model_text(const std::string& piece) const;
  void encode_part(std::string_view text, bool first, std::vector<int64_t>& ids) const;
  void encode_normalized(std::string text, bool first, std::vector<int64_t>& ids) const;
  void encode_metaspace(std::string text, bool first, std::vector<int64_t>& ids) const;

  std::vector<NormalizerStep> normalizer_;
  Cutting cutting_;
  Decoding decoding_;
  bool wordpiece_model_ = false;
  BytePairs pairs_;
  WordPiece words_;
  std::vector<std::string> pieces_;  ///< by id; empty where there is none
  std::vector<std::string> bytes_;   ///< what a piece of a byte-level model stands for
  std::unordered_map<std::string, int64_t> ids_;
  std::vector<bool> special_;
  AddedTokenFinder in_text_{{}}, in_normalized_{{}};
};

JsonTokenizer::JsonTokenizer(const Json& json, const TokenizerFiles& files) {
  file = files.vocabulary;
  const Json& model = json_member(json, "model", file);
  normalizer_ = read_normalizer(json_get_or<Json>(json, "normalizer", nullptr, file), file);
  cutting_ = read_pre_tokenizer(json_get_or<Json>(json, "pre_tokenizer", nullptr, file), file);
  decoding_ = read_decoder(json_get_or<Json>(json, "decoder", nullptr, file), file);
  read_vocabulary(json_member(model, "vocab", file));
  const auto type = json_get_or<std::string>(model, "type", model.contains("merges") ? "BPE" : "WordPiece", file);
  if (type == "BPE")
    read_bpe(model);
  else if (type == "WordPiece")
    read_wordpiece(model);
  else
    throw DataError("the model \"{}\" is not supported", type).where(file).hint("supported are: BPE, WordPiece");
  read_added(json, files.folder);
  std::tie(before, after) = read_post_processor(json_get_or<Json>(json, "post_processor", nullptr, file), file);
  for (const std::vector<int64_t>* around : {&before, &after})
    for (const int64_t id : *around)
      if (id < 0 || id >= size() || pieces_[size_t(id)].empty())
        throw DataError("the post-processor adds token {}, which is not in the vocabulary", id).where(file).hint("mend the file");
}

void JsonTokenizer::add_piece(const std::string& text, int64_t id) {
  if (id < 0 || id > largest_id)
    throw DataError("the token \"{}\" has the id {}; ids go from 0 to {}", text, id, largest_id)
        .where(file)
        .hint("mend the file");
  if (size_t(id) >= pieces_.size()) pieces_.resize(size_t(id) + 1);
  std::string& place = pieces_[size_t(id)];
  if (!place.empty() && place != text)
    throw DataError("the tokens \"{}\" and \"{}\" have the same id, {}", place, text, id).where(file).hint("mend the file");
  place = text;
  const auto [known, fresh] = ids_.emplace(text, id);
  if (!fresh && known->second != id)
    throw DataError("the token \"{}\" has two ids, {} and {}", text, known->second, id).where(file).hint("mend the file");
}

void JsonTokenizer::read_vocabulary(const Json& vocabulary) {
  if (!vocabulary.is_object())
    throw DataError("'vocab' is no object of tokens and ids")
        .where(file)
        .hint("models of type BPE and WordPiece have one; others are not supported");
  ids_.reserve(vocabulary.size());
  pieces_.reserve(vocabulary.size());
  for (const auto& [text, id] : vocabulary.items()) {
    if (!id.is_number_integer())
      throw DataError("the id of the token \"{}\" is {}", text, id.dump()).where(file).hint("ids are whole numbers");
    add_piece(text, id.get<int64_t>());
  }
}

std::string JsonTokenizer::model_text(const std::string& piece) const {
  return pairs_.symbols == BytePairs::Symbols::bytes ? bytes_of_printable(piece).value_or("") : piece;
}

uint32_t JsonTokenizer::id_in_merge(const std::string& text, const std::string& merge) const {
  const auto found = ids_.find(text);
  if (found == ids_.end())
    throw DataError("the merge \"{}\" needs the token \"{}\", which is not in the vocabulary", merge, text)
        .where(file)
        .hint("'vocab' and 'merges' must come from the same training");
  return uint32_t(found->second);
}

void JsonTokenizer::read_merges(const Json& merges) {
  uint32_t rank = 0;
  for (const Json& merge : merges) {
    std::string left, right;
    if (merge.is_string()) {
      const auto text = merge.get<std::string>();
      const size_t blank = text.find(' ');
      if (blank != std::string::npos) left = text.substr(0, blank), right = text.substr(blank + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
    }
    if (left.empty() || right.empty())
      throw DataError("merge {} is {}, not two tokens", rank + 1, merge.dump())
          .where(file)
          .hint("write it \"a b\" or [\"a\", \"b\"]");
    const std::string name = left + " " + right;
    const uint32_t left_id = id_in_merge(left, name), right_id = id_in_merge(right, name);
    pairs_.merges.insert(left_id, right_id, {rank++, id_in_merge(left + right, name)});
  }
}

void JsonTokenizer::read_bpe(const Json& model) {
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto value = json_get_or<Json>(model, affix, nullptr, file); !value.is_null() && value != "")
      throw DataError("a BPE model with {} is not supported", affix).where(file).hint("only models without one are");
  pairs_.symbols = cutting_.kind == Cutting::byte_level ? BytePairs::Symbols::bytes : BytePairs::Symbols::characters;
  pairs_.whole_words = json_get_or<bool>(model, "ignore_merges", false, file);
  pairs_.fuse_unknown = json_get_or<bool>(model, "fuse_unk", false, file);
  pairs_.byte_fallback = json_get_or<bool>(model, "byte_fallback", false, file);
  if (const auto name = json_get_or<Json>(model, "unk_token", nullptr, file); !name.is_null())
    if (const auto found = ids_.find(json_get<std::string>(model, "unk_token", file)); found != ids_.end()) {
      pairs_.unknown = found->second;
      unknown = found->second;
    }
  pairs_.ids.reserve(ids_.size());
  for (const auto& [text, id] : ids_)
    if (const std::string key = model_text(text); !key.empty()) pairs_.ids.emplace(key, uint32_t(id));
  read_merges(json_list(model, "merges", file));
  pairs_.prepare();
}

void JsonTokenizer::read_wordpiece(const Json& model) {
  wordpiece_model_ = true;
  words_.continuation = json_get_or<std::string>(model, "continuing_subword_prefix", "##", file);
  words_.longest_word = size_t(std::max<int64_t>(0, json_get_or<int64_t>(model, "max_input_chars_per_word", 100, file)));
  const auto name = json_get_or<std::string>(model, "unk_token", "[UNK]", file);
  const auto found = ids_.find(name);
  if (found == ids_.end())
    throw DataError("the unknown token \"{}\" is not in the vocabulary", name).where(file).hint("mend 'unk_token'");
  unknown = found->second;
  words_.unknown = uint32_t(found->second);
  for (const auto& [text, id] : ids_) words_.add(text, uint32_t(id));
}

void JsonTokenizer::read_added(const Json& json, const fs::path& folder) {
  std::vector<AddedToken> raw, after_normalizer;
  std::vector<AddedToken> all;
  for (const Json& value : json_get_or<std::vector<Json>>(json, "added_tokens", {}, file)) {
    all.push_back(read_added_token(value, file));
    all.back().id = json_get<int64_t>(value, "id", file);
  }
  const FolderConfig config = read_folder_config(folder);
  for (const AddedToken& token : config.added)
    if (std::none_of(all.begin(), all.end(), [&](const AddedToken& one) { return one.content == token.content; }))
      all.push_back(token);
  for (AddedToken& token : all) {
    if (token.content.empty()) throw DataError("the added token {} is empty", token.id).where(file).hint("mend the file");
    add_piece(token.content, token.id);
    special_.resize(pieces_.size());
    if (token.special) special_[size_t(token.id)] = true;
    if (token.normalized) token.content = normalized(token.content, normalizer_);
    (token.normalized ? after_normalizer : raw).push_back(token);
  }
  special_.resize(pieces_.size());
  // An added token with a blank, say, has no printable stand-ins and is taken as it is.
  if (decoding_.kind == Decoding::bytes)
    for (const std::string& piece : pieces_) bytes_.push_back(bytes_of_printable(piece).value_or(piece));
  in_text_ = AddedTokenFinder(std::move(raw));
  in_normalized_ = AddedTokenFinder(std::move(after_normalizer));
  begin = id_of(config.begin.value_or(""));
  end = id_of(config.end.value_or(""));
}

std::optional<int64_t> JsonTokenizer::id_of(const std::string& piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void JsonTokenizer::encode_metaspace(std::string text, bool first, std::vector<int64_t>& ids) const {
  const std::vector<NormalizerStep> blanks = {{NormalizerStep::replace, " ", cutting_.blank}};
  text = normalized(text, blanks);
  const bool prepend = cutting_.prepend == Cutting::always || (cutting_.prepend == Cutting::first && first);
  if (prepend && !text.starts_with(cutting_.blank)) text = cutting_.blank + text;
  const std::string_view all = text;
  for (size_t start = 0; start < all.size();) {
    const size_t next = cutting_.split_at_blanks ? all.find(cutting_.blank, start + 1) : std::string::npos;
    const size_t stop = std::min(next, all.size());
    pairs_.encode(all.substr(start, stop - start), ids);
    start = stop;
  }
}

/// One text between added tokens, normalised; `first` when it begins the whole text.
void JsonTokenizer::encode_normalized(std::string text, bool first, std::vector<int64_t>& ids) const {
  if (text.empty()) return;
  const auto model = [&](std::string_view one) { wordpiece_model_ ? words_.encode(one, ids) : pairs_.encode(one, ids); };
  if (cutting_.kind == Cutting::metaspace) return encode_metaspace(std::move(text), first, ids);
  if (cutting_.kind == Cutting::bert) {
    for (const std::string_view one : bert_words(text, BertLibrary::tokenizers)) model(one);
    return;
  }
  if (cutting_.prefix_blank && !text.starts_with(' ')) text = " " + text;
  if (!cutting_.pattern) return model(text);
  for (size_t start = 0; start < text.size();) {
    const size_t stop = word_end(*cutting_.pattern, text, start);
    model(std::string_view(text).substr(start, stop - start));
    start = stop;
  }
}

void JsonTokenizer::encode_part(std::string_view text, bool first, std::vector<int64_t>& ids) const {
  const std::string clean = normalized(text, normalizer_);
  if (in_normalized_.tokens().empty()) return encode_normalized(clean, first, ids);
  for (const TextPart& part : in_normalized_.split(clean)) {
    if (part.token != nullptr)
      ids.push_back(part.token->id);
    else
      encode_normalized(std::string(part.text), first, ids);
    first = false;
  }
}

void JsonTokenizer::encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const {
  if (!find_added) return encode_normalized(normalized(text, normalizer_), true, ids);
  for (const TextPart& part : in_text_.split(text))
    if (part.token != nullptr)
      ids.push_back(part.token->id);
    else
      encode_part(part.text, part.text.data() == text.data(), ids);
}

std::unique_ptr<Decoder> JsonTokenizer::decoder(bool keep_special) const {
  const std::vector<std::string>& texts = decoding_.kind == Decoding::bytes ? bytes_ : pieces_;
  const auto text_of = [this, keep_special, &texts](int64_t id) {
    return TokenText{texts[size_t(id)], !keep_special && special_[size_t(id)]};
  };
  if (decoding_.kind == Decoding::bytes) return byte_decoder(text_of);
  if (decoding_.kind == Decoding::wordpiece) return wordpiece_decoder(text_of, decoding_.continuation, decoding_.tidy);
  return piece_decoder(text_of, decoding_.of_pieces);
}

}  // namespace

std::unique_ptr<TokenizerKind> open_json(const TokenizerFiles& files) {
  const Json json = parse_json(files.bytes, files.vocabulary);
  if (!json.contains("model") && json.contains("vocab") && json.contains("config")) return open_tekken(json, files);
  return std::make_unique<JsonTokenizer>(json, files);
}

}  // namespace microemo::text
