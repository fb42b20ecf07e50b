#pragma once
/// Optical flow: TV-L1, .flo files, colours. Needs no library beyond those of the core.

#include "tandem/flow/color.hpp"
#include "tandem/flow/flo.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/image/gray.hpp"
