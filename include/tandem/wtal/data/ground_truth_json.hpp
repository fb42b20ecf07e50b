#pragma once
/// Annotations as gt.json, the layout of BaS-Net's repository and of ActivityNet.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tandem/io/json.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// {"database": {id: {"subset", "duration", "annotations": [{"segment": [s, e], "label"}], …}}},
/// with every subset; "labels" names the classes of a video where its instances do not have just
/// these. read_ground_truth reads it back, ambiguous stretches left out: the layout has no place
/// for them.
inline io::Json ground_truth_json(const GroundTruth& truth) {
  io::Json::object_t database;
  database.reserve(truth.videos.size());
  for (const VideoTruth& video : truth.videos) {
    io::Json entry = io::Json::object();
    entry["subset"] = video.subset;
    entry["duration"] = video.duration;
    io::Json::array_t list;
    std::vector<int> own;  // the classes of the instances
    for (const Instance& instance : video.instances) {
      own.push_back(instance.cls);
      io::Json item = io::Json::object();
      item["segment"] = {instance.segment.start, instance.segment.end};
      item["label"] = truth.classes[static_cast<std::size_t>(instance.cls)];
      list.push_back(std::move(item));
    }
    entry["annotations"] = io::Json(std::move(list));
    std::sort(own.begin(), own.end());
    own.erase(std::unique(own.begin(), own.end()), own.end());
    if (own != video.labels) {  // labels without segments
      io::Json::array_t labels;
      for (const int c : video.labels)
        labels.emplace_back(truth.classes[static_cast<std::size_t>(c)]);
      entry["labels"] = io::Json(std::move(labels));
    }
    database.emplace_back(video.id, std::move(entry));
  }
  io::Json root = io::Json::object();
  root["database"] = io::Json(std::move(database));
  return root;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
