#include "microemo/formats/npy_objects.h"

#include <cmath>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/pickle.h"
#include "microemo/formats/utf8.h"
#include "microemo/formats/zip.h"
#include "npy_header.h"

namespace microemo::formats {
namespace {

constexpr int deepest = 64;
constexpr uint64_t value_cost = 2 * sizeof(Json);
// A short label takes some ten bytes in a pickle and two hundred as a value of its table and of the JSON.
constexpr uint64_t memory_factor = 16;

Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// The items of an array of numbers or texts, in order.
std::vector<Json> items_of(const NpyArray& array) {
  std::vector<Json> items;
  switch (array.kind) {
    case NpyKind::text:
      return {array.texts.begin(), array.texts.end()};
    case NpyKind::boolean:
      for (const bool value : npy_values<bool>(array)) items.emplace_back(value);
      return items;
    case NpyKind::floating:
      for (const double value : npy_values<double>(array)) items.push_back(number_json(value));
      return items;
    default:
      for (const int64_t value : npy_values<int64_t>(array)) items.emplace_back(value);
      return items;
  }
}

/// Row-major items as lists in lists. `at` walks through them.
Json nested(const std::vector<int64_t>& shape, size_t dimension, std::vector<Json>& items, size_t& at) {
  if (dimension == shape.size()) return std::move(items.at(at++));
  Json list = Json::array();
  for (int64_t i = 0; i < shape[dimension]; ++i) list.push_back(nested(shape, dimension + 1, items, at));
  return list;
}

Json shaped(const std::vector<int64_t>& shape, std::vector<Json> items) {
  size_t at = 0;
  return nested(shape, 0, items, at);
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::filesystem::path& name)
      : budget_(memory_factor * bytes.size()), pickle_(bytes, budget_, name) {}

  Json read() { return value(pickle_.root(), 0); }

 private:
  /// Counts what is made, so that containers repeated in containers end.
  Json value(const PickleValue& of, int depth) {
    if (depth > deepest) throw DataError("the objects are nested more than {} levels deep", deepest);
    budget_.take(value_cost);
    switch (of.kind()) {
      case PickleKind::none:
        return nullptr;
      case PickleKind::boolean:
        return of.integer() != 0;
      case PickleKind::integer:
        return of.integer();
      case PickleKind::real:
        return number_json(of.real());
      case PickleKind::text:
        return text(of);
      case PickleKind::list:
      case PickleKind::tuple:
      case PickleKind::set:
        return list(pickle_.items(of), depth);
      case PickleKind::dict:
        return dictionary(pickle_.items(of), depth);
      case PickleKind::call:
        return array(of, depth);
      default:
        throw DataError("the array holds a value of a kind that is not read")
            .hint("keep texts, numbers, lists and dictionaries in it");
    }
  }

  std::string text(const PickleValue& of) {
    budget_.take(of.text().size());
    if (!is_utf8(of.text())) throw DataError("the array holds text that is not Unicode");
    return std::string(of.text());
  }

  Json list(std::span<const PickleValue> items, int depth) {
    Json json = Json::array();
    for (const PickleValue& item : items) json.push_back(value(item, depth + 1));
    return json;
  }

  Json dictionary(std::span<const PickleValue> items, int depth) {
    Json json = Json::object();
    Json::object_t::Container& members = json.get_ref<Json::object_t&>();
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& key = items[i];
      if (!key.is(PickleKind::text) && !key.is(PickleKind::integer))
        throw DataError("a dictionary has a key that is neither text nor a whole number");
      members.emplace_back(key.is(PickleKind::text) ? text(key) : std::to_string(key.integer()), value(items[i + 1], depth + 1));
    }
    return json;
  }

  [[noreturn]] void refuse(const PickleValue& call) const {
    throw DataError("the array holds an object of '{}', which is not read", pickle_.global_name(call))
        .hint("save numbers, texts, lists or dictionaries of them with numpy.save");
  }

  std::vector<int64_t> shape(const PickleValue& tuple) const {
    std::vector<int64_t> lengths;
    for (const PickleValue& length : pickle_.items(tuple)) {
      if (!length.is(PickleKind::integer) || length.integer() < 0) throw DataError("the shape of an array is damaged");
      lengths.push_back(length.integer());
    }
    return lengths;
  }

