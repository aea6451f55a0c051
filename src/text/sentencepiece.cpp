#include <sentencepiece_processor.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "added_tokens.h"
#include "folder_config.h"
#include "kind.h"
#include "microemo/base/error.h"
#include "piece_run.h"
#include "sentencepiece_bpe.h"
#include "utf8.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

void load(sentencepiece::SentencePieceProcessor& processor, const std::string& model, const fs::path& file) {
  const auto status = model.empty()
                          ? sentencepiece::util::Status(sentencepiece::util::StatusCode::kInvalidArgument, "the file is empty")
                          : processor.LoadFromSerializedProto(model);
  if (!status.ok())
    throw DataError("not a SentencePiece model: {}", status.message())
        .where(file)
        .hint("name a tokenizer.model file, or train one with microemo tokenize --train");
  if (processor.bos_id() < 0 || processor.eos_id() < 0)
    throw DataError("the SentencePiece model has no {} token", processor.bos_id() < 0 ? "begin" : "end")
        .where(file)
        .hint("train it with both, as LLaMA's is");
}

FirstBlanks first_blanks(const sentencepiece::SentencePieceProcessor& processor) {
  const int id = processor.PieceToId({visible_blank.data(), visible_blank.size()});
  if (processor.IdToPiece(id) != visible_blank) return FirstBlanks::one_goes;
  std::string one, two;
  processor.Decode(std::vector<int>{id}, &one);
  processor.Decode(std::vector<int>{id, id}, &two);
  return !one.empty() ? FirstBlanks::stay : two.empty() ? FirstBlanks::all_go : FirstBlanks::one_goes;
}

/// Fields of a protocol buffer that stand twice are merged, so these bytes behind a model turn its add_dummy_prefix (field 3 of
/// normalizer_spec, which is field 3) off.
std::string without_dummy_prefix(const std::string& model) { return model + std::string("\x1A\x02\x18\x00", 4); }

class SentencePiece : public TokenizerKind {
 public:
  SentencePiece(const TokenizerFiles& files, const TokenizerOptions& options);

  void encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const override;
  bool takes_any_bytes() const override { return true; }
  std::unique_ptr<Decoder> decoder(bool keep_special) const override;
  std::string piece(int64_t id) const override;
  std::optional<int64_t> id_of(const std::string& piece) const override;
  int64_t size() const override { return size_; }

 private:
  friend class LlamaDecoder;
  void read_added(const FolderConfig& config);
  void append(std::string_view text, bool prefix, std::vector<int64_t>& ids) const;
  void append_without_prefix(std::string_view text, std::vector<int64_t>& ids) const;
  void encode_as_llama(std::string_view text, bool find_added, std::vector<int64_t>& ids) const;
  PieceOfRun run_piece(const std::string& text) const;

  bool in_folder_, legacy_, prefix_blank_;
  sentencepiece::SentencePieceProcessor processor_;  ///< with the prefix, as the file says
  sentencepiece::SentencePieceProcessor bare_;       ///< without; loaded for the newer behaviour only
  std::string unknown_text_, unknown_surface_;
  std::unique_ptr<const SentencePieceBpe> own_;  ///< in the library's place, where it can be
  size_t unknown_length_ = 0;                    ///< pieces that the unknown token's text has in bare_
  int64_t size_ = 0;
  AddedTokenFinder added_{{}};
  std::unordered_map<int64_t, std::string> added_text_;
  std::unordered_map<std::string, int64_t> added_ids_;
  std::set<std::string> special_;  ///< bos, eos, unk, pad and so on
  std::set<std::string> apart_;    ///< added tokens that are decoded by themselves, with blanks around
};

SentencePiece::SentencePiece(const TokenizerFiles& files, const TokenizerOptions& options) {
  file = files.vocabulary;
  load(processor_, files.bytes, file);
  const FolderConfig config = read_folder_config(files.folder);
  in_folder_ = !files.folder.empty();
  // A folder whose configuration does not say has the older behaviour, as in transformers; so had every model made before the
  // key.
  legacy_ = options.legacy.value_or(in_folder_ && config.legacy.value_or(true));
  prefix_blank_ = config.add_prefix_blank.value_or(true);
  if (!legacy_) load(bare_, without_dummy_prefix(files.bytes), file);
  own_ = SentencePieceBpe::of(files.bytes);
  size_ = processor_.GetPieceSize();
  unknown = processor_.unk_id();
  unknown_text_ = config.unknown.value_or(processor_.IdToPiece(processor_.unk_id()));
  processor_.Decode(std::vector<int>{processor_.unk_id()}, &unknown_surface_);
  std::vector<int64_t> pieces;
  if (!legacy_) append(unknown_text_, false, pieces);
  unknown_length_ = pieces.size();
  read_added(config);
  begin = id_of(config.begin.value_or(processor_.IdToPiece(processor_.bos_id())));
  end = id_of(config.end.value_or(processor_.IdToPiece(processor_.eos_id())));
  if (config.add_begin.value_or(true)) before = {*begin};
  if (config.add_end.value_or(false)) after = {*end};
}

