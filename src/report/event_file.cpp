#include "microemo/report/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "microemo/base/error.h"

namespace microemo::report {
namespace {

constexpr std::array<uint32_t, 256> checksum_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82f63b78U : 0);
    table[i] = value;
  }
  return table;
}();

/// CRC-32C (Castagnoli), turned and moved as TensorFlow does so that checksums of checksums are none.
uint32_t masked_checksum(const std::string& bytes) {
  uint32_t value = ~uint32_t{0};
  for (const char byte : bytes) value = (value >> 8) ^ checksum_table[(value ^ static_cast<uint8_t>(byte)) & 0xff];
  value = ~value;
  return std::rotr(value, 15) + 0xa282ead8U;
}

template <class Number>
std::string little_endian(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

std::string varint(uint64_t number) {
  std::string bytes;
  for (; number >= 128; number >>= 7) bytes += static_cast<char>(number | 128);
  return bytes + static_cast<char>(number);
}

enum WireType : uint8_t { whole = 0, eight_bytes = 1, text = 2, four_bytes = 5 };

std::string key(int field, WireType type) { return varint(static_cast<uint64_t>(field) << 3 | type); }
std::string text_field(int field, const std::string& value) { return key(field, text) + varint(value.size()) + value; }
std::string whole_field(int field, int64_t value) {
  return value == 0 ? std::string() : key(field, whole) + varint(static_cast<uint64_t>(value));
}

/// Fields of the message Event: wall_time 1, step 2, then one of file_version 3, summary 5 and session_log 7.
std::string record(double seconds, int64_t step, const std::string& what) {
  const std::string event = key(1, eight_bytes) + little_endian(seconds) + whole_field(2, step) + what;
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  return length + little_endian(masked_checksum(length)) + event + little_endian(masked_checksum(event));
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

Error cannot_write(const std::filesystem::path& path) {
  return EnvironmentError("the event file cannot be written: {}", std::strerror(errno))
      .where(path)
      .hint("check the access rights and the free space of the disk");
}

}  // namespace

std::string scalar_record(double seconds, int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const auto& [name, value] : scalars)
    summary += text_field(1, text_field(1, name) + key(2, four_bytes) + little_endian(static_cast<float>(value)));
  return record(seconds, step, text_field(5, summary));
}

std::string version_record(double seconds) { return record(seconds, 0, text_field(3, "brain.Event:2")); }

std::string session_record(double seconds, int64_t step) {
  constexpr int64_t start = 1;
  return record(seconds, step, text_field(7, whole_field(1, start)));
}

EventFile::EventFile(const std::filesystem::path& folder, int64_t step) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const double seconds = now();
  path_ = folder / fmt::format("events.out.tfevents.{:010}.{}", static_cast<int64_t>(seconds), ::getpid());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw cannot_write(path_);
  append(version_record(seconds) + session_record(seconds, step));
}

EventFile::~EventFile() { ::close(descriptor_); }

void EventFile::write(int64_t step, const std::vector<Scalar>& scalars) { append(scalar_record(now(), step, scalars)); }

void EventFile::append(const std::string& record) {
  if (::write(descriptor_, record.data(), record.size()) != static_cast<ssize_t>(record.size())) throw cannot_write(path_);
}

}  // namespace microemo::report
