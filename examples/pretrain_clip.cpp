/// pretrain_clip — trains the miniature's CLIP from scratch, on pictures and captions.
///
///   pretrain_clip --out weights/mini
///
/// The image encoder is CLIP's vision transformer with patches of 8, width 96 and 3 layers on 64 × 64
/// pixels, the text encoder its transformer with width 64 and 3 layers; the features have 64 columns.
/// Pictures of the miniature world and what somebody might write under them are drawn anew in every step.
/// Writes merges.txt (byte pairs learned from captions) and clip.safetensors into --out, with what
/// they were made of and what they reach in the header, and prints how often the right object and the
/// right action is found, by names alone, in pictures that were not trained on.

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "miniature/merges.hpp"
#include "miniature/pretraining.hpp"
#include "miniature/samples.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/cross_entropy.hpp"
#include "tandem/ops/exp.hpp"
#include "tandem/ops/normalize.hpp"

namespace {

using namespace tandem;
using namespace miniature;

constexpr std::int64_t columns = 64, context = 40;

/// CLIP — s·cos(image, text) says how well they fit, s = e^logit_scale ≤ 100.   [Radford et al. 2021]
class MiniClip final : public nn::Module<float> {
 public:
  MiniClip(std::int64_t vocabulary, Generator& random)
      : image({.resolution = side,
               .patch = 8,
               .width = 96,
               .layers = 3,
               .heads = 3,
               .output = columns},
              random),
        text({.vocabulary = vocabulary,
              .context = context,
              .width = 64,
              .layers = 3,
              .heads = 2,
              .output = columns},
             random),
        logit_scale(full<float>({}, std::log(1 / 0.07F))) {
    logit_scale.requires_grad_(true);
    add("visual", image);
    add("text", text);
    add("logit_scale", logit_scale);
  }
  clip::ImageEncoder<float> image;
  clip::TextEncoder<float> text;
  Tensor<float> logit_scale;
};

struct Pictures {
  Tensor<float> images;  ///< (N, 3, 64, 64)
  std::vector<Moment> moments;
  std::vector<std::string> captions;
};
/// `count` pictures, the n-th of them from the random numbers `of(n)`.
template <class Random>
Pictures make_pictures(std::int64_t count, const Random& of) {
  const auto n = static_cast<std::size_t>(count);
  Pictures out{
      .images = {}, .moments = std::vector<Moment>(n), .captions = std::vector<std::string>(n)};
  std::vector<Tensor<std::uint8_t>> frames(n);
  cpu::parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const Generator random = of(k);
      out.moments[i] = draw_picture(random.split(0));
      out.captions[i] = caption(out.moments[i], random.split(1));
      frames[i] = render(out.moments[i].scene, out.moments[i].frame);
    }
  });
  clip::PreprocessOptions preparation;
  preparation.size = preparation.crop = side;
  out.images = clip::preprocess(stack(frames, 0), preparation);
  return out;
}

Tensor<float> encode(const clip::TextEncoder<float>& encoder, const clip::Tokenizer& tokenizer,
                     const std::vector<std::string>& texts) {
  std::vector<std::vector<std::int64_t>> ids;
  for (const std::string& text : texts) {
    ids.push_back(tokenizer.encode(text));
    ids.back().insert(ids.back().begin(), tokenizer.start_token());
    ids.back().push_back(tokenizer.end_token());
  }
  return normalize(encoder.encode(ids), 1);
}

/// contrastive loss — L = (CE(s·I·Tᵀ, y) + CE(s·T·Iᵀ, y))/2; y_ij is shared by the pictures whose
/// captions are equal to the i-th.
Tensor<float> contrastive_loss(const MiniClip& model, const clip::Tokenizer& tokenizer,
                               const Pictures& pictures) {
  const auto n = static_cast<std::int64_t>(pictures.captions.size());
  std::vector<float> equal(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i) {
    const std::string& text = pictures.captions[static_cast<std::size_t>(i)];
    const auto same = std::count(pictures.captions.begin(), pictures.captions.end(), text);
    for (std::int64_t j = 0; j < n; ++j) {
      if (pictures.captions[static_cast<std::size_t>(j)] == text)
        equal[static_cast<std::size_t>(i * n + j)] = 1 / static_cast<float>(same);
    }
  }
  const Tensor<float> target = from_vector<float>(equal, {n, n});
  const Tensor<float> images = normalize(model.image.forward(pictures.images), 1),
                      texts = encode(model.text, tokenizer, pictures.captions),
                      scale = exp(clamp(model.logit_scale, 0.0F, std::log(100.0F)));
  const Tensor<float> logits = mul(matmul(images, texts.transpose(0, 1)), scale);
  return mul(add(cross_entropy(logits, target), cross_entropy(logits.transpose(0, 1), target)),
             0.5F);
}

/// How often the right one of some names is found, by the part of an episode.
struct Accuracy {
  std::array<std::int64_t, 3> right{}, all{};  ///< by Stage
  void add(Stage stage, bool hit) {
    const auto s = static_cast<std::size_t>(stage);
    ++all[s], right[s] += hit;
  }
  double in(std::initializer_list<Stage> stages) const {
    std::int64_t hits = 0, of = 0;
    for (const Stage s : stages)
      hits += right[static_cast<std::size_t>(s)], of += all[static_cast<std::size_t>(s)];
    return of == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(of);
  }
  io::Json json() const {
    io::Json out = io::Json::object();
    out["core"] = in({Stage::core});
    out["approach_and_recovery"] = in({Stage::around});
    out["idle"] = in({Stage::idle});
    return out;
  }
};

