#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/progress.h"
#include "microemo/checkpoint/convert.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/meta_llama.h"
#include "microemo/cli/commands.h"
#include "name_tree.h"
#include "positive_number.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using checkpoint::Container;
using checkpoint::LazyTensors;
using checkpoint::TensorSource;

struct Words {
  std::string in, out, to, from, part, delta, shard_size, adapter;
  std::vector<std::string> merge, unmerge;
  double alpha = 0;
};

void print(const std::string& text) { std::printf("%s\n", text.c_str()); }

bool keeps_names(const Words& words) { return words.to == "safetensors" || words.to == "pth"; }

Container container_of(const Words& words) {
  const std::string extension = fs::path(words.out).extension();
  const bool pickled = extension == ".pth" || extension == ".pt" || extension == ".bin";
  if (words.to == "pth" && !pickled)
    throw ConfigError("--to pth writes one file, and '{}' is not named like one", words.out).hint("let OUT end in .pth");
  if (words.to == "safetensors" && pickled)
    throw ConfigError("'{}' is named like a file of torch.save", words.out)
        .hint("let OUT end in .safetensors, or name a folder, or say --to pth");
  const Container container = pickled ? Container::pth : extension == ".safetensors" ? Container::safetensors : Container::folder;
  if (!words.shard_size.empty() && container != Container::folder)
    throw ConfigError("--shard-size has no effect when OUT is one file").hint("name a folder");
  return container;
}

/// "5GB", "500MB", "4096": powers of 1000, as the public libraries count.
uint64_t bytes_of(const std::string& text) {
  if (text.empty()) return checkpoint::ShardOptions{}.shard_bytes;
  constexpr double most = 1e15;
  size_t digits = 0;
  double number = 0;
  try {
    number = std::stod(text, &digits);
  } catch (const std::exception&) {
    digits = 0;
  }
  const std::string unit = text.substr(digits);
  const double factor = unit.empty() || unit == "B" ? 1 : unit == "KB" ? 1e3 : unit == "MB" ? 1e6 : unit == "GB" ? 1e9 : 0;
  if (digits == 0 || !(number * factor >= 1 && number * factor <= most))
    throw ConfigError("--shard-size is '{}'", text).hint("give it a size such as 5GB, 500MB or 100KB");
  return uint64_t(std::llround(number * factor));
}

bool same_place(const fs::path& a, const fs::path& b) { return fs::weakly_canonical(a) == fs::weakly_canonical(b); }

/// The same, or an existing file in a folder that is read.
bool would_overwrite(const fs::path& read, const fs::path& out) {
  return same_place(read, out) ||
         (fs::is_directory(read) && fs::exists(out) && same_place(read, fs::absolute(out).parent_path()));
}

/// Nothing that is read may be written over: not IN, nor one of its files, nor what is added to it.
void refuse_same(const Words& words, const std::vector<fs::path>& files) {
  std::vector<fs::path> read{words.in, words.delta};
  read.insert(read.end(), words.merge.begin(), words.merge.end());
  read.insert(read.end(), words.unmerge.begin(), words.unmerge.end());
  read.insert(read.end(), files.begin(), files.end());
  for (const fs::path& path : read)
    if (!path.empty() && would_overwrite(path, words.out))
      throw ConfigError("the output would be written over '{}', which is read", path.string()).hint("name another output");
}

/// Training states keep their weights under "model"; that is what is meant unless a part is named.
TensorSource open_source(const Words& words) {
  const TensorSource source(words.in, {.sub_dict = words.part});
  const auto& entries = source.entries();
  const auto in_model = [](const checkpoint::TensorEntry& entry) { return entry.name.starts_with("model/"); };
  if (!words.part.empty() || std::none_of(entries.begin(), entries.end(), in_model)) return source;
  print("reading the part 'model' (--part names another)");
  return TensorSource(words.in, {.sub_dict = "model"});
}

