#include "microemo/parallel/launch_context.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

constexpr const char* how_to_start =
    "start all ranks with microemo launch, torchrun, srun or mpirun (docs/parallel.md), or unset these variables for one process";

/// The environment with errors that name what was asked for.
class Reader {
 public:
  explicit Reader(const Variables& variables) : variables_(variables) {}

  bool has(const std::string& name) const {
    const auto found = variables_.find(name);
    return found != variables_.end() && !found->second.empty();
  }

  std::string text(const std::string& name) const {
    if (!has(name)) throw EnvironmentError("{} is not set", name).at("environment").hint(how_to_start);
    return variables_.at(name);
  }

  int64_t number(const std::string& name) const {
    const std::string value = text(name);
    int64_t number = 0;
    const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (failure != std::errc() || end != value.data() + value.size() || number < 0)
      throw EnvironmentError("{} is '{}', which is no number from 0 up", name, value).at("environment").hint(how_to_start);
    return number;
  }

  /// Of the first of these variables that is there.
  std::optional<int64_t> number_of(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (has(name)) return number(name);
    return std::nullopt;
  }

 private:
  const Variables& variables_;
};

/// Ports of programs that nobody runs as a service; two jobs of a machine rarely meet.
int64_t port_of_job(uint64_t job) { return 20000 + static_cast<int64_t>(job % 20000); }

void check_rank(const LaunchContext& context, const std::string& rank, const std::string& world) {
  if (context.world < 1 || context.rank >= context.world)
    throw EnvironmentError("{} is {} and {} is {}", rank, context.rank, world, context.world)
        .at("environment")
        .hint(how_to_start);
  if (context.world > 1 && (context.port < 1 || context.port > 65535))
    throw EnvironmentError("MASTER_PORT is {}, and ports go from 1 to 65535", context.port).at("environment").hint(how_to_start);
  if (context.local_world < 1)
    throw EnvironmentError("{} of the {} ranks are on this machine, which cannot be", context.local_world, context.world)
        .at("environment")
        .hint(how_to_start);
}

/// Ranks that another launcher began around RANK and WORLD_SIZE. torchrun in each task of srun is normal and has at least as
/// many.
void check_around(const Reader& reader, const LaunchContext& context, const char* size) {
  if (!reader.has(size) || reader.number(size) <= context.world) return;
  throw EnvironmentError("WORLD_SIZE is {} and {} is {}", context.world, size, reader.number(size))
      .at("environment")
      .hint("unset RANK and WORLD_SIZE where they are left over from something else, or start one process only");
}

bool in_slurm_step(const Reader& reader, const Variables& variables) {
  const auto kind = variables.find("ENVIRONMENT");
  const bool batch_script = kind != variables.end() && kind->second == "BATCH" && !reader.has("SLURM_STEP_ID");
  return reader.has("SLURM_PROCID") && !batch_script;
}

LaunchContext from_ranks(const Reader& reader, const Variables& variables) {
  LaunchContext context;
  context.rank = reader.number("RANK");
  context.world = reader.number("WORLD_SIZE");
  context.local_rank = reader.has("LOCAL_RANK") ? reader.number("LOCAL_RANK") : context.rank;
  context.local_world = reader.has("LOCAL_WORLD_SIZE") ? reader.number("LOCAL_WORLD_SIZE") : context.world;
  context.attempt = reader.number_of({"TORCHELASTIC_RESTART_COUNT"}).value_or(0);
  context.hosted = reader.has("TORCHELASTIC_USE_AGENT_STORE") && reader.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  context.watched = reader.has("MICROEMO_LAUNCH");
  context.launcher = context.watched ? "microemo launch" : "torchrun";
  if (context.world > 1) {
    context.address = reader.text("MASTER_ADDR");
    context.port = reader.number("MASTER_PORT");
  }
  check_rank(context, "RANK", "WORLD_SIZE");
  check_around(reader, context, "OMPI_COMM_WORLD_SIZE");
  if (in_slurm_step(reader, variables)) check_around(reader, context, "SLURM_NTASKS");
  return context;
}

/// MASTER_ADDR and MASTER_PORT, or what the launcher implies.
void set_meeting_place(const Reader& reader, LaunchContext& context, const std::string& address, uint64_t job) {
  if (context.world == 1) return;
  context.address = reader.has("MASTER_ADDR") ? reader.text("MASTER_ADDR") : address;
  context.port = reader.has("MASTER_PORT") ? reader.number("MASTER_PORT") : port_of_job(job);
  if (!context.address.empty()) return;
  throw EnvironmentError("the ranks are on several machines, and MASTER_ADDR does not say where rank 0 is")
      .at("environment")
      .hint("give every rank the host of rank 0: mpirun -x MASTER_ADDR=HOST …, or -genv MASTER_ADDR HOST");
}

