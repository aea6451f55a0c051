#include "microemo/checkpoint/meta_llama.h"

#include <set>

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/tensor_writer.h"
#include "support/errors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

const fs::path data = fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

/// Files of tests/reference/meta_llama.py.
class MetaLlamaFiles : public testing::Test {
 protected:
  MetaLlamaFiles() { fs::copy(data / "meta2", folder()); }
  fs::path folder() const { return place_.path() / "copy"; }
  fs::path file(int number) const { return folder() / ("consolidated.0" + std::to_string(number) + ".pth"); }

  Error refusal(const std::string& part) const {
    return expect_error(
        ErrorKind::checkpoint, [&] { read_meta_llama(folder()); }, part);
  }
  void set_param(const char* key, const Json& value) const {
    Json params = read_json(folder() / "params.json");
    params[key] = value;
    write_json(folder() / "params.json", params);
  }
  /// Writes a file anew with other tensors; false from `change` leaves one out.
  void rewrite(int number, const std::function<bool(std::string& name, at::Tensor& tensor)>& change) const {
    const TensorSource source(file(number));
    NamedTensors tensors;
    std::vector<TensorPlan> plan;
    for (const TensorEntry& entry : source.entries()) {
      std::string name = entry.name;
      at::Tensor tensor = source.tensor(entry).clone();
      if (!change(name, tensor)) continue;
      plan.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
      tensors[name] = tensor;
    }
    write_pth(file(number), plan, [&](const TensorPlan& one) { return tensors.at(one.name); });
  }

  TemporaryFolder place_;
};

TEST_F(MetaLlamaFiles, HaveTheWeightsThatTheirConversionMakes) {
  for (const std::string name : {"meta2", "meta3"}) {
    const MetaLlama model = read_meta_llama(data / name);
    const TensorSource expected(data / (name + ".expected.safetensors"));
    ASSERT_EQ(model.tensors.size(), expected.entries().size()) << name;
    EXPECT_EQ(model.files.size(), 2u);
    for (const LazyTensor& tensor : model.tensors) {
      EXPECT_TRUE(tensor.make().equal(expected.tensor(tensor.name))) << name << " " << tensor.name;
      EXPECT_EQ(tensor.meta.sizes(), expected.tensor(tensor.name).sizes()) << name << " " << tensor.name;
    }
  }
}

TEST_F(MetaLlamaFiles, AreDescribedAsWholeTensors) {
  const MetaLlama model = read_meta_llama(folder());
  ASSERT_EQ(model.entries.size(), model.tensors.size());
  uint64_t bytes = 0;
  for (const TensorEntry& entry : model.entries) bytes += entry.bytes;
  EXPECT_EQ(bytes, 2u * (2 * 24 * 16 + 2 * (16 * 16 * 2 + 8 * 16 * 2 + 3 * 48 * 16 + 2 * 16) + 16));
}

TEST_F(MetaLlamaFiles, InOneFileAreTheSameModel) {
  const std::set<std::string> in_columns{"tok_embeddings.weight", "layers.0.attention.wo.weight", "layers.1.attention.wo.weight",
                                         "layers.0.feed_forward.w2.weight", "layers.1.feed_forward.w2.weight"};
  const TensorSource second(file(1));
  rewrite(0, [&](std::string& name, at::Tensor& tensor) {
    if (tensor.dim() == 2) tensor = at::cat({tensor, second.tensor(name)}, in_columns.contains(name) ? 1 : 0);
    return true;
  });
  fs::remove(file(1));
  const MetaLlama model = read_meta_llama(folder());
  const TensorSource expected(data / "meta2.expected.safetensors");
  EXPECT_EQ(model.files.size(), 1u);
  for (const LazyTensor& tensor : model.tensors) EXPECT_TRUE(tensor.make().equal(expected.tensor(tensor.name))) << tensor.name;
}

TEST_F(MetaLlamaFiles, AreKnownByTheirNames) {
  EXPECT_TRUE(is_meta_llama(folder()));
  EXPECT_FALSE(is_meta_llama(data / "llama"));
  EXPECT_FALSE(is_meta_llama(file(0)));
  fs::remove(folder() / "params.json");
  EXPECT_FALSE(is_meta_llama(folder()));
}

