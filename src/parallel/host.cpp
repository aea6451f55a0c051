#include "microemo/parallel/host.h"

#include "key_server.h"
#include "store.h"

namespace microemo::parallel {

namespace {

constexpr const char* this_machine = "127.0.0.1";
constexpr double answer_s = 30;

}  // namespace

struct Host::Impl {
  int64_t world, attempt;
  KeyServer server{0, /*this_machine_only=*/true};
  c10::intrusive_ptr<c10d::Store> store{};
};

Host::Host(int64_t world, int64_t attempt) : impl_(new Impl{.world = world, .attempt = attempt}) {
  impl_->store = connect_store(context(0), answer_s);
}

Host::~Host() = default;

LaunchContext Host::context(int64_t rank) const {
  return {.rank = rank,
          .world = impl_->world,
          .local_rank = rank,
          .local_world = impl_->world,
          .address = this_machine,
          .port = impl_->server.port(),
          .hosted = true,
          .attempt = impl_->attempt,
          .watched = true,
          .launcher = "microemo launch"};
}

std::optional<Beat> Host::beat(int64_t rank) const {
  const std::string key = key_of("beat", rank);
  if (!impl_->store->check({key})) return std::nullopt;
  return parse_beat(get_text(*impl_->store, key));
}

std::string Host::told(const std::string& name) const {
  const std::string key = "told/" + name;
  return impl_->store->check({key}) ? get_text(*impl_->store, key) : "";
}

void Host::announce(const std::string& verdict) { set_text(*impl_->store, verdict_key, verdict); }

Variables variables_of(const LaunchContext& context) {
  return {{"RANK", std::to_string(context.rank)},
          {"WORLD_SIZE", std::to_string(context.world)},
          {"LOCAL_RANK", std::to_string(context.local_rank)},
          {"LOCAL_WORLD_SIZE", std::to_string(context.local_world)},
          {"MASTER_ADDR", context.address},
          {"MASTER_PORT", std::to_string(context.port)},
          {"TORCHELASTIC_RESTART_COUNT", std::to_string(context.attempt)},
          {"TORCHELASTIC_USE_AGENT_STORE", context.hosted ? "True" : "False"},
          {"MICROEMO_LAUNCH", context.watched ? "1" : ""}};
}

}  // namespace microemo::parallel