LaunchContext from_mpi(const Reader& reader, const char* rank, const char* world, std::initializer_list<const char*> local_rank,
                       std::initializer_list<const char*> local_world) {
  LaunchContext context;
  context.rank = reader.number(rank);
  context.world = reader.number(world);
  context.local_rank = reader.number_of(local_rank).value_or(context.rank);
  context.local_world = reader.number_of(local_world).value_or(context.world);
  context.launcher = "mpirun";
  const bool one_machine = context.local_world == context.world;
  // mpirun is the parent of all its local ranks: its process number tells jobs of one machine apart.
  const uint64_t job = one_machine ? static_cast<uint64_t>(::getppid()) : 0;
  set_meeting_place(reader, context, one_machine ? "127.0.0.1" : "", job);
  check_rank(context, rank, world);
  return context;
}

LaunchContext from_slurm(const Reader& reader) {
  LaunchContext context;
  context.rank = reader.number("SLURM_PROCID");
  const char* tasks = reader.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  context.world = reader.number(tasks);
  context.local_rank = reader.number("SLURM_LOCALID");
  const int64_t nodes = reader.number_of({"SLURM_STEP_NUM_NODES", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"}).value_or(1);
  context.local_world = nodes == 1 ? context.world : reader.number_of({"SLURM_NTASKS_PER_NODE"}).value_or(context.local_rank + 1);
  context.launcher = "srun";
  std::string address;
  for (const char* list : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"})
    if (address.empty() && reader.has(list)) address = first_host(reader.text(list));
  if (address.empty() && reader.has("SLURM_LAUNCH_NODE_IPADDR")) address = reader.text("SLURM_LAUNCH_NODE_IPADDR");
  if (context.world > 1 && address.empty() && !reader.has("MASTER_ADDR")) address = reader.text("SLURM_JOB_NODELIST");
  const auto job = reader.number_of({"SLURM_JOB_ID", "SLURM_JOBID"}).value_or(0);
  const auto step = reader.number_of({"SLURM_STEP_ID"}).value_or(0);
  set_meeting_place(reader, context, address, static_cast<uint64_t>(job) + 7919u * static_cast<uint64_t>(step));
  check_rank(context, "SLURM_PROCID", tasks);
  return context;
}

}  // namespace

Variables environment_variables() {
  Variables variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

std::string first_host(const std::string& node_list) {
  const size_t bracket = node_list.find('['), comma = node_list.find(',');
  std::string host = node_list.substr(0, std::min(bracket, comma));
  if (bracket < comma) {
    const size_t end = node_list.find_first_of(",-]", bracket), close = node_list.find(']', bracket);
    if (close == std::string::npos || end == bracket + 1)
      throw EnvironmentError("'{}' is no list of hosts", node_list).at("SLURM_JOB_NODELIST").hint("set MASTER_ADDR to the first");
    host += node_list.substr(bracket + 1, end - bracket - 1);
    // "n[1-2]-ib": what stands behind the bracket belongs to the name.
    host += node_list.substr(close + 1, node_list.find(',', close) - close - 1);
  }
  if (host.empty())
    throw EnvironmentError("'{}' is no list of hosts", node_list).at("SLURM_JOB_NODELIST").hint("set MASTER_ADDR to the first");
  return host;
}

LaunchContext launch_context(const Variables& variables) {
  const Reader reader(variables);
  if (reader.has("RANK") || reader.has("WORLD_SIZE")) return from_ranks(reader, variables);
  if (reader.has("OMPI_COMM_WORLD_RANK") || reader.has("OMPI_COMM_WORLD_SIZE"))
    return from_mpi(reader, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", {"OMPI_COMM_WORLD_LOCAL_RANK"},
                    {"OMPI_COMM_WORLD_LOCAL_SIZE"});
  if (in_slurm_step(reader, variables)) return from_slurm(reader);
  if (reader.has("PMI_RANK") || reader.has("PMI_SIZE"))
    return from_mpi(reader, "PMI_RANK", "PMI_SIZE", {"MPI_LOCALRANKID"}, {"MPI_LOCALNRANKS"});
  return {};
}

}  // namespace microemo::parallel
