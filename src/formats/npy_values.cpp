#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/formats/npy.h"

namespace microemo::formats {
namespace {

template <class Source>
Source load(const char* at) {
  Source value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

double load_half(const char* at) {
  const auto bits = load<uint16_t>(at);
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31)
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25));
}

/// True when every value of the source type between these bounds survives, which is what is tested.
template <class T, class Source>
bool fits(Source value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value == Source(0) || value == Source(1);
  } else if constexpr (std::is_floating_point_v<T>) {
    if constexpr (std::is_floating_point_v<Source>) return true;
    constexpr auto exact = int64_t{1} << std::numeric_limits<T>::digits;
    if constexpr (std::is_signed_v<Source>)
      return value >= -exact && value <= exact;
    else
      return value <= static_cast<uint64_t>(exact);
  } else if constexpr (std::is_floating_point_v<Source>) {
    return value >= -0x1p63 && value < 0x1p63 && std::trunc(value) == value;
  } else {
    return std::in_range<T>(value);
  }
}

template <class T, class Source, class Load>
std::vector<T> convert(const NpyArray& array, Load load_one) {
  std::vector<T> values;
  const size_t step = static_cast<size_t>(array.item_bytes);
  values.reserve(array.bytes.size() / step);
  for (size_t at = 0; at < array.bytes.size(); at += step) {
    const Source value = load_one(array.bytes.data() + at);
    if (!fits<T>(value)) throw DataError("value {} of an array {} does not fit into the type asked for", value, array.describe());
    values.push_back(static_cast<T>(value));
  }
  return values;
}

template <class T, class Source>
std::vector<T> convert(const NpyArray& array) {
  return convert<T, Source>(array, load<Source>);
}

}  // namespace

template <class T>
std::vector<T> npy_values(const NpyArray& array) {
  switch (array.kind) {
    case NpyKind::boolean:
      return convert<T, uint8_t>(array);
    case NpyKind::signed_integer:
      switch (array.item_bytes) {
        case 1:
          return convert<T, int8_t>(array);
        case 2:
          return convert<T, int16_t>(array);
        case 4:
          return convert<T, int32_t>(array);
        default:
          return convert<T, int64_t>(array);
      }
    case NpyKind::unsigned_integer:
      switch (array.item_bytes) {
        case 1:
          return convert<T, uint8_t>(array);
        case 2:
          return convert<T, uint16_t>(array);
        case 4:
          return convert<T, uint32_t>(array);
        default:
          return convert<T, uint64_t>(array);
      }
    case NpyKind::floating:
      if (array.item_bytes == 2) return convert<T, double>(array, load_half);
      return array.item_bytes == 4 ? convert<T, float>(array) : convert<T, double>(array);
    case NpyKind::text:
      break;
  }
  throw DataError("numbers were asked for, but the array is {}", array.describe());
}

template std::vector<bool> npy_values(const NpyArray&);
template std::vector<int64_t> npy_values(const NpyArray&);
template std::vector<double> npy_values(const NpyArray&);
template std::vector<float> npy_values(const NpyArray&);

}  // namespace microemo::formats
