#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace microemo::parallel {

/// Which of the processes of a job this one is, and where they meet.
struct LaunchContext {
  int64_t rank = 0, world = 1;              ///< rank in [0, world)
  int64_t local_rank = 0, local_world = 1;  ///< the same among the processes of this machine
  std::string address;                      ///< of the machine that hosts the store; empty for a world of one
  int64_t port = 0;
  bool hosted = false;   ///< the launcher, or a process beside rank 0, hosts the store; otherwise rank 0 does
  int64_t attempt = 0;   ///< how often the launcher has started the whole job again
  bool watched = false;  ///< what hosts it looks after the ranks: microemo launch, or that process (see side_watch.h)
  std::string launcher;  ///< "torchrun", "srun", "mpirun", "microemo launch" or empty: for messages
};

using Variables = std::map<std::string, std::string>;

/// Variables of this process's environment.
Variables environment_variables();

/// Reads the launch from the environment. In this order: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT (torchrun, microemo launch,
/// or set by hand; LOCAL_RANK and LOCAL_WORLD_SIZE where they are there), Open MPI's OMPI_COMM_WORLD_*, Slurm's SLURM_PROCID and
/// its companions (not in a batch script, which is no task of a step), PMI_RANK and PMI_SIZE of MPICH and Intel MPI. Nothing of
/// these is a world of one. The port of srun and mpirun follows from the job's number, and MASTER_ADDR and MASTER_PORT go before
/// what they tell. Throws Error(environment) that names the variables when some are missing, no number, or contradict each other.
LaunchContext launch_context(const Variables& variables);

/// First host of Slurm's short form: "node[03-05,9],other" is "node03". Throws Error(environment) when it is none.
std::string first_host(const std::string& node_list);

}  // namespace microemo::parallel
