/// optical_flow — TV-L1 optical flow of two images, as .flo file and as a picture.
///                                                                       [Zach, Pock, Bischof 2007]
///
///   optical_flow frame10.png frame11.png --out flow.flo --color flow.png

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include "common_cli.hpp"
#include "tandem/flow.hpp"
#include "tandem/image/image.hpp"

namespace {

using namespace tandem;

struct Options {
  std::string first, second, out, color, truth, initial;
  float largest = 0;
  int threads = 0;
  flow::TvL1Options tvl1;
};

void run(Options& o) {
  if (o.threads > 0) cpu::set_num_threads(o.threads);
  const Tensor<std::uint8_t> first = io::rgb_to_gray(io::read_image(o.first));
  const Tensor<std::uint8_t> second = io::rgb_to_gray(io::read_image(o.second));
  if (!o.initial.empty()) o.tvl1.initial = flow::read_flo(o.initial);

  flow::TvL1Report report;
  const auto start = std::chrono::steady_clock::now();
  const Tensor<float> flow = flow::tvl1(first, second, o.tvl1, &report);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  double u = 0, v = 0, length = 0;
  const float* p = flow.data();
  for (std::int64_t i = 0; i < flow.numel(); i += 2) {
    u += static_cast<double>(p[i]);
    v += static_cast<double>(p[i + 1]);
    length += static_cast<double>(std::hypot(p[i], p[i + 1]));
  }
  const double pixels = static_cast<double>(flow.numel() / 2);
  int iterations = 0;
  for (const int n : report.iterations) iterations += n;
  std::printf("%lld x %lld pixels, %d scales, %d iterations, %.1f ms\n",
              static_cast<long long>(flow.size(1)), static_cast<long long>(flow.size(0)),
              report.scales, iterations, 1e3 * seconds);
  std::printf("mean flow (%.3f, %.3f), mean length %.3f, longest %.3f pixels\n", u / pixels,
              v / pixels, length / pixels, static_cast<double>(flow::max_motion(flow)));
  if (!o.truth.empty()) {
    std::printf("mean endpoint error %.4f pixels\n",
                flow::endpoint_error(flow, flow::read_flo(o.truth)));
  }
  if (!o.out.empty()) {
    flow::write_flo(o.out, flow);
    std::printf("flow written to %s\n", cli::printable(o.out).c_str());
  }
  if (!o.color.empty()) {
    io::write_png(o.color, flow::flow_to_color(flow, o.largest));
    std::printf("picture written to %s\n", cli::printable(o.color).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "TV-L1 optical flow: how far every point of the first image has moved in the second.\n\n"
      "  optical_flow frame10.png frame11.png --out flow.flo --color flow.png",
      "optical_flow");
  Options o;
  app.add_option("first", o.first, "PNG or JPEG")->required()->check(CLI::ExistingFile);
  app.add_option("second", o.second, "Of the same size")->required()->check(CLI::ExistingFile);
  cli::add_output(app, "--out", o.out, "Write the flow in the Middlebury format")->type_name("FLO");
  cli::add_output(
      app, "--color", o.color,
      "Write a picture: hue is the direction (red right, yellow down, cyan left, blue up), "
      "saturation the length, white is still")
      ->type_name("PNG");
  app.add_option("--largest", o.largest,
                 "The length in pixels that is fully saturated; 0: the longest of this flow")
      ->capture_default_str()
      ->check(cli::non_negative());
  app.add_option("--truth", o.truth, "Print the mean endpoint error against this flow")
      ->type_name("FLO")
      ->check(CLI::ExistingFile);
  app.add_option("--initial", o.initial, "Start from this flow, at the coarsest scale")
      ->type_name("FLO")
      ->check(CLI::ExistingFile);
  app.add_option("--lambda", o.tvl1.lambda, "Weight of the data term: smaller is smoother")
      ->capture_default_str();
  app.add_option("--tau", o.tvl1.tau, "Time step of the dual update, at most 0.25 to converge")
      ->capture_default_str();
  app.add_option("--theta", o.tvl1.theta, "How far the data term and the smooth flow may part")
      ->capture_default_str();
  app.add_option("--scales", o.tvl1.scales,
                 "Sizes of the pyramid, at most; more for longer motions (1: no pyramid)")
      ->capture_default_str();
  app.add_option("--scale-step", o.tvl1.scale_step, "From one size to the next")
      ->capture_default_str();
  app.add_option("--warps", o.tvl1.warps, "Linearisations per size")->capture_default_str();
  app.add_option("--epsilon", o.tvl1.epsilon,
                 "Stop when the flow changes by no more than this, in pixels (root mean square)")
      ->capture_default_str();
  app.add_option("--inner", o.tvl1.inner_iterations, "Iterations between two median filters")
      ->capture_default_str();
  app.add_option("--outer", o.tvl1.outer_iterations, "Median filters per warp, at most")
      ->capture_default_str();
  app.add_option("--median", o.tvl1.median, "Side of the median filter: 5, 3 or 1 (none)")
      ->capture_default_str();
  app.add_option("--sampling-steps", o.tvl1.sampling_steps,
                 "The second image is read at multiples of 1/this of a pixel; 32 is what OpenCV 4 "
                 "does, 0: anywhere")
      ->capture_default_str();
  app.add_option("--threads", o.threads, "Threads; 0: all that the machine offers")
      ->check(cli::range(0, cpu::max_threads));
  return cli::run(app, argc, argv, [&] { run(o); });
}