TEST_F(MetaLlamaFiles, WithAGapInTheirNumbersAreRefused) {
  fs::rename(file(1), file(2));
  refusal("consolidated.01.pth is missing, though there are 2 files of its kind");
}

TEST_F(MetaLlamaFiles, WithoutTheirOtherHalfAreRefused) {
  fs::remove(file(1));
  refusal("when its 1 pieces are put together, and params.json asks for 16");
}

TEST_F(MetaLlamaFiles, OfWhichOneLacksATensorAreRefused) {
  rewrite(1, [](std::string& name, at::Tensor&) { return name != "layers.1.feed_forward.w2.weight"; });
  const Error error = refusal("'layers.1.feed_forward.w2.weight' is missing, though consolidated.00.pth has it");
  EXPECT_EQ(error.place(), file(1).string());
}

TEST_F(MetaLlamaFiles, OfWhichTheFirstLacksATensorAreRefused) {
  rewrite(0, [](std::string& name, at::Tensor&) { return name != "layers.1.feed_forward.w2.weight"; });
  const Error error = refusal("'layers.1.feed_forward.w2.weight' is missing, though consolidated.01.pth has it");
  EXPECT_EQ(error.place(), file(0).string());
}

TEST_F(MetaLlamaFiles, WithPiecesOfDifferentShapeOrTypeAreRefused) {
  rewrite(1, [](std::string& name, at::Tensor& tensor) {
    if (name == "output.weight") tensor = at::ones({13, 16}, at::kBFloat16);
    return true;
  });
  refusal("'output.weight' is BF16 [13, 16], and in consolidated.00.pth BF16 [12, 16]");
  rewrite(1, [](std::string& name, at::Tensor& tensor) {
    if (name == "output.weight") tensor = at::ones({12, 16}, at::kFloat);
    return true;
  });
  refusal("'output.weight' is F32 [12, 16]");
}

TEST_F(MetaLlamaFiles, WithANameOfAnotherModelAreRefused) {
  for (const int number : {0, 1})
    rewrite(number, [](std::string& name, at::Tensor&) {
      if (name == "norm.weight") name = "experts.weight";
      return true;
    });
  refusal("'experts.weight' is no name of Meta's LLaMA");
}

TEST_F(MetaLlamaFiles, ThatLackATensorOfALayerAreRefused) {
  for (const int number : {0, 1})
    rewrite(number, [](std::string& name, at::Tensor&) { return name != "layers.0.attention.wv.weight"; });
  refusal("model.layers.0.self_attn.v_proj.weight");
}

TEST_F(MetaLlamaFiles, WithAVectorInAMatrixsPlaceAreRefused) {
  for (const int number : {0, 1})
    rewrite(number, [](std::string& name, at::Tensor& tensor) {
      if (name == "layers.0.attention.wq.weight") tensor = at::ones({16});
      return true;
    });
  refusal("'layers.0.attention.wq.weight' is F32 [16]; wanted: [rows, columns]");
}

TEST_F(MetaLlamaFiles, WithOtherParamsAreRefused) {
  set_param("n_layers", 3);
  refusal("the files hold 2 layers, and params.json says 3");
  set_param("n_kv_heads", 4);
  refusal("'layers.0.attention.wk.weight' has 8 rows when its 2 pieces are put together, and params.json asks for 16");
  set_param("dim", 32);
  refusal("and params.json asks for 32");
}

TEST_F(MetaLlamaFiles, WithMistakesInTheirParamsAreRefused) {
  const Json good = read_json(folder() / "params.json");
  set_param("n_heads", 3);
  refusal("a width of 16 cannot have 3 heads");
  set_param("n_heads", 16);
  refusal("a width of 16 cannot have 16 heads");
  set_param("n_heads", "four");
  refusal("n_heads");
  set_param("n_heads", nullptr);
  refusal("the key 'n_heads' is missing");
  write_file_atomic(folder() / "params.json", "{\"dim\": 16,");
  refusal("");
}

TEST_F(MetaLlamaFiles, OfWhichOneIsDamagedAreRefused) {
  const std::string bytes = read_file(file(1));
  for (const size_t part : {size_t{0}, bytes.size() / 3, bytes.size() - 1}) {
    write_file_atomic(file(1), bytes.substr(0, part));
    refusal("");
  }
}

}  // namespace
}  // namespace microemo::checkpoint
