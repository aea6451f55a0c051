#include "microemo/parallel/mail.h"

#include "parallel/ranks.h"
#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::run_ranks;

constexpr double long_enough_s = 60;

TEST(Mail, ComesFromThreadsThatRunBesideTheRanks) {
  run_ranks(3, [](Group& group) {
    const auto mail = group.mail();
    const auto name = [](int64_t rank) { return "from/" + std::to_string(rank); };
    std::jthread thread([&, rank = group.rank()](const std::stop_token& stop) {
      mail->send(name(rank), "text " + std::to_string(rank));
      const int64_t next = (rank + 1) % 3;
      EXPECT_EQ(mail->receive(name(next), long_enough_s, stop), "text " + std::to_string(next));
    });
    EXPECT_EQ(group.sums({1}).front(), 3);
  });
}

TEST(Mail, OfOneBoxIsNotThatOfAnother) {
  run_ranks(2, [](Group& group) {
    const auto first = group.mail(), second = group.mail();
    if (group.first()) first->send("name", "first");
    if (group.first()) second->send("name", "second");
    EXPECT_EQ(second->receive("name", long_enough_s, {}), "second");
    EXPECT_EQ(first->receive("name", long_enough_s, {}), "first");
    group.barrier();
  });
}

TEST(Mail, ThatDoesNotComeIsAnErrorThatNamesIt) {
  run_ranks(2, [](Group& group) {
    const auto mail = group.mail();
    test::expect_error(
        ErrorKind::environment, [&] { mail->receive("part/4/1", 0.05, {}); }, "did not tell 'part/4/1'");
    std::stop_source stop;
    stop.request_stop();
    test::expect_error(
        ErrorKind::environment, [&] { mail->receive("part/5/1", 1e6, stop.get_token()); }, "did not tell 'part/5/1'");
    group.barrier();
  });
}

TEST(Mail, OfOneProcessDoesNotExist) { EXPECT_EQ(Group().mail(), nullptr); }

}  // namespace
}  // namespace microemo::parallel
