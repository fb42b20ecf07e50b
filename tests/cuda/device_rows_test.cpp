/// Rows that lie on the GPU: crops are gathered there to the bits of an uploaded batch, and steps
/// from them have the bits of steps on uploaded batches, are no launch more when replayed, and wait
/// once.

#include "tandem/wtal/data/device_rows.hpp"

#include <string>
#include <vector>

#include "alternation_run.hpp"

using namespace tandem;
namespace device_rows_test {

using namespace tandem::wtal;
using alternation_run::Run;
using alternation_run::videos;
using alternation_run::Way;

namespace {

/// What the slot makes of crops (first row, rows) of rows that are numbered.
template <class T>
void gathers(std::int64_t i3d, std::int64_t clip, std::int64_t frames,
             const std::vector<std::int64_t>& crops, std::int64_t shift = 0) {
  CAPTURE(i3d);
  CAPTURE(clip);
  CAPTURE(frames);
  constexpr std::int64_t rows = 50;
  const auto videos_ = static_cast<std::int64_t>(crops.size()) / 2;
  const auto numbered = [&](std::int64_t columns, double start) {
    return check::cast<T>(arange<double>(rows * columns + shift) + start);
  };
  const Tensor<T> a = numbered(i3d, 1), b = numbered(clip, -9000);
  devices::each([&](Device device) {
    const Tensor<T> all_a = a.to(device), all_b = b.to(device);
    const Tensor<std::int64_t> where = from_vector<std::int64_t>(crops).to(device);
    const auto room = [&](std::int64_t columns) {
      return full<T>({videos_ * frames * columns + shift}, T(7), device);
    };
    const Tensor<T> y = room(i3d), z = room(clip);
    const Tensor<bool> valid = full<bool>({videos_ * frames}, true, device);
    wtal::detail::gather_crops<T>(device, y.mutable_device_data() + shift,
                                  z.mutable_device_data() + shift, valid.mutable_device_data(),
                                  all_a.device_data() + shift, all_b.device_data() + shift,
                                  where.device_data(), videos_, frames, i3d, clip);
    const Tensor<T> got_y = y.to(Device::cpu()), got_z = z.to(Device::cpu());
    const Tensor<bool> got_valid = valid.to(Device::cpu());
    for (std::int64_t k = 0; k < shift; ++k) CHECK(got_y.at({k}) == T(7));
    bool same = true;
    for (std::int64_t v = 0; v < videos_; ++v) {
      const std::int64_t first = crops[static_cast<std::size_t>(2 * v)],
                         count = crops[static_cast<std::size_t>(2 * v + 1)];
      for (std::int64_t t = 0; t < frames; ++t) {
        const bool there = t < count;
        same = same && got_valid.at({v * frames + t}) == there;
        const auto row = [&](const Tensor<T>& got, const Tensor<T>& from, std::int64_t columns) {
          for (std::int64_t k = 0; k < columns; ++k) {
            const T expected = there ? from.at({(first + t) * columns + k + shift}) : T(0);
            same = same && got.at({(v * frames + t) * columns + k + shift}) == expected;
          }
        };
        row(got_y, a, i3d), row(got_z, b, clip);
      }
    }
    CHECK(same);
  });
}

}  // namespace

TEST_CASE("gather_crops: rows, padding and valid, on every device, any width and alignment") {
  const std::vector<std::int64_t> crops{0, 7, 43, 7, 12, 1, 20, 0, 3, 6};
  for (const std::int64_t i3d : {1, 4, 33, 64}) {
    for (const std::int64_t clip : {0, 3, 8}) {
      gathers<float>(i3d, clip, 7, crops);
      gathers<double>(i3d, clip, 9, crops);
    }
  }
  gathers<float>(0, 5, 7, crops);
  gathers<float>(64, 32, 8, crops, 1);       // packs, but not aligned
  gathers<float>(1100, 16, 3, {5, 2});       // more packs in a row than a block has threads
  gathers<double>(515, 0, 3, {5, 2, 0, 3});  // and more elements
}

TEST_CASE("device rows: the batches of make_batch; what cannot be kept or asked for is told of") {
  const Device gpu = Device::cuda();
  const VideoSource& source = *videos().train;
  DeviceRows<float> rows;
  CHECK(rows.keep(source, videos().lengths, gpu, {.i3d = true, .clip = true}) == "");
  const std::vector<Crop> crops{{2, 1, 9}, {0, 0, 11}, {2, 3, 4}};
  CHECK(rows.serves(source, crops, gpu));
  CHECK(!rows.serves(source, crops, Device::cpu()));
  CHECK(!rows.serves(ConcatSource(source, false), crops, gpu));
  CHECK(!rows.serves(source, {{.video = 0, .rows = 1, .index = {3}}}, gpu));
  const Batch<float> expected = make_batch<float>(source, crops).padded_to(14);
  const Tensor<std::int64_t> places = rows.places(crops).to(gpu);
  Batch<float> got = rows.gather(places, 14, {.i3d = true, .clip = true});
  CHECK(check::same(got.i3d.to(Device::cpu()), expected.i3d));
  CHECK(check::same(got.clip.to(Device::cpu()), expected.clip));
  CHECK(check::same(got.valid.to(Device::cpu()), expected.valid));
  got = rows.gather(places, 14, {.clip = true});
  CHECK(!got.i3d.defined());
  CHECK(check::same(got.clip.to(Device::cpu()), expected.clip));
  CHECK(rows.addresses().size() == 2);

  CHECK(check::message([&] {
          (void)rows.places({{0, 3, videos().lengths[0]}});
        }).find("[device_rows] video 0 has ") == 0);
  CHECK(check::message([&] {
          (void)rows.places({{99, 0, 1}});
        }) == "[device_rows] there are 8 videos, number 99 was asked for");
  CHECK(check::message([&] { (void)rows.places({}); }) ==
        "[device_rows] a batch needs at least one video");
  std::vector<std::int64_t> wrong = videos().lengths;
  wrong.back() += 1;
  CHECK(check::message([&] {
          (void)rows.keep(source, wrong, gpu, {.i3d = true});
        }).find("' has I3D features of shape ") != std::string::npos);
  CHECK(check::message([&] { (void)rows.keep(source, {3}, gpu, {.i3d = true}); }) ==
        "[device_rows] there are 8 videos and 1 lengths");
  CHECK(rows.keep(source, videos().lengths, Device::cpu(), {.i3d = true}) == "");
  CHECK(!rows.serves(source, crops, Device::cpu()));
  // Too little memory: the rows take more than 2·12·40 floats of each video.
  backend::leave_memory(16 << 10);
  const std::int64_t left = free_memory(gpu);
  const std::string why = rows.keep(source, videos().lengths, gpu, {.i3d = true, .clip = true});
  backend::leave_memory(-1);
  if (left <= 16 << 10) {  // a GPU gives its memory in large pieces
    CHECK(why ==
          "the rows of the training videos, 0 MiB, would take more than half of the 0 MiB that "
          "cuda:0 has left: each step uploads its own");
    CHECK(!rows.serves(source, crops, gpu));
  }
  CHECK(check::message([] { (void)free_memory(Device::cpu()); }) ==
        "[free_memory] is asked of a GPU, not of cpu");
}

TEST_CASE("device rows: steps have the bits of steps on uploaded batches") {
  for (const Way& way :
       {Way{.dropout = 0.25, .max_grad_norm = 0.5, .steps = 3},
        Way{.pseudo = {.high = 0.55, .low = 0.45, .rule = PseudoLabelRule::calibrated}, .steps = 3},
        Way{.pseudo = {.rule = PseudoLabelRule::oracle}}, Way{.steps = 5, .repeat = true},
        Way{.variant = Variant::self_training, .dropout = 0.25}, Way{.graphs = false}}) {
    CAPTURE(static_cast<int>(way.pseudo.rule));
    CAPTURE(static_cast<int>(way.variant));
    CAPTURE(way.graphs);
    Run<float> uploading(way, Device::cuda()), keeping(way, Device::cuda());
    REQUIRE(keeping.trainer.keep_rows(*videos().train, videos().lengths) == "");
    backend::set_order(1);
    while (!keeping.trainer.finished()) {
      CAPTURE(keeping.trainer.steps());
      const StepReport expected = uploading.step(), got = keeping.start_kept().get();
      CHECK(got.total == expected.total);
      CHECK(got.cls == expected.cls);
      CHECK(got.kd == expected.kd);
      CHECK(got.fb == expected.fb);
      CHECK(got.grad_norm == expected.grad_norm);
    }
    backend::set_order(0);
    CHECK(keeping.trainer.graphs() == uploading.trainer.graphs());
    const auto expected = uploading.weights(), got = keeping.weights();
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(check::same(got[i], expected[i]));
  }
}

TEST_CASE("device rows: one wait a step also where a batch is larger than the ring of uploads") {
  const Device gpu = Device::cuda();
  SimulationOptions wide = trainer_setup::tiny();
  wide.i3d_width = 1 << 15;
  const trainer_setup::Data data(wide);
  // Three crops of 20 rows at least
  CHECK(std::int64_t{3} * 20 * wide.i3d_width * 4 > 7 << 20);
  std::int64_t most_uploading = 0;
  for (const bool kept : {true, false}) {
    CAPTURE(kept);
    Run<float> run(Way{}, gpu, data);
    if (kept) REQUIRE(run.trainer.keep_rows(*data.train, data.lengths) == "");
    PendingReport<float> before = run.start_kept();
    while (!run.trainer.finished()) {
      const Phase phase = run.trainer.current_phase();
      CAPTURE(run.trainer.steps());
      const std::int64_t waited = waits(), launched = kernel_launches();
      PendingReport<float> now = run.start_kept();
      if (kept) {
        CHECK(waits() == waited);
        (void)before.get();
        CHECK(waits() == waited + 1);
      } else {
        (void)before.get();
        most_uploading = std::max(most_uploading, waits() - waited);
      }
      before = now;
      const std::int64_t count = kernel_launches() - launched;
      if (kept && phase.round == 2 &&
          (run.trainer.steps() != phase.begin + 1 || phase.kind == Phase::Kind::b)) {
        CHECK(count == 0);
      }
    }
    (void)before.get();
  }
  MESSAGE("waits of a step that uploads its rows: up to ", most_uploading, ", kept rows: 1");
  CHECK(most_uploading > 1);
}

}  // namespace device_rows_test
