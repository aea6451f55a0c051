#include "pth_contents.h"

#include <algorithm>
#include <utility>

#include "microemo/formats/safetensors.h"
#include "microemo/formats/utf8.h"

namespace microemo::formats {
namespace {

constexpr size_t deepest = 64;
// Rather too much than too little; the checkpoint room keeps the same once more.
constexpr uint64_t tensor_cost = 640, dimension_cost = 96, text_cost = 160, visit_cost = 16;

struct TensorCall {
  std::string function;
  std::span<const PickleValue> arguments;
};

/// Walks through the dicts and lists of a pickle and writes down what stands in them.
class Walker {
 public:
  Walker(const PthDocument& document, const PthOptions& options, MemoryBudget& budget)
      : pickle_(document.pickle), document_(document), options_(options), budget_(budget) {}

  PthContents walk() {
    const PickleValue start = enter_sub_dict();
    if (start.is(PickleKind::call) && !tensor_call(start)) refuse_object(start);
    visit(start);
    refuse_twins();
    return std::move(contents_);
  }

 private:
  void refuse_twins() const;
  PickleValue enter_sub_dict() const;
  std::string sub_dicts_of(const PickleValue& dict) const;
  void visit(const PickleValue& value);
  void visit_dict(const PickleValue& dict);
  void visit_list(const PickleValue& list);
  void visit_call(const PickleValue& call);
  void visit_below(const std::string& key, const PickleValue& value);
  std::optional<TensorCall> tensor_call(PickleValue value) const;
  void add_tensor(const TensorCall& call);
  void place_in_storage(PthTensor& tensor, const PthStorageId& id, int64_t stored_width) const;
  void check_extent(const PthTensor& tensor, int64_t room) const;
  void add_value(std::string text);
  void add_unknown(std::string global);
  std::vector<int64_t> numbers(const PickleValue& value) const;
  int64_t number(const PickleValue& value) const;
  std::string name() const { return path_.empty() ? "tensor" : path_; }
  [[noreturn]] void refuse_object(const PickleValue& call) const;
  [[noreturn]] void mistake(const std::string& what) const;

  const Pickle& pickle_;
  const PthDocument& document_;
  const PthOptions& options_;
  MemoryBudget& budget_;
  PthContents contents_;
  std::string path_;
  std::vector<uint32_t> open_;  ///< the containers around the value
};

void Walker::mistake(const std::string& what) const {
  throw CheckpointError("'{}': {}", name(), what).where(document_.path).hint("fetch or write the file again, it is damaged");
}

void Walker::refuse_object(const PickleValue& call) const {
  throw CheckpointError("the file holds an object of '{}' and no dict of tensors; it was not run", pickle_.global_name(call))
      .where(document_.path)
      .hint("in Python, save the state_dict() of the object instead");
}

void Walker::refuse_twins() const {
  std::vector<std::string_view> names;
  for (const PthTensor& tensor : contents_.tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin != names.end())
    throw CheckpointError("two tensors have the name '{}'", *twin)
        .where(document_.path)
        .hint("save the file again with keys that differ, also when those of nested dicts are joined by '/'");
}

std::string Walker::sub_dicts_of(const PickleValue& dict) const {
  std::string names;
  const auto items = dict.is(PickleKind::dict) ? pickle_.items(dict) : std::span<const PickleValue>();
  for (size_t i = 0; i < items.size() && names.size() < 400; i += 2)
    if (items[i].is(PickleKind::text) && items[i + 1].is(PickleKind::dict))
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", items[i].text());
  return names.empty() ? "there are no dicts here" : "the dicts here are " + names;
}

PickleValue Walker::enter_sub_dict() const {
  PickleValue value = pickle_.root();
  std::string_view rest = options_.sub_dict;
  while (!rest.empty()) {
    const std::string_view key = rest.substr(0, rest.find('/'));
    const auto items = value.is(PickleKind::dict) ? pickle_.items(value) : std::span<const PickleValue>();
    size_t place = 0;
    while (place < items.size() && !(items[place].is(PickleKind::text) && items[place].text() == key)) place += 2;
    if (place == items.size())
      throw CheckpointError("there is no sub-dict '{}': '{}' was not found", options_.sub_dict, key)
          .where(document_.path)
          .hint(sub_dicts_of(value));
    value = items[place + 1];
    rest.remove_prefix(std::min(rest.size(), key.size() + 1));
  }
  return value;
}

void Walker::visit(const PickleValue& value) {
  budget_.take(visit_cost);  // bounds the work, too, where containers are repeated in containers
  switch (value.kind()) {
    case PickleKind::dict:
      return visit_dict(value);
    case PickleKind::list:
    case PickleKind::tuple:
      return visit_list(value);
    case PickleKind::call:
      return visit_call(value);
    case PickleKind::persistent:
      return add_unknown("a storage without a tensor");
    case PickleKind::none:
      return add_value("none");
    case PickleKind::boolean:
      return add_value(value.integer() != 0 ? "true" : "false");
    case PickleKind::integer:
      return add_value(std::to_string(value.integer()));
    case PickleKind::real:
      return add_value(fmt::format("{}", value.real()));
    case PickleKind::text:
      return add_value(std::string(value.text()));
    case PickleKind::global:
      return add_value(pickle_.global_name(value));
    default:
      return;
  }
}

void Walker::visit_below(const std::string& key, const PickleValue& value) {
  const size_t length = path_.size();
  if (!path_.empty()) path_ += '/';
  path_ += key;
  visit(value);
  path_.resize(length);
}

void Walker::visit_dict(const PickleValue& dict) {
  const uint32_t identity = pickle_.identity(dict);
  if (std::find(open_.begin(), open_.end(), identity) != open_.end()) mistake("this dict holds itself");
  if (open_.size() == deepest) mistake("dicts are nested deeper than 64 levels");
  open_.push_back(identity);
  const auto items = pickle_.items(dict);
  for (size_t i = 0; i < items.size(); i += 2) {
    budget_.take(items[i].text().size());  // one long key may stand in a pickle once, and be the key of a million values
    if (items[i].is(PickleKind::text) && is_utf8(items[i].text()))
      visit_below(std::string(items[i].text()), items[i + 1]);
    else if (items[i].is(PickleKind::integer))
      visit_below(std::to_string(items[i].integer()), items[i + 1]);
    else
      add_unknown("a key that is neither text nor a whole number");
  }
  open_.pop_back();
}

/// Only what may hold tensors: a list of numbers is a table of its own, and no value.
void Walker::visit_list(const PickleValue& list) {
  const uint32_t identity = pickle_.identity(list);
  if (std::find(open_.begin(), open_.end(), identity) != open_.end()) mistake("this list holds itself");
  if (open_.size() == deepest) mistake("lists are nested deeper than 64 levels");
  open_.push_back(identity);
  const auto items = pickle_.items(list);
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].kind() >= PickleKind::list && !items[i].is(PickleKind::global)) visit_below(std::to_string(i), items[i]);
  open_.pop_back();
}

