#include "microemo/parallel/launch_context.h"

#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::expect_error;

Variables torchrun(const Variables& changes = {}) {
  Variables variables = {{"RANK", "3"},           {"WORLD_SIZE", "4"},     {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "head"}, {"MASTER_PORT", "29501"}};
  for (const auto& [name, value] : changes) variables[name] = value;
  return variables;
}

Variables srun(const Variables& changes = {}) {
  Variables variables = {{"SLURM_PROCID", "5"},
                         {"SLURM_NTASKS", "8"},
                         {"SLURM_LOCALID", "1"},
                         {"SLURM_STEP_ID", "0"},
                         {"SLURM_JOB_ID", "77"},
                         {"SLURM_JOB_NUM_NODES", "2"},
                         {"SLURM_JOB_NODELIST", "gpu[03-04]"}};
  for (const auto& [name, value] : changes) variables[name] = value;
  return variables;
}

void expect_refused(const Variables& variables, const std::string& part) {
  const Error error = expect_error(
      ErrorKind::environment, [&] { launch_context(variables); }, part);
  EXPECT_FALSE(error.next_step().empty());
}

TEST(LaunchContext, IsOneProcessWithoutALauncher) {
  const LaunchContext context = launch_context({{"HOME", "/root"}});
  EXPECT_EQ(context.world, 1);
  EXPECT_EQ(context.rank, 0);
}

TEST(LaunchContext, ReadsTorchrun) {
  const LaunchContext context =
      launch_context(torchrun({{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  EXPECT_EQ(context.rank, 3);
  EXPECT_EQ(context.world, 4);
  EXPECT_EQ(context.local_rank, 1);
  EXPECT_EQ(context.local_world, 2);
  EXPECT_EQ(context.address, "head");
  EXPECT_EQ(context.port, 29501);
  EXPECT_EQ(context.attempt, 2);
  EXPECT_TRUE(context.hosted);
  EXPECT_FALSE(context.watched);
  EXPECT_FALSE(launch_context(torchrun()).hosted);
}

TEST(LaunchContext, ReadsSrun) {
  const LaunchContext context = launch_context(srun());
  EXPECT_EQ(context.rank, 5);
  EXPECT_EQ(context.world, 8);
  EXPECT_EQ(context.local_rank, 1);
  EXPECT_EQ(context.address, "gpu03");
  EXPECT_EQ(context.launcher, "srun");
  EXPECT_EQ(context.port, launch_context(srun({{"SLURM_PROCID", "0"}})).port);
  EXPECT_NE(context.port, launch_context(srun({{"SLURM_JOB_ID", "78"}})).port);
}

TEST(LaunchContext, TakesTheTasksOfTheStepNotOfTheJob) {
  EXPECT_EQ(launch_context(srun({{"SLURM_STEP_NUM_TASKS", "6"}})).world, 6);
}

TEST(LaunchContext, ABatchScriptIsOneProcess) {
  EXPECT_EQ(
      launch_context({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}, {"ENVIRONMENT", "BATCH"}}).world, 1);
  EXPECT_EQ(launch_context(srun({{"ENVIRONMENT", "BATCH"}})).world, 8);
}

TEST(LaunchContext, ReadsMpirunOnOneMachine) {
  const LaunchContext context = launch_context({{"OMPI_COMM_WORLD_RANK", "1"},
                                                {"OMPI_COMM_WORLD_SIZE", "2"},
                                                {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                                {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(context.rank, 1);
  EXPECT_EQ(context.world, 2);
  EXPECT_EQ(context.address, "127.0.0.1");
  EXPECT_GE(context.port, 1024);
  EXPECT_EQ(launch_context({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}}).world, 3);
}

TEST(LaunchContext, OpenMpiInsideASlurmStepGoesFirst) {
  EXPECT_EQ(launch_context(srun({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}})).world, 2);
}

TEST(LaunchContext, MasterAddressAndPortGoBeforeWhatTheLauncherTells) {
  const LaunchContext context = launch_context(srun({{"MASTER_ADDR", "10.0.0.9"}, {"MASTER_PORT", "4444"}}));
  EXPECT_EQ(context.address, "10.0.0.9");
  EXPECT_EQ(context.port, 4444);
}

TEST(LaunchContext, TorchrunInEachTaskOfSrunIsNormal) {
  EXPECT_EQ(launch_context(torchrun({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "0"}})).world, 4);
}

TEST(LaunchContext, ReadsTheFirstHostOfSlurmsShortForm) {
  EXPECT_EQ(first_host("one"), "one");
  EXPECT_EQ(first_host("one,two"), "one");
  EXPECT_EQ(first_host("n[3-5,9],other"), "n3");
  EXPECT_EQ(first_host("n[007]"), "n007");
  EXPECT_EQ(first_host("n[1-2]-ib,x"), "n1-ib");
  EXPECT_EQ(first_host("plain,n[1-2]"), "plain");
  expect_error(
      ErrorKind::environment, [] { first_host("n[3-5"); }, "'n[3-5' is no list of hosts");
  expect_error(
      ErrorKind::environment, [] { first_host("n[]"); }, "no list of hosts");
  expect_error(
      ErrorKind::environment, [] { first_host(""); }, "no list of hosts");
}

TEST(LaunchContextRefuses, WhatIsIncomplete) {
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    expect_refused(torchrun({{name, ""}}), std::string(name) + " is not set");
  for (const char* name : {"SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_NODELIST"})
    expect_refused(srun({{name, ""}}), std::string(name) + " is not set");
  expect_refused({{"OMPI_COMM_WORLD_RANK", "0"}}, "OMPI_COMM_WORLD_SIZE is not set");
}

TEST(LaunchContextRefuses, WhatIsNoNumber) {
  expect_refused(torchrun({{"RANK", "three"}}), "RANK is 'three', which is no number");
  expect_refused(torchrun({{"WORLD_SIZE", "4x"}}), "WORLD_SIZE is '4x'");
  expect_refused(torchrun({{"RANK", "-1"}}), "RANK is '-1'");
  expect_refused(torchrun({{"MASTER_PORT", "70000"}}), "MASTER_PORT is 70000, and ports go from 1 to 65535");
  expect_refused(torchrun({{"MASTER_PORT", "0"}}), "MASTER_PORT is 0");  // each rank would find a free one of its own
  expect_refused(torchrun({{"LOCAL_WORLD_SIZE", "0"}}), "0 of the ");
}

TEST(LaunchContextRefuses, ARankOutsideTheWorld) {
  expect_refused(torchrun({{"RANK", "4"}}), "RANK is 4 and WORLD_SIZE is 4");
  expect_refused(srun({{"SLURM_PROCID", "8"}}), "SLURM_PROCID is 8 and SLURM_NTASKS is 8");
  expect_refused(torchrun({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), "WORLD_SIZE is 0");
}

TEST(LaunchContextRefuses, VariablesLeftOverFromSomethingElse) {
  expect_refused(srun({{"RANK", "0"}, {"WORLD_SIZE", "1"}}), "WORLD_SIZE is 1 and SLURM_NTASKS is 8");
  expect_refused(torchrun({{"OMPI_COMM_WORLD_SIZE", "9"}}), "WORLD_SIZE is 4 and OMPI_COMM_WORLD_SIZE is 9");
}

TEST(LaunchContextRefuses, SeveralMachinesWithoutTheAddressOfTheFirst) {
  expect_refused({{"OMPI_COMM_WORLD_RANK", "1"},
                  {"OMPI_COMM_WORLD_SIZE", "4"},
                  {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
                 "MASTER_ADDR does not say where rank 0 is");
}

}  // namespace
}  // namespace microemo::parallel
