// Vectors that other programs computed, as they come with a clip.
#include <cmath>
#include <limits>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/data/sample.h"
#include "microemo/formats/npy.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;

class Features : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::vector<float>& values,
                              const std::vector<int64_t>& shape) const {
    formats::write_npy(folder_.path() / name, formats::make_npy(values, shape));
    return folder_.path() / name;
  }
  Error refused(const Clip& clip, const std::string& message) const {
    return expect_error(
        ErrorKind::data, [&] { read_features(clip, options_); }, message);
  }

  TemporaryFolder folder_;
  model::FeatureOptions options_{.names = {"voice"}, .widths = {3}};
};

TEST_F(Features, AreReadInTheOrderOfTheModel) {
  options_ = {.names = {"voice", "face"}, .widths = {3, 2}};
  const Clip clip{.id = "a",
                  .features = {{"face", write("face.npy", {4, 5}, {1, 2})}, {"voice", write("voice.npy", {1, 2, 3}, {3})}}};
  const std::vector<at::Tensor> vectors = read_features(clip, options_);
  ASSERT_EQ(vectors.size(), 2u);
  EXPECT_TRUE(vectors[0].equal(at::tensor({1.f, 2.f, 3.f})));
  EXPECT_TRUE(vectors[1].equal(at::tensor({4.f, 5.f})));
}

TEST_F(Features, OfHalfAndDoublePrecisionBecomeFloats) {
  formats::write_npy(folder_.path() / "v.npy", formats::make_npy(std::vector<double>{0.1, 0.2, 1e-3}, {3}));
  const auto vectors = read_features({.id = "a", .features = {{"voice", folder_.path() / "v.npy"}}}, options_);
  EXPECT_TRUE(vectors.at(0).equal(at::tensor({0.1f, 0.2f, 1e-3f})));
}

TEST_F(Features, ThatAModelDoesNotReadAreNotOpened) {
  EXPECT_TRUE(read_features({.id = "a", .features = {{"voice", "/no/such/file.npy"}}}, {}).empty());
}

TEST_F(Features, OneThatTheClipLacksIsRefusedWithThoseThatItHas) {
  refused({.id = "a"}, "clip 'a' has no feature 'voice', which the model reads; it has none");
  refused({.id = "a", .features = {{"face", "f.npy"}, {"hubert", "h.npy"}}}, "it has face, hubert");
}

TEST_F(Features, OfAnotherShapeAreRefusedWithBoth) {
  const auto of = [&](const std::vector<float>& values, const std::vector<int64_t>& shape) {
    return Clip{.id = "a", .features = {{"voice", write("v.npy", values, shape)}}};
  };
  refused(of({1, 2}, {2}), "the feature is float32 [2]; wanted: one vector of 3 numbers");
  refused(of({1, 2, 3, 4, 5, 6}, {2, 3}), "float32 [2, 3]");
  refused(of({1, 2, 3}, {1, 1, 3}), "float32 [1, 1, 3]");
  refused(of({1, 2, 3}, {3, 1}), "float32 [3, 1]");
  refused(of({1}, {}), "float32 []");
  refused(of({}, {0, 3}), "float32 [0, 3]");
}

TEST_F(Features, OfWholeNumbersAreRefused) {
  formats::write_npy(folder_.path() / "v.npy", formats::make_npy(std::vector<int64_t>{1, 2, 3}, {3}));
  refused({.id = "a", .features = {{"voice", folder_.path() / "v.npy"}}}, "int64 [3]");
}

TEST_F(Features, ThatAreNotFiniteAreRefusedByPlace) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const auto file = write("v.npy", {1, bad, 3}, {3});
    EXPECT_EQ(refused({.id = "a", .features = {{"voice", file}}}, "value 1 of the feature is").place(), file.string());
  }
}

TEST_F(Features, OfADamagedFileAreRefused) {
  write_file_atomic(folder_.path() / "v.npy", "no array");
  refused({.id = "a", .features = {{"voice", folder_.path() / "v.npy"}}}, "");
}

TEST_F(Features, ChangeTheHashOfTheirDataset) {
  const auto hash_of = [&](const std::vector<float>& values) {
    Dataset dataset{.manifest_hash = "m"};
    dataset.samples.push_back({.clip = {.id = "a", .features = {{"voice", write("v.npy", values, {3})}}}});
    read_features(dataset, options_);
    EXPECT_TRUE(dataset.samples[0].features.at(0).equal(at::tensor(values)));
    return dataset.manifest_hash;
  };
  EXPECT_EQ(hash_of({1, 2, 3}), hash_of({1, 2, 3}));
  EXPECT_NE(hash_of({1, 2, 3}), hash_of({1, 2, 4}));
  Dataset dataset{.manifest_hash = "m"};
  read_features(dataset, {});
  EXPECT_EQ(dataset.manifest_hash, "m");
}

}  // namespace
}  // namespace microemo::data
