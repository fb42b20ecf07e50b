#pragma once
/// Temporal action localization: data sets, the two branches, training, localization, evaluation.
///
/// Reads annotations through tandem/io.hpp, so it needs nlohmann-json: link tandem::io.

#include "tandem/wtal/annotations.hpp"
#include "tandem/wtal/batch.hpp"
#include "tandem/wtal/branches.hpp"
#include "tandem/wtal/contrast.hpp"
#include "tandem/wtal/datasets.hpp"
#include "tandem/wtal/detections_json.hpp"
#include "tandem/wtal/evaluation.hpp"
#include "tandem/wtal/features.hpp"
#include "tandem/wtal/fingerprint.hpp"
#include "tandem/wtal/html_page.hpp"
#include "tandem/wtal/inference.hpp"
#include "tandem/wtal/localization.hpp"
#include "tandem/wtal/losses.hpp"
#include "tandem/wtal/nms.hpp"
#include "tandem/wtal/pseudo_label_quality.hpp"
#include "tandem/wtal/pseudo_labels.hpp"
#include "tandem/wtal/simulate.hpp"
#include "tandem/wtal/text_files.hpp"
#include "tandem/wtal/trainer.hpp"
#include "tandem/wtal/types.hpp"
#include "tandem/wtal/wtalc.hpp"