void write(const PretrainOptions& o, const MiniClip& model, const io::Json& training) {
  std::vector<nn::Named<float>> tensors;
  for (nn::Named<float>& t : model.state_dict()) {
    if (t.name.starts_with("text.")) t.name = t.name.substr(5);
    tensors.push_back(t);
  }
  io::save_safetensors(io::join_path(o.out, "clip.safetensors"), tensors,
                       {{"format", "tandem clip 1"},
                        {"source", "pretrain_clip"},
                        {"activation", "quick_gelu"},
                        {"image_heads", "3"},
                        {"text_heads", "2"},
                        {"training", io::json_text(training)}});
  std::error_code ignored;
  std::filesystem::remove(pretraining_checkpoint(o, "clip"), ignored);
}

/// The byte pairs of captions of every pair at every stage.
std::string make_merges(const PretrainOptions& o) {
  std::vector<std::string> texts;
  for (int k = 0; k < pairs; ++k) {
    for (std::uint64_t n = 0; n < 100; ++n) {
      Moment moment;
      moment.pair = k;
      moment.stage = static_cast<Stage>(n % 3);
      texts.push_back(
          caption(moment, draws(o, Draw::words).split(static_cast<std::uint64_t>(k) * 100 + n)));
    }
  }
  return learn_merges(texts, 512);
}

struct Result {
  Accuracy object, action;
};
Result measure(const PretrainOptions& o, const clip::ImageEncoder<float>& image,
               const clip::TextEncoder<float>& text, const clip::Tokenizer& tokenizer) {
  const NoGrad no_grad;
  std::vector<std::string> object_texts, pair_texts;
  for (int k = 0; k < objects; ++k)
    object_texts.push_back(std::string("a photo of a person and a ") + object_name(k));
  for (int k = 0; k < pairs; ++k) pair_texts.push_back("a photo of a person " + pair(k).name());
  const Tensor<float> named_objects = encode(text, tokenizer, object_texts),
                      named_pairs = encode(text, tokenizer, pair_texts);
  Result out;
  cli::Progress progress("testing", static_cast<std::size_t>(o.test));
  constexpr std::int64_t at_once = 64;
  for (std::int64_t done = 0; done < o.test; done += at_once) {
    const std::int64_t count = std::min(at_once, o.test - done);
    const Pictures pictures = make_pictures(count, [&](std::int64_t n) {
      return draws(o, Draw::test).split(static_cast<std::uint64_t>(done + n));
    });
    const Tensor<float> images = normalize(image.forward(pictures.images), 1);
    const Tensor<std::int64_t> object = argmax(matmul(images, named_objects.transpose(0, 1)), 1),
                               action = argmax(matmul(images, named_pairs.transpose(0, 1)), 1);
    for (std::int64_t n = 0; n < count; ++n) {
      const Moment& m = pictures.moments[static_cast<std::size_t>(n)];
      out.object.add(m.stage, object.data()[n] == pair(m.pair).object);
      out.action.add(m.stage, action.data()[n] == m.pair);
    }
    progress.update(static_cast<std::size_t>(done + count));
  }
  progress.finish();
  return out;
}

void run(const PretrainOptions& o) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  const std::string weights = io::join_path(o.out, "clip.safetensors"),
                    vocabulary = io::join_path(o.out, "merges.txt");
  Result result;
  if (o.check) {
    const clip::Clip<float> model = clip::load<float>(weights);
    result = measure(o, *model.image, *model.text, clip::Tokenizer::load(vocabulary));
  } else {
    io::make_directories(o.out);
    const io::FolderLock lock(o.out, "pretrain_clip");
    const std::string merges = make_merges(o);
    const clip::Tokenizer tokenizer = clip::Tokenizer::parse(merges, vocabulary);
    Generator random = draws(o, Draw::start);
    MiniClip model(tokenizer.vocabulary(), random);
    pretrain(o, "clip", model, [&](std::int64_t step) {
      return contrastive_loss(model, tokenizer, make_pictures(o.batch, [&](std::int64_t i) {
                                return of_sample(o, step, i);
                              }));
    });
    result = measure(o, model.image, model.text, tokenizer);
    lock.check();
    io::write_text(vocabulary, merges);
    io::Json training = recipe(o);
    training["pictures"] = "miniature world, 30 pairs of motion and object, with captions";
    training["test_pictures"] = o.test;
    training["object_of_10"] = result.object.json();
    training["action_of_30"] = result.action.json();
    write(o, model, training);
  }
  cli::Table table({"right, %", "core", "approach and recovery", "only lies there", "chance"});
  const auto line = [&](const char* name, const Accuracy& a, const char* chance) {
    table.row({name, cli::percent(a.in({Stage::core}), 1), cli::percent(a.in({Stage::around}), 1),
               cli::percent(a.in({Stage::idle}), 1), chance});
  };
  line("object, of 10", result.object, "10.0");
  line("action, of 30", result.action, "3.3");
  table.print();
  std::printf("%lld test pictures; weights: %s, and %s\n", static_cast<long long>(o.test),
              cli::printable(weights).c_str(), cli::printable(vocabulary).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the miniature's CLIP from scratch: pictures in which a person handles one of ten "
      "objects in one of eight\nways, and captions, drawn anew in every step.\n\n  pretrain_clip "
      "--out weights/mini\n",
      "pretrain_clip");
  PretrainOptions o;
  o.steps = 900;
  o.batch = 128;
  o.learning_rate = 1e-3;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { run(o); });
}