void SentencePiece::read_added(const FolderConfig& config) {
  std::vector<AddedToken> named = config.special;
  const auto name = [&](const std::optional<std::string>& given, int id) {
    AddedToken token{.content = processor_.IdToPiece(id)};
    if (!given) named.push_back(token);
  };
  name(config.begin, processor_.bos_id());
  name(config.end, processor_.eos_id());
  name(config.unknown, processor_.unk_id());
  std::vector<AddedToken> all = config.added;
  std::set<std::string> texts;
  for (const AddedToken& token : all) texts.insert(token.content);
  // What is in no list yet goes behind everything that is.
  int64_t next = processor_.GetPieceSize();
  for (const std::string& text : texts)
    if (processor_.IdToPiece(processor_.PieceToId(text)) != text) ++next;
  for (AddedToken& token : named) {
    special_.insert(token.content);
    if (!texts.insert(token.content).second) continue;
    const int id = processor_.PieceToId(token.content);
    token.id = processor_.IdToPiece(id) == token.content ? id : next++;
    all.push_back(token);
  }
  for (const AddedToken& token : all) {
    if (token.id < 0 || token.id > largest_id)
      throw DataError("the added token \"{}\" has the id {}", token.content, token.id).where(file).hint("mend its id");
    const auto [place, fresh] = added_text_.emplace(token.id, token.content);
    if (!fresh)
      throw DataError("the added tokens \"{}\" and \"{}\" have the same id, {}", place->second, token.content, token.id)
          .where(file.parent_path())
          .hint("mend tokenizer_config.json or added_tokens.json");
    added_ids_[token.content] = token.id;
    size_ = std::max(size_, token.id + 1);
    const bool more =
        std::find(config.more_special.begin(), config.more_special.end(), token.content) != config.more_special.end();
    if (!special_.contains(token.content) || (more && token.id >= processor_.GetPieceSize())) apart_.insert(token.content);
  }
  added_ = AddedTokenFinder(std::move(all));
}

void SentencePiece::append(std::string_view text, bool prefix, std::vector<int64_t>& ids) const {
  if (own_ != nullptr && is_utf8(text)) return own_->encode(text, prefix, ids);
  std::vector<int> found;
  const auto status = (prefix ? processor_ : bare_).Encode({text.data(), text.size()}, &found);
  if (!status.ok()) throw DataError("cannot tokenize the text: {}", status.message()).where(file);
  ids.insert(ids.end(), found.begin(), found.end());
}

/// Without its prefix the library drops a blank at the start, so the public code encodes the unknown token's text before it and
/// takes its pieces off again.
void SentencePiece::append_without_prefix(std::string_view text, std::vector<int64_t>& ids) const {
  if (!text.starts_with(visible_blank) && !text.starts_with(' ')) return append(text, false, ids);
  std::vector<int64_t> found;
  append(unknown_text_ + std::string(text), false, found);
  ids.insert(ids.end(), found.begin() + long(found.size() >= unknown_length_ ? unknown_length_ : 0), found.end());
}

/// As transformers' LlamaTokenizer: parts between added tokens are encoded by themselves. `legacy` gives each of them the prefix;
/// the newer behaviour only the beginning of the text.
void SentencePiece::encode_as_llama(std::string_view given, bool find_added, std::vector<int64_t>& ids) const {
  std::string text(given);
  if (!legacy_ && !text.empty()) {
    text = replaced(text, visible_blank, " ");
    if (prefix_blank_) text.insert(0, visible_blank);
  }
  const size_t start = ids.size();
  const AddedToken* second = nullptr;
  std::vector<AddedTokenFinder::OwnPart> parts;
  if (find_added)
    parts = added_.split_as_python(text);
  else if (!text.empty())
    parts.push_back({text});
  for (const AddedTokenFinder::OwnPart& part : parts) {
    if (part.token != nullptr && ids.size() == start + 1) second = part.token;
    if (part.token != nullptr)
      ids.push_back(part.token->id);
    else if (legacy_)
      append(part.text, true, ids);
    else
      append_without_prefix(part.text, ids);
  }
  // A text that begins with a special token has no prefix before it.
  const bool lone_prefix = !legacy_ && second != nullptr && special_.contains(second->content) &&
                           ids[start] == processor_.PieceToId({visible_blank.data(), visible_blank.size()}) &&
                           parts[0].token == nullptr;
  if (lone_prefix) ids.erase(ids.begin() + long(start));
}

void SentencePiece::encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const {
  if (find_added || in_folder_) return encode_as_llama(text, find_added, ids);
  append(text, true, ids);
}

