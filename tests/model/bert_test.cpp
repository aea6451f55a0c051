#include "microemo/model/bert.h"

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/load.h"
#include "microemo/nn/on_meta.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::encoder_data;
using test::error_of;
using test::expect_error;

/// The model of tests/reference/bert.py: three rows, of which the second is padded, of two kinds of tokens.
class BertModel : public testing::Test {
 protected:
  at::Tensor input(const std::string& name) const { return recorded_.tensor("input." + name).clone(); }
  std::vector<at::Tensor> states() const { return model_->forward(input("input_ids"), visible_, input("token_type_ids")); }

  const checkpoint::TensorSource recorded_{encoder_data / "bert.reference.safetensors"};
  const at::Tensor visible_ = recorded_.tensor("input.attention_mask").ne(0);
  const std::shared_ptr<Bert> model_ = load_bert(encoder_data / "bert");
};

TEST_F(BertModel, EqualsTransformersInEveryHiddenStateOfPaddedRows) {
  test::expect_states(states(), test::states_of(recorded_, "output.hidden_states."));
}

TEST_F(BertModel, EqualsTransformersInItsGradients) {
  test::require_gradients(*model_);
  test::weighed_loss(states().back(), visible_).backward();
  test::expect_same_gradients(*model_,
                              checkpoint::read_part(encoder_data / "bert.gradients.safetensors", "text_encoder", "bert"));
}

TEST(Bert, OfTheFirstSizeHasTheParametersOfBertBaseWithoutItsPooler) {
  const nn::OnMeta guard;
  int64_t count = 0;
  for (const at::Tensor& parameter : Bert(BertOptions()).parameters()) count += parameter.numel();
  EXPECT_EQ(count, 109'482'240 - (768 * 768 + 768));
}

TEST_F(BertModel, TakesTokensOfTheFirstKindAndSeesAllUnlessItIsTold) {
  const at::Tensor ids = input("input_ids");
  EXPECT_TRUE(model_->forward(ids).back().equal(
      model_->forward(ids, at::ones(ids.sizes(), at::kBool), at::zeros(ids.sizes(), at::kLong)).back()));
  EXPECT_GT(error_of(model_->forward(ids).back()[0], states().back()[0]), 1e-2);
}

TEST_F(BertModel, AnotherEpsilonIsSeenInTheGoldenValues) {
  BertOptions options = model_->options();
  ASSERT_EQ(options.norm_epsilon, 0.02);
  options.norm_epsilon = 1e-12;
  Bert wrong(options);
  checkpoint::load_into(wrong, checkpoint::tensors_of(*model_), {});
  EXPECT_GT(error_of(wrong.forward(input("input_ids")).back(), model_->forward(input("input_ids")).back()), 1e-3);
}

TEST_F(BertModel, RefusesIdsBeyondItsTablesAndRowsThatAreTooLong) {
  const auto refused = [&](const at::Tensor& ids, const at::Tensor& mask, const std::string& message) {
    expect_error(
        ErrorKind::internal, [&] { model_->forward(ids, mask); }, message);
  };
  refused(at::full({1, 3}, 30, at::kLong), {}, "ids of 30 to 30, and their table has 30 rows");
  refused(at::zeros({1, 10}, at::kLong), {}, "ids are [1, 10]; wanted: [rows, up to 9]");
  refused(at::zeros({2, 3}, at::kLong), at::ones({2, 4}, at::kBool), "ids are [2, 3], and its mask or types [2, 4]");
}

TEST_F(BertModel, OfAnotherFamilyIsAnError) {
  expect_error(
      ErrorKind::checkpoint, [] { load_bert(encoder_data / "whisper"); }, "a model of type 'whisper' is no bert encoder");
}

TEST_F(BertModel, OfAnotherWidthIsNamedWithBothShapes) {
  const TemporaryFolder place;
  std::filesystem::copy(encoder_data / "bert", place.path(), std::filesystem::copy_options::recursive);
  std::string config = read_file(place.path() / "config.json");
  config.replace(config.find("\"type_vocab_size\": 2"), 20, "\"type_vocab_size\": 3");
  write_file_atomic(place.path() / "config.json", config);
  expect_error(
      ErrorKind::checkpoint, [&] { load_bert(place.path()); }, "token_type: file [2, 12], model [3, 12]");
}

/// The golden folder with other tensors or another number in its config.
class BertFolder : public testing::Test {
 protected:
  BertFolder() {
    std::filesystem::copy(encoder_data / "bert", place_.path(), std::filesystem::copy_options::recursive);
    tensors_ = checkpoint::read_tensors(encoder_data / "bert/model.safetensors");
  }
  std::shared_ptr<Bert> load() const {
    checkpoint::write_tensors(place_.path() / "model.safetensors", tensors_);
    return load_bert(place_.path());
  }
  void refused(const std::string& part) const {
    expect_error(
        ErrorKind::checkpoint, [&] { load(); }, part);
  }
  void configure(const std::string& key, int64_t value) const {
    Json config = read_json(place_.path() / "config.json");
    config[key] = value;
    write_file_atomic(place_.path() / "config.json", config.dump());
  }

  const TemporaryFolder place_;
  checkpoint::NamedTensors tensors_;
};

TEST_F(BertFolder, OfBertModelAloneHasNamesWithoutAPrefixAndNewerOnesOfItsNorms) {
  checkpoint::NamedTensors renamed;
  for (const auto& [old_name, tensor] : tensors_) {
    if (!old_name.starts_with("bert.")) continue;
    std::string name = old_name.substr(5);
    for (const auto& [older, newer] : {std::pair{".gamma", ".weight"}, std::pair{".beta", ".bias"}})
      if (name.ends_with(older)) name = name.substr(0, name.size() - std::string(older).size()) + newer;
    renamed[name] = tensor;
  }
  renamed["embeddings.position_ids"] = at::arange(9).unsqueeze(0);
  tensors_ = renamed;
  const at::Tensor ids = at::arange(1, 8).view({1, 7});
  EXPECT_TRUE(load()->forward(ids).back().equal(load_bert(encoder_data / "bert")->forward(ids).back()));
}

TEST_F(BertFolder, WithATensorTooFewOrTooManyIsAnErrorThatNamesIt) {
  const at::Tensor key = tensors_.at("bert.encoder.layer.1.attention.self.key.bias");
  tensors_.erase("bert.encoder.layer.1.attention.self.key.bias");
  refused("bert.encoder.layer.1.attention.self.key.bias");
  tensors_["bert.encoder.layer.1.attention.self.key.bias"] = key;
  tensors_["bert.encoder.layer.1.attention.self.distance_embedding.weight"] = key;
  refused("distance_embedding");
}

TEST_F(BertFolder, OfAnotherNumberOfBlocksIsAnError) {
  configure("num_hidden_layers", 2);
  refused("block2.");
  configure("num_hidden_layers", 4);
  refused("block3.");
}

TEST_F(BertFolder, WithPositionsThatAreNotAbsoluteIsAnError) {
  Json config = read_json(place_.path() / "config.json");
  config["position_embedding_type"] = "relative_key";
  write_file_atomic(place_.path() / "config.json", config.dump());
  refused("relative_key");
}

TEST_F(BertFolder, OfHeadsThatDoNotDivideItsWidthIsAnError) {
  configure("num_attention_heads", 5);
  refused("a width of 12 cannot have 5 heads");
}

}  // namespace
}  // namespace microemo::model
