#pragma once
/// Temporal action localization: data sets, the two branches, training, localization, evaluation.
///
/// Reads annotations through tandem/io.hpp, so it needs nlohmann-json: link tandem::io.

#include "tandem/wtal/data/annotations.hpp"
#include "tandem/wtal/data/batch.hpp"
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/data/features.hpp"
#include "tandem/wtal/data/fingerprint.hpp"
#include "tandem/wtal/data/ground_truth_json.hpp"
#include "tandem/wtal/data/simulate.hpp"
#include "tandem/wtal/data/text_files.hpp"
#include "tandem/wtal/data/types.hpp"
#include "tandem/wtal/data/wtalc.hpp"
#include "tandem/wtal/detect/evaluation.hpp"
#include "tandem/wtal/detect/false_positives.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/detect/label_census.hpp"
#include "tandem/wtal/detect/localization.hpp"
#include "tandem/wtal/detect/nms.hpp"
#include "tandem/wtal/detect/pseudo_label_quality.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/train/contrast.hpp"
#include "tandem/wtal/train/losses.hpp"
#include "tandem/wtal/train/oracle_labels.hpp"
#include "tandem/wtal/train/pseudo_labels.hpp"
#include "tandem/wtal/train/trainer.hpp"
