#include "tandem/clip/class_names.hpp"

#include <doctest/doctest.h>

#include "../wtal/test_data.hpp"
#include "tandem/wtal/data/annotations.hpp"
#include "tandem/wtal/data/datasets.hpp"

using namespace tandem;
using clip::readable_class_name;
using tandem_test::test_data;

TEST_CASE("class names: the rule") {
  CHECK(readable_class_name("ThrowDiscus") == "throw discus");
  CHECK(readable_class_name("CleanAndJerk") == "clean and jerk");
  CHECK(readable_class_name("Clean and jerk") == "clean and jerk");
  CHECK(readable_class_name("brush_hair") == "brush hair");
  CHECK(readable_class_name("__Tai__chi _") == "tai chi");
  CHECK(readable_class_name("BMX") == "bmx");
  CHECK(readable_class_name("BMXRace") == "bmx race");
  CHECK(readable_class_name("AJump") == "a jump");
  CHECK(readable_class_name("Round2Fight") == "round2 fight");
  CHECK(readable_class_name("4x4Race") == "4x4 race");
  CHECK(readable_class_name("Ping-pong") == "ping-pong");
  CHECK(readable_class_name("ÜbungÄrger") == "übung ärger");
  CHECK(readable_class_name(" \t ").empty());
  CHECK(readable_class_name("Cafe\u0301Racer") == "café racer");  // a letter and its mark are one
  CHECK(readable_class_name("").empty());
  CHECK(readable_class_name("a\xFF"
                            "B") == "a\uFFFDb");
}

TEST_CASE("class names: the 20 classes of THUMOS14") {
  const std::vector<std::string> want = {
      "baseball pitch", "basketball dunk", "billiards",    "clean and jerk",
      "cliff diving",   "cricket bowling", "cricket shot", "diving",
      "frisbee catch",  "golf swing",      "hammer throw", "high jump",
      "javelin throw",  "long jump",       "pole vault",   "shotput",
      "soccer penalty", "tennis swing",    "throw discus", "volleyball spiking"};
  std::vector<std::string> got;
  for (const std::string& name : wtal::thumos14_classes()) got.push_back(readable_class_name(name));
  CHECK(got == want);
}

TEST_CASE("class names: the published lists") {
  if (const auto path = test_data("wtal/Thumos14reduced-Annotations"); !path.empty()) {
    CHECK(wtal::read_ground_truth(path).classes == wtal::thumos14_classes());
  }
  if (const auto path = test_data("wtal/ActivityNet1.2-Annotations"); !path.empty()) {
    const auto classes = wtal::read_ground_truth(path).classes;
    CHECK(classes.size() == 100);
    // They are words already: only the first letter changes.
    for (std::string name : classes) {
      const std::string readable = readable_class_name(name);
      name[0] = static_cast<char>(name[0] - 'A' + 'a');
      CHECK(readable == name);
    }
  }
}