/// The call that makes a tensor, out of the wrappings of parameters and subclasses. Nothing when it makes something else.
std::optional<TensorCall> Walker::tensor_call(PickleValue value) const {
  for (int wrappings = 0; wrappings < 4 && value.is(PickleKind::call); ++wrappings) {
    TensorCall call{pickle_.global_name(value), pickle_.items(pickle_.items(value)[1])};
    if (call.function == "torch._tensor._rebuild_from_type_v2" && call.arguments.size() == 4 &&
        call.arguments[2].is(PickleKind::tuple)) {
      const std::string type = pickle_.global_name(call.arguments[1]);
      if (type != "torch.Tensor" && type != "torch.nn.parameter.Parameter" && type != "torch.nn.parameter.Buffer") return {};
      call = {pickle_.global_name(call.arguments[0]), pickle_.items(call.arguments[2])};
    }
    if (call.function == "torch._utils._rebuild_tensor" || call.function == "torch._utils._rebuild_tensor_v2" ||
        call.function == "torch._utils._rebuild_tensor_v3")
      return call;
    const bool parameter = call.function == "torch._utils._rebuild_parameter" ||
                           call.function == "torch._utils._rebuild_parameter_with_state" ||
                           call.function == "torch.nn.parameter.Parameter";
    if (!parameter || call.arguments.empty()) return {};
    value = call.arguments[0];
  }
  return {};
}

void Walker::visit_call(const PickleValue& call) {
  if (const auto tensor = tensor_call(call)) return add_tensor(*tensor);
  const std::string function = pickle_.global_name(call);
  const auto arguments = pickle_.items(pickle_.items(call)[1]);
  if (function == "torch.device" && !arguments.empty() && arguments[0].is(PickleKind::text))
    return add_value(std::string(arguments[0].text()));
  add_unknown(function.empty() ? "the result of a call" : function);
}

int64_t Walker::number(const PickleValue& value) const {
  if (!value.is(PickleKind::integer) || value.integer() < 0) mistake("a length, stride or offset is no whole number from 0");
  return value.integer();
}

std::vector<int64_t> Walker::numbers(const PickleValue& value) const {
  if (!value.is(PickleKind::tuple) && !value.is(PickleKind::list)) mistake("the shape or the strides are no tuple");
  const auto items = pickle_.items(value);
  budget_.take(dimension_cost * items.size());
  std::vector<int64_t> result;
  result.reserve(items.size());
  for (const PickleValue& item : items) result.push_back(number(item));
  return result;
}