  /// "<U5" of numpy.dtype('U5', False, True) with the state (3, '<', …).
  std::string descr(const PickleValue& dtype) const {
    if (!dtype.is(PickleKind::call) || pickle_.global_name(dtype) != "numpy.dtype") throw DataError("a type of NumPy is damaged");
    const auto parts = pickle_.items(dtype);
    const auto arguments = pickle_.items(parts[1]);
    const auto state = parts.size() > 2 ? pickle_.items(parts[2]) : std::span<const PickleValue>();
    if (arguments.empty() || !arguments[0].is(PickleKind::text)) throw DataError("a type of NumPy is damaged");
    const std::string order = state.size() > 1 && state[1].is(PickleKind::text) ? std::string(state[1].text()) : "|";
    return order + std::string(arguments[0].text());
  }

  /// numpy.core.multiarray.scalar(dtype, bytes), or an array: _reconstruct with the state (version, shape, dtype, order, items).
  Json array(const PickleValue& call, int depth) {
    const std::string name = pickle_.global_name(call);
    const auto parts = pickle_.items(call);
    const auto arguments = pickle_.items(parts[1]);
    const bool scalar = name == "numpy.core.multiarray.scalar" || name == "numpy._core.multiarray.scalar";
    if (scalar && arguments.size() == 2 && arguments[1].is(PickleKind::bytes))
      return shaped({}, items_of(decode_npy_items({descr(arguments[0]), false, {}}, arguments[1].text())));
    const bool made = name == "numpy.core.multiarray._reconstruct" || name == "numpy._core.multiarray._reconstruct";
    const auto state = made && parts.size() > 2 ? pickle_.items(parts[2]) : std::span<const PickleValue>();
    if (state.size() != 5) refuse(call);
    const bool fortran = state[3].is(PickleKind::boolean) && state[3].integer() != 0;
    const std::vector<int64_t> lengths = shape(state[1]);
    if (state[4].is(PickleKind::bytes))
      return shaped(lengths, items_of(decode_npy_items({descr(state[2]), fortran, lengths}, state[4].text())));
    return objects(lengths, fortran, pickle_.items(state[4]), depth);
  }

  Json objects(const std::vector<int64_t>& lengths, bool fortran, std::span<const PickleValue> items, int depth) {
    uint64_t count = 1;
    for (const int64_t length : lengths)
      if (__builtin_mul_overflow(count, static_cast<uint64_t>(length), &count)) throw DataError("the shape is too large");
    if (count != items.size()) throw DataError("an array of {} objects has {} in its shape", items.size(), count);
    if (fortran && lengths.size() > 1) throw DataError("arrays of objects in Fortran order are not read");
    std::vector<Json> made;
    for (const PickleValue& item : items) made.push_back(value(item, depth + 1));
    return shaped(lengths, std::move(made));
  }

  MemoryBudget budget_;
  Pickle pickle_;
};

Json parse(std::string_view bytes, const std::filesystem::path& name) {
  size_t data_start = 0;
  const NpyHeader header = parse_npy_header(npy_header_text(bytes, data_start));
  const std::string_view data = bytes.substr(data_start);
  if (header.descr == "|O" || header.descr == "O") return Reader(data, name).read();
  return shaped(header.shape, items_of(decode_npy_items(header, data)));
}

}  // namespace

Json parse_npy_objects(std::string_view npy_bytes, const std::filesystem::path& name_in_errors) {
  try {
    return parse(npy_bytes, name_in_errors);
  } catch (const Error& mistake) {
    // A pickle's own mistakes are told as those of a checkpoint, which this is none of.
    Error told = DataError("{}", mistake.message());
    told.where(name_in_errors);
    if (!mistake.next_step().empty() && mistake.kind() == ErrorKind::data) told.hint(mistake.next_step());
    throw told;
  }
}

Json read_npz_objects(const std::filesystem::path& npz_file, std::string_view array) {
  const std::string entry = std::string(array) + ".npy";
  return parse_npy_objects(ZipFile(npz_file).read(entry), npz_file / entry);
}

}  // namespace microemo::formats