std::string SentencePiece::piece(int64_t id) const {
  const auto found = added_text_.find(id);
  if (found != added_text_.end()) return found->second;
  return id < processor_.GetPieceSize() ? processor_.IdToPiece(int(id)) : "";
}

std::optional<int64_t> SentencePiece::id_of(const std::string& piece) const {
  const auto found = added_ids_.find(piece);
  if (found != added_ids_.end()) return found->second;
  const int id = processor_.PieceToId(piece);
  // The library answers "unknown" both for an unknown piece and for the unknown piece itself.
  return processor_.IdToPiece(id) == piece ? std::optional<int64_t>(id) : std::nullopt;
}

/// What a piece says in a run that SentencePiece decodes.
PieceOfRun SentencePiece::run_piece(const std::string& text) const {
  const int id = processor_.PieceToId(text);
  if (processor_.IsByte(id)) return {PieceOfRun::byte, text};
  if (processor_.IsControl(id)) return {PieceOfRun::silent, {}};
  if (processor_.IsUnknown(id)) return {PieceOfRun::as_it_is, processor_.IdToPiece(id) == text ? unknown_surface_ : text};
  return {PieceOfRun::piece, text};
}

/// As sentencepiece's own Decode.
class PlainDecoder : public Decoder {
 public:
  PlainDecoder(std::function<PieceOfRun(int64_t)> piece_of, FirstBlanks first_blanks)
      : piece_of_(std::move(piece_of)), run_(first_blanks) {}
  void add(int64_t id, std::string& out) override { run_.add(piece_of_(id), out); }
  void finish(std::string& out) override { run_.finish(out); }

 private:
  std::function<PieceOfRun(int64_t)> piece_of_;
  PieceRun run_;
};

/// As LlamaTokenizer.decode of transformers: runs of pieces are decoded by SentencePiece, special tokens stand in them as they
/// are written, other added tokens between runs with blanks around. Where special tokens are kept, the older behaviour puts a
/// blank at the start of a run that one ends, so a run comes out whole.
class LlamaDecoder : public Decoder {
 public:
  LlamaDecoder(const SentencePiece& kind, bool keep_special)
      : kind_(kind), keep_special_(keep_special), run_(first_blanks(kind.legacy_ ? kind.processor_ : kind.bare_)) {}

  void add(int64_t id, std::string& out) override {
    std::string piece = kind_.piece(id);
    const bool special = kind_.special_.contains(piece);
    if (special && !keep_special_) return;
    if (!kind_.apart_.contains(piece)) return add_to_run(std::move(piece), special, out);
    end_run(out, false);
    out += (any_ ? " " : "") + piece;
    any_ = true;
  }

  void finish(std::string& out) override {
    end_run(out, true);
    any_ = false;
  }

 private:
  void add_to_run(std::string piece, bool special, std::string& out) {
    const size_t index = length_++;
    if (index == 0 && kind_.prefix_blank_ && piece.starts_with(visible_blank)) piece.erase(0, visible_blank.size());
    std::string text;
    if (special) {
      run_.finish(part_);
      text = (!after_special_ && index != 0 && kind_.legacy_ ? " " : "") + part_ + piece;
      part_.clear();
    } else if (after_special_ && index == 1 && kind_.prefix_blank_ && !piece.starts_with(visible_blank)) {
      text = " ";
    }
    put(text, out);
    after_special_ = special;
    if (special) return;
    run_.add(kind_.run_piece(piece), part_);
    if (keep_special_) return;
    put(part_, out);
    part_.clear();
  }

  void put(const std::string& text, std::string& out) {
    if (text.empty()) return;
    if (any_ && !began_) out += ' ';
    began_ = true;
    out += text;
  }

  void end_run(std::string& out, bool last) {
    if (length_ == 0) return;
    run_.finish(part_);
    put(part_, out);
    // The last run counts even when nothing of it is seen.
    if (last && any_ && !began_) out += ' ';
    any_ = any_ || began_;
    part_.clear();
    length_ = 0;
    began_ = after_special_ = false;
  }

  const SentencePiece& kind_;
  bool keep_special_;
  PieceRun run_;
  std::string part_;  ///< decoded and not yet let out
  size_t length_ = 0;
  bool any_ = false;    ///< something stands before this run
  bool began_ = false;  ///< something of this run was let out
  bool after_special_ = false;
};

std::unique_ptr<Decoder> SentencePiece::decoder(bool keep_special) const {
  if (keep_special || in_folder_) return std::make_unique<LlamaDecoder>(*this, keep_special);
  return std::make_unique<PlainDecoder>([this](int64_t id) { return run_piece(piece(id)); }, first_blanks(processor_));
}

}  // namespace

std::unique_ptr<TokenizerKind> open_sentencepiece(const TokenizerFiles& files, const TokenizerOptions& options) {
  return std::make_unique<SentencePiece>(files, options);
}

}  // namespace microemo::text
