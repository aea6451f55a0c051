#include "microemo/train/optimizer.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/ones_like.h>

#include "train/support.h"

namespace microemo::train {
namespace {

using test::expect_error;

const checkpoint::NamedTensors& golden() {
  static const auto tensors =
      checkpoint::read_tensors(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests" / "data" / "train" / "adamw.safetensors");
  return tensors;
}

/// The three parameters of the golden values.
struct Golden : torch::nn::Module {
  struct Part : torch::nn::Module {};
  Golden() {
    auto layer = register_module("layer", std::make_shared<Part>());
    layer->register_parameter("bias", golden().at("start/layer.bias").clone());
    layer->register_parameter("weight", golden().at("start/layer.weight").clone());
    register_module("tokens", std::make_shared<Part>())->register_parameter("weight", golden().at("start/tokens.weight").clone());
  }
  void set_gradients(int step) {
    for (auto& item : named_parameters()) {
      const auto found = golden().find(fmt::format("gradient{}/{}", step, item.key()));
      item.value().mutable_grad() = found == golden().end() ? at::Tensor() : found->second.clone();
    }
  }
};

TEST(AdamW, EqualsTorchOverSeveralSteps) {
  Golden module;
  AdamW optimizer(module, TrainOptions{});
  for (int step = 0; step < 6; ++step) {
    module.set_gradients(step);
    optimizer.step(1e-2 / (step + 1));
    for (const auto& item : module.named_parameters())
      EXPECT_TRUE(at::allclose(item.value(), golden().at(fmt::format("after{}/{}", step, item.key())), 1e-6, 1e-7))
          << item.key() << " in step " << step;
  }
}

TEST(AdamW, AParameterWithoutGradientIsLeftAsItIs) {
  Golden module;
  AdamW optimizer(module, TrainOptions{});
  for (int step = 0; step < 3; ++step) {
    const at::Tensor before = module.named_parameters()["layer.weight"].detach().clone();
    module.set_gradients(step);
    optimizer.step(1e-2);
    EXPECT_EQ(module.named_parameters()["layer.weight"].detach().equal(before), step == 2);
  }
  EXPECT_EQ(optimizer.without_gradient(), (std::vector<std::string>{"layer.weight"}));
  EXPECT_EQ(optimizer.state().at("layer.weight.step").item<float>(), 2);
}

TEST(AdamW, NamesHaveRatesOfTheirOwn) {
  TrainOptions options;
  options.rate_factors = {"layer.bias=0", "layer.*=0.5"};
  Golden module, slow;
  AdamW optimizer(module, options), other(slow, TrainOptions{});
  const at::Tensor bias = module.named_parameters()["layer.bias"].detach().clone();
  module.set_gradients(0);
  slow.set_gradients(0);
  optimizer.step(1e-2);
  other.step(0.5e-2);
  EXPECT_TRUE(module.named_parameters()["layer.bias"].equal(bias));
  EXPECT_TRUE(module.named_parameters()["layer.weight"].equal(slow.named_parameters()["layer.weight"]));
  EXPECT_FALSE(module.named_parameters()["tokens.weight"].equal(slow.named_parameters()["tokens.weight"]));
}

TEST(AdamW, RefusesRateFactorsThatAreNone) {
  const auto refused = [](const std::string& entry, const std::string& part) {
    TrainOptions options;
    options.rate_factors = {entry};
    Golden module;
    expect_error(
        ErrorKind::config, [&] { AdamW(module, options); }, part);
  };
  for (const char* entry : {"layer.*", "layer.*=", "layer.*=fast", "layer.*=-1", "layer.*=nan", "layer.*=2x"})
    refused(entry, "is no PATTERN=FACTOR");
  refused("lyaer.weight=2", "did you mean 'layer.weight'");
}

TEST(AdamW, AFrozenParameterHasNoState) {
  Golden module;
  TrainOptions options;
  options.frozen = {"layer.*"};
  select_trainable(module, options);
  EXPECT_THAT(AdamW(module, options).state(), testing::SizeIs(3));
}

/// The weights of a file, as they lie in it.
Golden mapped(const std::filesystem::path& file) {
  Golden module;
  checkpoint::write_tensors(file, checkpoint::tensors_of(module));
  for (const auto& [name, tensor] : checkpoint::read_tensors(file)) module.named_parameters()[name].set_data(tensor);
  return module;
}

TEST(AdamW, RefusesToTrainWeightsThatLieInAMappedFile) {
  const TemporaryFolder place;
  const std::filesystem::path file = place.path() / "weights.safetensors";
  const Golden module = mapped(file);
  const Error error = expect_error(
      ErrorKind::internal, [&] { AdamW(module, TrainOptions{}); }, "'layer.bias' is to be written to, and lies in a mapped file");
  EXPECT_EQ(error.place(), file.string());
  EXPECT_THAT(error.next_step(), testing::HasSubstr("clone()"));
}

TEST(AdamW, LeavesFrozenWeightsInTheirMappedFile) {
  const TemporaryFolder place;
  Golden module = mapped(place.path() / "weights.safetensors");
  module.named_parameters()["tokens.weight"].set_data(golden().at("start/tokens.weight").clone());
  TrainOptions options;
  options.frozen = {"layer.*"};
  select_trainable(module, options);
  AdamW optimizer(module, options);
  module.set_gradients(0);
  optimizer.step(1e-2);
  EXPECT_TRUE(module.named_parameters()["layer.weight"].equal(golden().at("start/layer.weight")));
  EXPECT_FALSE(module.named_parameters()["tokens.weight"].equal(golden().at("start/tokens.weight")));
}

TEST(AdamW, GoesOnFromItsStateBitForBit) {
  Golden through, resumed;
  AdamW first(through, TrainOptions{}), second(resumed, TrainOptions{});
  checkpoint::NamedTensors state;
  for (int step = 0; step < 6; ++step) {
    if (step == 3) {
      second.load_state(first.state(), "state");
      checkpoint::load_into(resumed, checkpoint::tensors_of(through), {});
    }
    for (auto [module, optimizer] : {std::pair{&through, &first}, std::pair{&resumed, &second}}) {
      module->set_gradients(step);
      optimizer->step(1e-2);
    }
  }
  for (const auto& item : through.named_parameters())
    EXPECT_TRUE(item.value().equal(resumed.named_parameters()[item.key()])) << item.key();
}

TEST(AdamW, RefusesAStateThatLacksAParameter) {
  Golden module;
  AdamW optimizer(module, TrainOptions{});
  auto state = optimizer.state();
  state.erase("layer.bias.exp_avg");
  expect_error(
      ErrorKind::checkpoint, [&] { optimizer.load_state(state, "x"); }, "no 'layer.bias.exp_avg'");
}

TEST(AdamW, RefusesAStateWithMore) {
  Golden module;
  AdamW optimizer(module, TrainOptions{});
  auto state = optimizer.state();
  state["other.step"] = at::zeros({});
  expect_error(
      ErrorKind::checkpoint, [&] { optimizer.load_state(state, "x"); }, "no 'other.step'");
}

TEST(AdamW, RefusesAStateOfAnotherShape) {
  Golden module;
  AdamW optimizer(module, TrainOptions{});
  auto state = optimizer.state();
  state["layer.bias.exp_avg"] = at::zeros({6});
  expect_error(
      ErrorKind::checkpoint, [&] { optimizer.load_state(state, "x"); }, "'layer.bias.exp_avg' has another shape");
}

class Clipping : public testing::Test {
 protected:
  std::vector<at::Tensor> gradients() const {
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < 3; ++i) tensors.push_back(golden().at(fmt::format("unclipped/{}", i)).clone());
    return tensors;
  }
};

TEST_F(Clipping, EqualsTorch) {
  for (const int most : {1, 100}) {
    const auto clipped = gradients();
    EXPECT_TRUE(at::allclose(clip_gradients(clipped, most), golden().at(fmt::format("norm{}", most)), 1e-6, 0));
    for (size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(at::allclose(clipped[i], golden().at(fmt::format("clipped{}/{}", most, i)), 1e-6, 1e-9)) << most << i;
  }
}

TEST_F(Clipping, ZeroLeavesTheGradients) {
  const auto clipped = gradients();
  clip_gradients(clipped, 0);
  EXPECT_TRUE(clipped[0].equal(gradients()[0]));
}

TEST_F(Clipping, TheNormsOfPartsAreThoseOfTheirGradients) {
  test::Regression module;
  AdamW optimizer(module, TrainOptions{});
  module.weight.mutable_grad() = test::Regression::fill({3, 4}, 8);
  module.bias.mutable_grad() = test::Regression::fill({3}, 9);
  const auto norms = optimizer.norms_by_part(gradient_norms(optimizer.gradients()));
  const double squares = module.weight.grad().square().sum().item<double>() + module.bias.grad().square().sum().item<double>();
  ASSERT_EQ(norms.size(), 1u);  // the spare weight has no gradient
  EXPECT_NEAR(norms.at("layer"), std::sqrt(squares), 1e-5);
}

TEST_F(Clipping, NeedsAGradient) { EXPECT_THROW(clip_gradients({}, 1), Error); }

std::vector<std::string> trainable_names(const TrainOptions& options) {
  test::Regression module;
  select_trainable(module, options);
  std::vector<std::string> names;
  for (const auto& item : module.named_parameters())
    if (item.value().requires_grad()) names.push_back(item.key());
  return names;
}

TEST(Trainable, EverythingByDefault) { EXPECT_EQ(trainable_names({}).size(), 3u); }

TEST(Trainable, FrozenWinsOverTrainable) {
  TrainOptions options;
  options.trainable = {"layer.*"};
  options.frozen = {"*.bias"};
  EXPECT_EQ(trainable_names(options), (std::vector<std::string>{"layer.weight"}));
}

TEST(Trainable, RefusesAPatternThatMatchesNothing) {
  TrainOptions options;
  options.frozen = {"layer.wieght"};
  expect_error(
      ErrorKind::config, [&] { trainable_names(options); },
      "'layer.wieght' of train.frozen matches no parameter; did you mean 'layer.weight'?");
}

TEST(Trainable, RefusesToTrainNothing) {
  TrainOptions options;
  options.frozen = {"*"};
  expect_error(
      ErrorKind::config, [&] { trainable_names(options); }, "no parameter is left");
}

}  // namespace
}  // namespace microemo::train
