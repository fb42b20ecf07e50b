/// Annotations, detections and feature files in every layout.

#include "tandem/io/npy.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "targets.hpp"

namespace fuzz {
namespace {

const char* const annotations = R"({"version": "1", "database": {
  "v1": {"subset": "test", "duration": 12.5, "annotations": [{"segment": ["1.5", 2.5e0], "label": "Diving"}]},
  "v2": {"subset": "train", "duration": 9, "annotations": [{"segment": [1, 2], "label": "Diving"}]}}})";
const char* const detections = R"({"version": "1", "results": {"v1": [
  {"label": "Diving", "score": -1.5e-3, "segment": [0, 1]}, {"label": "Jump", "score": 1, "segment": [0.5, 4]}]}})";
const char* const csv =
    "video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx\n"
    "video_test_1,0.0,1.4,0,42,215.1,30.0,6455,-1\r\nvideo_test_1,2,3,0,42,215.1,30.0,6455,3\n";

/// A W-TALC folder in which one file at a time is damaged.
void add_wtalc(Targets& targets, const Places& places) {
  const std::string folder = places.scratch + "/wtalc";
  wtal::GroundTruth truth;
  truth.classes = {"CliffDiving", "Diving"};
  for (const char* id : {"video_test_1", "video_test_2"}) {
    wtal::VideoTruth video{.id = id, .subset = "test", .duration = 5};
    video.instances = {{{0.5, 1.5}, 0}, {{0.5, 1.5}, 1}};
    video.labels = {0, 1};
    video.ambiguous = {{2, 3}};
    truth.videos.push_back(video);
  }
  wtal::write_wtalc(folder, truth);
  for (const char* name :
       {"classlist", "videoname", "subset", "duration", "segments", "labels", "labels_all"}) {
    const std::string path = folder + "/" + name + ".npy", good = io::read_text(path);
    targets.push_back({std::string("wtalc_") + name, {good}, [=](const std::string& s) {
                         put(path, s);
                         try {
                           wtal::read_wtalc(folder);
                         } catch (const Error&) {
                           put(path, good);
                           throw;
                         }
                         put(path, good);
                       }});
  }
  const std::string path = places.scratch + "/joint.npy";
  io::save_npy_objects<float>(path, {zeros<float>({3, 4}), zeros<float>({2, 4})});
  targets.push_back({"features", {io::read_text(path)}, [=](const std::string& s) {
                       put(path, s);
                       const wtal::FeatureFiles features(path, truth);
                       for (std::size_t v = 0; v < features.size(); ++v) features.read(v);
                     }});
  // The same videos as a folder of files, of which the first is damaged.
  const std::string rows = places.scratch + "/rows";
  io::make_directories(rows);
  const std::string first = rows + "/video_test_1.npy";
  io::save_npy(rows + "/video_test_2.npy", zeros<float>({2, 4}));
  io::save_npy(first, zeros<float>({3, 4}));
  targets.push_back({"feature_file", {io::read_text(first)}, [=](const std::string& s) {
                       put(first, s);
                       const wtal::FeatureFiles features(rows, truth);
                       for (std::size_t v = 0; v < features.size(); ++v) features.read(v);
                     }});
}

}  // namespace

void add_annotation_targets(Targets& targets, const Places& places) {
  targets.push_back({"annotations", {annotations}, [](const std::string& s) {
                       const auto truth =
                           wtal::annotations_from_json(io::JsonDocument::parse(s, "fuzz"));
                       attempt([&] { wtal::find_subsets(truth); });
                     }});
  targets.push_back(
      {"detections",
       {detections},
       [](const std::string& s) {
         const auto set = wtal::detections_from_json(io::JsonDocument::parse(s, "fuzz"));
         const std::string text = io::json_text(wtal::detections_to_json(set));
         const auto again = wtal::detections_from_json(io::JsonDocument::parse(text, "again"));
         promise(again.videos == set.videos, "detections that are written are read again");
       },
       1024});
  targets.push_back({"annotations_csv", {csv}, [](const std::string& s) {
                       wtal::annotations_from_csv(s, "fuzz");
                     }});
  targets.push_back(
      {"ambiguous", {"video_test_1  0.5 1.5\r\nvideo_test_2  1 2\n"}, [](const std::string& s) {
         wtal::GroundTruth truth;
         truth.videos.push_back({.id = "video_test_1"});
         truth.videos.push_back({.id = "video_test_2"});
         wtal::add_ambiguous(truth, s, "fuzz");
       }});
  const std::string folder = places.scratch + "/basnet", json = folder + "/gt.json",
                    list = folder + "/split_test.txt";
  io::make_directories(folder);
  put(json, annotations);
  const std::string other = places.scratch + "/basnet_json", other_json = other + "/gt.json";
  io::make_directories(other);
  put(other + "/split_train.txt", "v2\n");
  targets.push_back({"basnet_split", {"v1\r\nv2\n"}, [=](const std::string& s) {
                       put(list, s);
                       std::vector<std::string> notes;
                       wtal::read_ground_truth(folder, &notes);
                     }});
  targets.push_back({"basnet_gt", {annotations}, [=](const std::string& s) {
                       put(other_json, s);
                       std::vector<std::string> notes;
                       wtal::read_ground_truth(other, &notes);
                     }});
  add_wtalc(targets, places);
}

}  // namespace fuzz
