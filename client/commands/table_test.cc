#include "client/commands/table.h"

#include <gtest/gtest.h>

#include <sstream>

#include "client/commands/description.h"

namespace librettos::ctl {
namespace {

TEST(Table, AlignsColumnsWithoutTrailingSpaces) {
  Table table({"NAME", {"N", true}, "LAST"}, false);
  table.Add({"a", "1", "x"});
  table.Add({"longer", "1000", "y"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "NAME       N  LAST\n"
            "a          1  x\n"
            "longer  1000  y\n");
}

TEST(Table, EmptyCellsAndMissingCellsAreDashes) {
  Table table({"A", "B", "C"}, false);
  table.Add({"", "b"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "A  B  C\n-  b  -\n");
}

TEST(Table, LaterRowsComeWithoutAHeadAndKeepTheWidths) {
  Table table({"NAME", "B"}, false);
  table.Add({"abcdef", "1"});
  std::ostringstream out;
  table.Print(out);
  out.str("");
  table.Add({"x", "2"});
  EXPECT_FALSE(table.empty());
  table.Print(out);
  EXPECT_EQ(out.str(), "x       2\n");
  EXPECT_TRUE(table.empty());
}

TEST(Table, HeadAloneIsPrinted) {
  Table table({"NAME", "B"}, false);
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "NAME  B\n");
}

TEST(Table, AlignsByCodePoints) {
  Table table({"A", "B"}, false);
  table.Add({"grüße", "1"});
  table.Add({"gruss", "2"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "A      B\ngrüße  1\ngruss  2\n");
}

TEST(Table, TextsCannotSteerTheTerminal) {
  Table table({"A"}, true);
  table.Add({"\033[2J\n"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "A\n\\x1b[2J\\x0a\n");
}

TEST(Table, ColoursDoNotCountAsWidth) {
  Table table({"A", "B"}, true);
  table.Add({Cell("ok", Colour::kGood), "1"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "A   B\n\033[32mok\033[0m  1\n");
}

TEST(Table, NoColoursUnlessWanted) {
  EXPECT_EQ(Paint("x", Colour::kBad, false), "x");
  EXPECT_EQ(Paint("x", Colour::kNone, true), "x");
}

TEST(Description, AlignsValuesOverSectionsAndLeavesOutTheEmpty) {
  Description d;
  d.Add("Name", "guests/web");
  d.Add("Message", "");
  d.Section("Nothing here");
  d.Section("Specification");
  d.AddAll("Addresses", {"10.0.0.1/24", "fd00::1/64"});
  std::ostringstream out;
  d.Print(out, false);
  EXPECT_EQ(out.str(),
            "Name:         guests/web\n"
            "\n"
            "Specification\n"
            "  Addresses:  10.0.0.1/24\n"
            "              fd00::1/64\n");
}

}  // namespace
}  // namespace librettos::ctl
