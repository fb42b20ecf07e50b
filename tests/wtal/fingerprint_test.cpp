#include "tandem/wtal/data/fingerprint.hpp"

#include <doctest/doctest.h>

#include <utility>

#include "tandem/tensor/factory.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// Four videos of two classes.
struct Source {
  GroundTruth data;
  std::vector<Tensor<float>> rows, clips;
  const GroundTruth& truth() const { return data; }
  Tensor<float> i3d(std::size_t v) const { return rows[v]; }
  Tensor<float> clip(std::size_t v) const { return clips[v]; }
};

Source example() {
  Source s;
  s.data.classes = {"Diving", "Shotput"};
  for (int v = 0; v < 4; ++v) {
    s.data.videos.push_back({.id = concat("video_", v),
                             .subset = v < 3 ? "train" : "test",
                             .duration = 9,
                             .instances = {{{1, 2}, v % 2}},
                             .labels = {v % 2}});
    s.rows.push_back(arange<float>(30 + 3 * v).view({10 + v, 3}));
    s.clips.push_back(arange<float>(20 + 2 * v).view({10 + v, 2}));
  }
  return s;
}

DataFingerprint of(const Source& s) {
  DataFingerprint out;
  out.add(s);
  return out;
}

/// What a run that began with example() says to data changed by `change`.
template <class Change>
std::string said(const Change& change) {
  const DataFingerprint saved = DataFingerprint::parse(of(example()).json(), "fingerprint");
  Source other = example();
  change(other);
  return saved.difference(of(other));
}

Tensor<float> reversed(const Tensor<float>& x) {
  Tensor<float> out(x.shape());
  for (std::int64_t t = 0; t < x.size(0); ++t)
    out.slice(0, t, t + 1).copy_elements(x.slice(0, x.size(0) - 1 - t, x.size(0) - t));
  return out;
}

}  // namespace

TEST_CASE(
    "fingerprint: the same data are the same, through the file, as a view, and where rows are not "
    "read") {
  CHECK(said([](Source&) {}).empty());
  CHECK(said([](Source& s) {
          s.rows[0] = s.rows[0].transpose(0, 1).contiguous().transpose(0, 1);
        }).empty());
  Source without = example();
  for (auto& rows : without.clips) rows = {};
  CHECK(of(example()).difference(of(without)).empty());
  CHECK(of(without).difference(of(example())).empty());
  CHECK(of(example()).json() == DataFingerprint::parse(of(example()).json(), "f").json());
}

TEST_CASE("fingerprint: each kind of other data is one sentence") {
  CHECK(said([](Source& s) { s.rows[1] = reversed(s.rows[1]); }) ==
        "the I3D rows of 1 of 4 videos are not what they were, first those of 'video_1'");
  CHECK(said([](Source& s) {
          for (auto& rows : s.clips) rows = reversed(rows);
        }) == "the CLIP rows of 4 of 4 videos are not what they were, first those of 'video_0'");
  CHECK(said([](Source& s) {
          s.clips[2] = s.clips[2].clone();
          s.clips[2].set({3, 1}, 7.00001f);
        }).starts_with("the CLIP rows of 1 of 4 videos"));
  CHECK(said([](Source& s) {
          s.rows[2] = s.rows[2].slice(0, 0, 9);
          s.clips[2] = s.clips[2].slice(0, 0, 9);
        }) == "the video 'video_2' had 12 rows and has 9");
  CHECK(said([](Source& s) { s.data.videos[1].labels = {0}; }) ==
        "the video 'video_1' was labelled 'Shotput' and is labelled 'Diving'");
  CHECK(said([](Source& s) { s.data.videos[1].labels = {}; }) ==
        "the video 'video_1' was labelled 'Shotput' and is labelled nothing");
  CHECK(said([](Source& s) {
          s.data.classes = {"Shotput", "Diving"};
        }) == "class 1 of 2 was 'Diving' and is 'Shotput', so their order changed");
  CHECK(said([](Source& s) {
          s.data.classes = {"Diving", "HighJump"};
        }) == "class 2 of 2 was 'Shotput' and is 'HighJump'");
  CHECK(said([](Source& s) { s.data.classes.push_back("x"); }) == "there were 2 classes and are 3");
  CHECK(said([](Source& s) { s.data.videos[2].id = "other"; }) ==
        "the video 'video_2' is not among them");
  CHECK(said([](Source& s) {
          s.data.videos.push_back({.id = "more"});
          s.rows.push_back(s.rows[0]);
          s.clips.push_back(s.clips[0]);
        }) == "the video 'more' is new");
  CHECK(said([](Source& s) { std::swap(s.data.videos[0], s.data.videos[2]); }) ==
        "video 1 was 'video_0' and is 'video_2', so their order changed");
  CHECK(said([](Source& s) { s.data.videos[0].subset = "test"; }) ==
        "the video 'video_0' was in the subset 'train' and is in 'test'");
  CHECK(said([](Source& s) { s.data.videos[3].instances[0].segment.end = 2.5; }) ==
        "the segments or durations of 1 of 4 videos are not what they were, first those of "
        "'video_3'");
  CHECK(said([](Source& s) {
          s.data.videos[0].duration = 10;
        }).starts_with("the segments or durations"));
}

TEST_CASE("fingerprint: annotations alone are held against it, without their rows") {
  const DataFingerprint saved = of(example());
  CHECK(saved.annotation_difference(example().data).empty());
  const auto said = [&saved](const auto& change) {
    GroundTruth truth = example().data;
    change(truth);
    return saved.annotation_difference(truth);
  };
  CHECK(said([](GroundTruth& t) { t.videos.push_back({.id = "new", .subset = "test"}); }).empty());
  CHECK(said([](GroundTruth& t) { std::swap(t.videos[0], t.videos[3]); }).empty());
  CHECK(said([](GroundTruth& t) { t.classes[1] = "Row"; }) ==
        "class 2 of 2 was 'Shotput' and is 'Row'");
  CHECK(said([](GroundTruth& t) { t.videos.erase(t.videos.begin() + 1); }) ==
        "the video 'video_1' is not among them");
  CHECK(said([](GroundTruth& t) { t.videos[3].subset = "train"; }) ==
        "the video 'video_3' was in the subset 'test' and is in 'train'");
  CHECK(said([](GroundTruth& t) { t.videos[2].labels = {1}; }) ==
        "the video 'video_2' was labelled 'Diving' and is labelled 'Shotput'");
  CHECK(said([](GroundTruth& t) { t.videos[2].instances[0].segment.end = 3; }) ==
        "the segments or durations of 1 of 4 videos are not what they were, first those of "
        "'video_2'");
}

TEST_CASE("fingerprint: a damaged one is an error, not a crash") {
  for (const char* text :
       {"", "{}", "[]", R"({"classes": [], "videos": [["a", "train", 1, [0], "", "", ""]]})",
        R"({"classes": ["x"], "videos": [["a"]]})",
        R"({"classes": ["x"], "videos": [["a", "b", -1, [], "", "", ""]]})"}) {
    CHECK_THROWS_AS(DataFingerprint::parse(text, "fingerprint"), Error);
  }
}
