#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

// The cache of what frozen encoders give. Shapes: n whole frames or pieces of sound of one clip, S tokens of each, C channels.

namespace microemo::data {

/// Whose tokens they are.
struct EncodedBy {
  std::string part;         ///< "frames" or "sound"
  std::string fingerprint;  ///< hash of the encoder's weights and of how it computes, 64 hexadecimal digits
};

/// CACHE/frames-0123456789abcdef, with the first digits of the fingerprint.
std::filesystem::path encoded_folder(const std::filesystem::path& cache, const EncodedBy& encoder);
/// FOLDER/ab/abcdef….safetensors in it: the file has the name of the clip's entry in the cache of prepared clips, so that clips
/// of the same contents share it.
std::filesystem::path encoded_file(const std::filesystem::path& cache, const EncodedBy& encoder,
                                   const std::filesystem::path& prepared_entry);

/// Writes tokens [n, S, C] of floats atomically, with a hash over them. They are kept in bf16 where that loses no bit, else in
/// fp32. Throws Error(environment) when the file cannot be written, Error(data) for values that are not finite.
void write_encoded(const std::filesystem::path& file, const EncodedBy& encoder, const at::Tensor& tokens_nSC);

/// Whether the file is there and its header is that of this clip and encoder, with `rows` rows. Does not read the tokens. A file
/// that is there and does not fit is warned of.
bool has_encoded(const std::filesystem::path& file, const EncodedBy& encoder, int64_t rows);

/// The tokens, as they were written, bf16 or fp32. Thread-safe. Throws Error(data) naming the file and the clip that it is read
/// for when it is missing, its contents are not those that were written, or it has another number of rows.
at::Tensor read_encoded(const std::filesystem::path& file, int64_t rows, const std::string& clip);

}  // namespace microemo::data