struct Input {
  LazyTensors tensors;
  std::vector<fs::path> files;
  std::map<std::string, std::string> metadata = {};  ///< of safetensors
};

Input open(const Words& words) {
  if (checkpoint::is_meta_llama(words.in)) {
    if (!words.part.empty()) throw ConfigError("--part has no effect with Meta's files, which have no parts").hint("remove it");
    checkpoint::MetaLlama model = checkpoint::read_meta_llama(words.in);
    return {std::move(model.tensors), std::move(model.files)};
  }
  const TensorSource source = open_source(words);
  Input input{checkpoint::lazy_tensors(source), source.files()};
  if (source.format() == "safetensors") input.metadata = source.metadata();
  return input;
}

LazyTensors open_base(const fs::path& path) {
  return checkpoint::is_meta_llama(path) ? checkpoint::read_meta_llama(path).tensors
                                         : checkpoint::lazy_tensors(TensorSource(path));
}

/// The adapter that --adapter names, or the only one, in a file with the state of a model. Such a file does not know its alpha.
checkpoint::PeftAdapter adapter_in_file(const Words& words, const fs::path& file) {
  const TensorSource source(file);
  std::vector<std::string> names;
  for (const checkpoint::TensorEntry& entry : source.entries()) names.push_back(entry.name);
  const std::vector<std::string> adapters = checkpoint::adapters_in(names);
  if (words.adapter.empty() && adapters.size() > 1)
    throw ConfigError("'{}' holds the adapters {}", file.string(), fmt::join(adapters, ", ")).hint("choose one with --adapter");
  if (!adapters.empty() && words.alpha <= 0)
    throw ConfigError("'{}' does not say the alpha of its adapters", file.string()).hint("give it with --alpha");
  const std::string chosen = !words.adapter.empty() ? words.adapter : adapters.empty() ? "default" : adapters.front();
  return checkpoint::adapter_in(source, chosen, {});
}

checkpoint::PeftAdapter read_adapter(const Words& words, const fs::path& path) {
  if (fs::is_regular_file(path)) return adapter_in_file(words, path);
  if (!words.adapter.empty())
    throw ConfigError("--adapter has no effect with '{}', which holds one adapter", path.string())
        .hint("remove it, or name a file with the state of a model");
  return checkpoint::read_adapter(path);
}

LazyTensors with_adapters(LazyTensors tensors, const Words& words) {
  const auto apply = [&](const std::vector<std::string>& paths, double sign) {
    for (const std::string& path : paths) {
      checkpoint::PeftAdapter adapter = read_adapter(words, path);
      if (words.alpha > 0) {
        adapter.config.lora_alpha = words.alpha;
        adapter.config.alpha_pattern.clear();
      }
      tensors = checkpoint::apply_adapter(std::move(tensors), adapter, sign, words.in);
    }
  };
  const bool from_elsewhere = !words.merge.empty() || !words.unmerge.empty();
  if (!words.adapter.empty() && !from_elsewhere) return checkpoint::only_adapter(std::move(tensors), words.adapter, words.in);
  apply(words.unmerge, -1);
  apply(words.merge, 1);
  return tensors;
}

checkpoint::Renaming prepare(const Words& words, LazyTensors tensors) {
  if (!words.delta.empty()) tensors = checkpoint::add_delta(std::move(tensors), open_base(words.delta), words.in);
  tensors = with_adapters(std::move(tensors), words);
  if (keeps_names(words)) return {std::move(tensors), {}, ""};
  return checkpoint::rename(std::move(tensors), words.from, words.to, words.in);
}

