#include "exec/travel_choice.h"

#include <gtest/gtest.h>

namespace backstream::exec {
namespace {

constexpr uint64_t kRows = 10'000;

TEST(TravelChoice, RowsGoWhenSeveralPanesSayThatTheyAreLess) {
  TravelChoice choice;
  choice.pane_sent(kRows, 200'000, 10);
  EXPECT_FALSE(choice.sends_rows());
  choice.pane_sent(kRows, 100'000, 10);  // Not less by enough.
  choice.pane_sent(kRows, 200'000, 10);
  EXPECT_FALSE(choice.sends_rows());
  choice.pane_sent(kRows, 200'000, 10);
  EXPECT_TRUE(choice.sends_rows());
}

TEST(TravelChoice, APaneOfFewRowsOrWithoutASampleSaysNothing) {
  TravelChoice choice;
  for (int i = 0; i < 5; ++i) {
    choice.pane_sent(TravelChoice::kRowsMin - 1, 1e9, 10);
    choice.pane_sent(kRows, 1e9, 0);
  }
  EXPECT_FALSE(choice.sends_rows());
}

TEST(TravelChoice, PanesAreLookedAtAgain) {
  TravelChoice choice;
  for (int i = 0; i < 2; ++i) choice.pane_sent(kRows, 200'000, 10);
  for (int i = 1; i < TravelChoice::kUntilLook; ++i) {
    choice.rows_sent(kRows);
    EXPECT_TRUE(choice.sends_rows());
  }
  choice.rows_sent(kRows);
  EXPECT_FALSE(choice.sends_rows());
  choice.pane_sent(kRows, 200'000, 10);
  EXPECT_TRUE(choice.sends_rows()) << "one pane is enough to go on";
}

TEST(TravelChoice, AFloodOfRowsIsALookAtOnce) {
  TravelChoice choice;
  for (int i = 0; i < 2; ++i) choice.pane_sent(kRows, 200'000, 10);
  choice.rows_sent(2 * kRows);
  EXPECT_TRUE(choice.sends_rows());
  choice.rows_sent(2 * kRows + 1);
  EXPECT_FALSE(choice.sends_rows());
  choice.pane_sent(5 * kRows, 1'000, 10);
  choice.pane_sent(kRows, 200'000, 10);
  EXPECT_FALSE(choice.sends_rows());
}

}  // namespace
}  // namespace backstream::exec
