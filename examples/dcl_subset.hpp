#pragma once
/// One subset of a data set, for a model that is trained already.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#include "video_rows.hpp"

namespace dcl {

/// The subset that train_dcl would test on, or the only one there is.  Errors: that is of training
/// videos by its name.
inline std::string usual_subset(const GroundTruth& truth) {
  const std::vector<std::string> known = truth.subsets();
  if (known.size() == 1) {
    TANDEM_CHECK(known[0] != "train" && known[0] != "training", "detect",
                 "all videos are of the subset ", known[0], ", which is trained on: --subset ",
                 known[0], " looks into it all the same");
    return known[0];
  }
  return find_subsets(truth).test;
}

/// Opens the subset `name` (empty: the usual one) of the data that `o` names; the other subsets
/// need no features. Rows of both kinds are opened where the model was trained on both, as far as
/// they are there, since the shorter kind ends a video. Seconds of a row are, in this order, what
/// the features say, `given`, those of training.
inline Data open_subset(Options o, const Need& need, const std::string& name, double given,
                        const Model& model) {
  o.seconds_per_row = 0;
  Reads reads{.i3d = need.i3d, .clip = need.clip};
  DatasetOptions where = find_files(o, reads);
  if (need.both && !(reads.i3d && reads.clip)) {
    std::string& other = reads.i3d ? where.clip : where.i3d;
    if (other = reads.i3d ? o.clip : o.i3d; other.empty() && !o.data.empty()) {
      const std::string folder = reads.i3d ? clip_folder(o.data) : i3d_folder(o.data);
      if (folder != o.data) other = folder;
    }
  }
  std::vector<std::string> notes;
  GroundTruth truth = read_ground_truth(where.annotations, &notes);
  const std::string subset = name.empty() ? usual_subset(truth) : name;
  check_subset(truth, subset, "detect");
  where.subsets = {subset};
  where.seconds_per_row = given;
  if (given == 0 && model.seconds_per_row() > 0) {
    // What some features say themselves goes before the length in training.
    bool said = false;
    for (const VideoTruth& video : truth.videos) {
      for (const std::string* path : {&where.i3d, &where.clip})
        said = said || (!path->empty() && read_provenance(*path, video.id));
    }
    if (!said) where.seconds_per_row = model.seconds_per_row();
  }
  Data data;
  data.all = std::make_unique<Dataset>(where, std::move(truth), std::move(notes));
  data.test = std::make_unique<SubsetSource>(*data.all, subset);
  choose_protocol(o.protocol, data.test->truth(), data.all->row_lengths(), data);
  data.note = origin_note(o);
  RowLengths lengths = data.all->row_lengths();
  if (given == 0 && lengths.source == RowLengthSource::option)
    lengths.source = RowLengthSource::checkpoint;
  data.description = concat(data.test->size(), data.test->size() == 1 ? " video (" : " videos (",
                            subset, ")\n", lengths.description());
  for (const std::string& note : data.all->notes()) data.description += "\nnote: " + note;
  for (const std::string& note : test_notes(data.test->truth(), data))
    data.description += "\nnote: " + note;
  return data;
}

/// Takes what is not given of the places of the data, and the protocol, from options.json beside a
/// checkpoint. False: there is no such file.
inline bool take_places_of_run(cli::OptionTable& table, const std::string& checkpoint) {
  const std::string folder = std::filesystem::path(checkpoint).parent_path().string();
  const std::string file = io::join_path(folder.empty() ? "." : folder, "options.json");
  if (!io::is_file(file)) return false;
  const auto document = io::JsonDocument::load(file);
  const io::JsonDocument typed(file, table.translated(document.root()));
  const io::JsonRef root = typed.root();
  for (const auto& [key, value] : root.members()) {
    cli::TableOption* option = table.find(key);
    if (option == nullptr || value.is_null() || option->json() != "") continue;
    if (option->is_path() || key == "protocol") option->set(root.of(value));
  }
  return true;
}

}  // namespace dcl