void print_summary(const Words& words, const checkpoint::Renaming& renaming, size_t files) {
  double parameters = 0;
  uint64_t bytes = 0;
  for (const checkpoint::LazyTensor& tensor : renaming.tensors) {
    parameters += double(tensor.meta.numel());
    bytes += uint64_t(tensor.meta.numel()) * tensor.meta.element_size();
  }
  if (!renaming.from.empty()) print(fmt::format("names of {} to {}", renaming.from, words.to));
  if (!renaming.ignored.empty())
    print(fmt::format("left out: {} tensors that the model computes or does not have, such as {}", renaming.ignored.size(),
                      renaming.ignored.front()));
  print(fmt::format("{}: {} tensors, {} parameters, {} in {} {}", words.out, renaming.tensors.size(), count_text(parameters),
                    bytes_text(bytes), files, files == 1 ? "file" : "files"));
}

void check_words(const Words& words) {
  if (!keeps_names(words) && words.to != "microemo") checkpoint::find_family(words.to);
  if (keeps_names(words) && !words.from.empty())
    throw ConfigError("--from has no effect with --to {}, which keeps the names", words.to).hint("remove it");
  if (words.alpha > 0 && words.merge.empty() && words.unmerge.empty())
    throw ConfigError("--alpha has no effect without --merge or --unmerge").hint("remove it");
}

void run(const Words& words) {
  check_words(words);
  const Container container = container_of(words);
  const uint64_t shard_bytes = bytes_of(words.shard_size);
  Input input = open(words);
  refuse_same(words, input.files);
  const checkpoint::Renaming renaming = prepare(words, std::move(input.tensors));
  Progress progress("convert", "tensors", int64_t(renaming.tensors.size()));
  input.metadata.try_emplace("format", "pt");
  const auto files = checkpoint::write_tensors_as({container, words.out, shard_bytes, words.in, input.metadata}, renaming.tensors,
                                                  [&](const checkpoint::LazyTensor&) { progress.add(); });
  progress.finish();
  print_summary(words, renaming, files.size());
}

constexpr const char* footer =
    "OUT is one file when it ends in .safetensors, .pth, .pt or .bin, else a folder with the files that stand beside the "
    "weights.\n"
    "Examples:\n"
    "  microemo convert models/Llama-2-7b models/llama.safetensors --to microemo\n"
    "  microemo convert timechat_7b.pth timechat.safetensors --to microemo\n"
    "  microemo convert vicuna-7b-delta-v0 vicuna-7b-v0 --to safetensors --delta llama-7b\n"
    "  microemo convert models/Llama-2-7b merged --to safetensors --merge adapter --shard-size 2GB";

}  // namespace

void add_convert_command(CLI::App& app, int& /*status*/) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand(
      "convert", "Write a checkpoint in another form, under other names, or with a difference or adapters added");
  command->add_option("IN", words->in, "A safetensors, .pth or .bin file, or a folder of a model")->required()->type_name("");
  command->add_option("OUT", words->out, "File or folder to write")->required()->type_name("");
  command->add_option("--to", words->to, "safetensors or pth (the names stay), microemo (our names), or a family's public names")
      ->required()
      ->type_name("FORM");
  command->add_option("--from", words->from, "Family that the names are of; found out when left out")->type_name("FAMILY");
  command->add_option("--part", words->part, "Sub-dict of a .pth; left out, 'model' where there is one")->type_name("NAME");
  command->add_option("--shard-size", words->shard_size, "Most bytes of a file in a folder; left out, 5GB")->type_name("SIZE");
  command->add_option("--delta", words->delta, "IN is a difference to this base; write their sum")->type_name("BASE");
  command->add_option("--merge", words->merge, "Adapters to add to the weights")->type_name("ADAPTER")->expected(1)->take_all();
  command->add_option("--unmerge", words->unmerge, "Adapters to take out of the weights")
      ->type_name("ADAPTER")
      ->expected(1)
      ->take_all();
  command
      ->add_option("--adapter", words->adapter,
                   "The one of several adapters that is meant, in the files of --merge and --unmerge or, without these, in IN")
      ->type_name("NAME");
  command->add_option("--alpha", words->alpha, "Instead of the adapters' own alpha")->check(positive_number);
  command->footer(footer);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
