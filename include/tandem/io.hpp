#pragma once
/// Every file format: safetensors, checkpoints, npy, npz, pickled object arrays, JSON, gzip; the
/// lock of a folder.
///
/// Needs nlohmann-json and zlib, so tandem/tandem.hpp does not include it: link tandem::io.

#include "tandem/io/checkpoint.hpp"
#include "tandem/io/file_record.hpp"
#include "tandem/io/gzip.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/known_format.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/io/nested.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/io/pickle.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/io/safetensors.hpp"