void Walker::add_tensor(const TensorCall& call) {
  const bool typed = !call.function.ends_with("_v3");
  const auto& given = call.arguments;
  if (given.size() < (typed ? 4u : 7u) || !given[0].is(PickleKind::persistent)) mistake("the tensor has no storage and shape");
  const size_t metadata = typed ? 6 : 7;
  if (given.size() > metadata && !pickle_.items(given[metadata]).empty()) return add_unknown("a conjugated or negated view");
  const auto id = read_storage_id(pickle_, given[0]);
  if (!id) mistake("the storage has no class, key and size");
  const std::string stored_type = pickle_.global_name(id->type);
  const std::string_view stored_word = dtype_of_storage_class(stored_type);
  const std::string type = typed ? stored_type : pickle_.global_name(given[6]);
  const std::string_view word = typed ? stored_word : dtype_of_torch_type(type);
  if (stored_word.empty() || word.empty()) return add_unknown(stored_word.empty() ? stored_type : type);
  const auto storage = document_.storages.find(id->key);
  if (storage == document_.storages.end()) mistake(fmt::format("its storage '{}' is not in the file", id->key));
  budget_.take(tensor_cost + 4 * path_.size());
  PthTensor tensor{name(),
                   std::string(word),
                   numbers(given[2]),
                   numbers(given[3]),
                   storage->second.begin,
                   storage->second.end,
                   static_cast<uint64_t>(number(given[1]))};
  place_in_storage(tensor, *id, dtype_width(stored_word));
  contents_.tensors.push_back(std::move(tensor));
}

/// A storage, and a view of one, count in elements of the storage's class; the tensor counts in its own.
void Walker::place_in_storage(PthTensor& tensor, const PthStorageId& id, int64_t stored_width) const {
  const uint64_t present = tensor.storage_end - tensor.storage_begin;
  int64_t stored = 0;
  if (__builtin_mul_overflow(id.elements, stored_width, &stored) || static_cast<uint64_t>(stored) != present)
    mistake(fmt::format("its storage '{}' has {} bytes and not {} elements", id.key, present, id.elements));
  const int64_t width = dtype_width(tensor.dtype), view_begin = id.view_offset * stored_width;
  if (view_begin % width != 0) mistake("its view of the storage begins within an element");
  check_extent(tensor, id.view_elements * stored_width / width);
  tensor.offset += static_cast<uint64_t>(view_begin / width);
}

/// Every element has to lie in the storage, and a tensor that repeats elements (stride 0) must not grow without bounds.
void Walker::check_extent(const PthTensor& tensor, int64_t room) const {
  if (tensor.shape.size() != tensor.strides.size()) mistake("it has more lengths than strides, or fewer");
  uint64_t bytes = 0;
  try {
    bytes = safetensors_size(tensor.dtype, tensor.shape);
  } catch (const Error& too_large) {
    mistake(too_large.message());
  }
  auto last = static_cast<int64_t>(tensor.offset);
  bool overflow = false;
  for (size_t i = 0; i < tensor.shape.size() && bytes > 0; ++i) {
    int64_t step = 0;
    overflow |= __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step);
    overflow |= __builtin_add_overflow(last, step, &last);
  }
  if (overflow || last > room || (last == room && bytes > 0)) mistake("it leaves its storage");
  if (bytes > 2 * document_.file_bytes + (uint64_t{16} << 20))
    mistake(fmt::format("it has {} bytes, more than twice the file: elements are repeated", bytes));
}

void Walker::add_value(std::string text) {
  if (path_.empty()) return;
  budget_.take(text_cost + path_.size() + text.size());
  if (!is_utf8(text)) return;
  contents_.values[path_] = std::move(text);
}

void Walker::add_unknown(std::string global) {
  if (options_.refuse_unknown)
    throw CheckpointError("'{}' is an object of '{}', which is not read; it was not run", name(), global)
        .where(document_.path)
        .hint("read the file with unknown values left out, or name the sub-dict of the tensors");
  budget_.take(text_cost + 3 * (path_.size() + global.size()));
  contents_.unknown.push_back({path_, std::move(global)});
}

}  // namespace

std::optional<PthStorageId> read_storage_id(const Pickle& pickle, const PickleValue& persistent) {
  const auto outer = pickle.items(persistent);
  const auto id = outer.empty() ? outer : pickle.items(outer[0]);
  const bool storage = id.size() >= 5 && outer[0].is(PickleKind::tuple) && id[0].is(PickleKind::text) &&
                       id[0].text() == "storage" && id[1].is(PickleKind::global) && id[2].is(PickleKind::text) &&
                       id[4].is(PickleKind::integer) && id[4].integer() >= 0;
  if (!storage) return std::nullopt;
  PthStorageId result{id[1], id[2].text(), id[4].integer(), 0, id[4].integer()};
  if (id.size() == 5 || id[5].is(PickleKind::none)) return result;
  const auto view = pickle.items(id[5]);
  if (view.size() != 3 || !view[1].is(PickleKind::integer) || !view[2].is(PickleKind::integer)) return std::nullopt;
  result.view_offset = view[1].integer();
  result.view_elements = view[2].integer();
  const bool inside = result.view_offset >= 0 && result.view_elements >= 0 && result.view_offset <= result.elements &&
                      result.view_elements <= result.elements - result.view_offset;
  return inside ? std::optional(result) : std::nullopt;
}

PthContents read_pth_contents(const PthDocument& document, const PthOptions& options, MemoryBudget& budget) {
  return Walker(document, options, budget).walk();
}

}  // namespace microemo::formats
