#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace microemo::report {

/// One named number for TensorBoard.
using Scalar = std::pair<std::string, double>;

/// The bytes of one record of a TensorBoard event file (TensorFlow's record format: length, its checksum, data, their checksum;
/// the data a protocol buffer Event): `scalars` of `step` at `seconds` since 1970.
std::string scalar_record(double seconds, int64_t step, const std::vector<Scalar>& scalars);

/// FOLDER/events.out.tfevents.SECONDS.PROCESS, which TensorBoard shows. It begins with the format's version and the start of a
/// session at `step`, so that steps that an earlier process had done beyond it are passed over. One thread at a time.
class EventFile {
 public:
  /// Throws Error(environment) when it cannot be made.
  EventFile(const std::filesystem::path& folder, int64_t step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Throws Error(environment) when it cannot be written.
  void write(int64_t step, const std::vector<Scalar>& scalars);

 private:
  void append(const std::string& record);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// The first two records of a file.
std::string version_record(double seconds);
std::string session_record(double seconds, int64_t step);

}  // namespace microemo::report
