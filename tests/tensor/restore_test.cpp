/// Restore and AtExit: what happens at the end of a scope, whichever way it is left.

#include "tandem/tensor/restore.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using tandem::detail::AtExit;
using tandem::detail::Restore;

TEST_CASE(
    "Restore: a variable has its value again, in the order of the scopes, after a throw too") {
  std::string word = "before";
  {
    const Restore outer(word, "outer");
    CHECK(word == "outer");
    {
      const Restore inner(word);  // nothing is set, the scope changes it
      CHECK(word == "outer");
      word = "inner";
    }
    CHECK(word == "outer");
    word = "changed";
  }
  CHECK(word == "before");
  CHECK_THROWS_AS(
      [&] {
        const Restore scope(word, "thrown");
        throw 1;
      }(),
      int);
  CHECK(word == "before");
  static_assert(!std::is_copy_constructible_v<Restore<int>> &&
                !std::is_copy_assignable_v<Restore<int>>);
}

TEST_CASE("AtExit: calls once, at the end, after a throw too") {
  int calls = 0;
  {
    const AtExit count([&] { ++calls; });
    CHECK(calls == 0);
  }
  CHECK(calls == 1);
  CHECK_THROWS_AS(
      [&] {
        const AtExit count([&] { ++calls; });
        throw 1;
      }(),
      int);
  CHECK(calls == 2);
}
