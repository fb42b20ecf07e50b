/// pretrain_clip — trains the miniature's CLIP from scratch, on pictures and captions.
///
///   pretrain_clip --out weights/mini
///
/// The image encoder is CLIP's vision transformer with patches of 8, width 96 and 3 layers on 64 ×
/// 64 pixels, the text encoder its transformer with width 64 and 3 layers; the features have 64
/// columns. Pictures of the miniature world and what somebody might write under them are drawn anew
/// in every step. Writes merges.txt (byte pairs learned from captions) and clip.safetensors into
/// --out, with what they were made of and what they reach in the header, and prints how often the
/// right object and the right action is found, by names alone, in pictures that were not trained
/// on.
///
///   pretrain_clip --out weights --clips ucf101
///
/// does the same on frames of trimmed clips of real videos, with captions made of the names of
/// their classes.

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "miniature/merges.hpp"
#include "miniature/pretraining.hpp"
#include "miniature/samples.hpp"
#include "output_folder.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/clip/tokenizer.hpp"
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

/// CLIP — s·cos(image, text) says how well they fit, s = e^logit_scale ≤ 100. [Radford et al. 2021]
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

/// A picture and what somebody wrote under it.
struct Picture {
  Tensor<std::uint8_t> frame;  ///< (64, 64, 3)
  std::string caption;
  Stage stage = Stage::core;
  std::vector<std::int64_t> answers;  ///< to the questions of the source
};

/// What a picture is asked: which of some texts fits best.
struct Question {
  std::string name, key;  ///< in the table, in the header
  std::vector<std::string> texts;
};

/// Where the pictures come from: `draw` makes one of random numbers, for training or for testing.
struct Source {
  std::string about;
  bool stages = false;  ///< a picture shows a certain part of an action
  std::vector<Question> questions;
  std::vector<std::string> words;  ///< captions that the vocabulary is learned from
  std::function<Picture(const Generator&, bool)> draw;
};

/// The rendered world.
Source rendered(const PretrainOptions& o) {
  Source out{
      .about = "miniature world, 30 pairs of motion and object, with captions",
      .stages = true,
      .questions = {{"object, of 10", "object_of_10", {}}, {"action, of 30", "action_of_30", {}}},
      .words = {},
      .draw = [](const Generator& random, bool) {
        const Moment m = draw_picture(random.split(0));
        return Picture{.frame = render(m.scene, m.frame),
                       .caption = caption(m, random.split(1)),
                       .stage = m.stage,
                       .answers = {pair(m.pair).object, m.pair}};
      }};
  for (int k = 0; k < objects; ++k)
    out.questions[0].texts.push_back(std::string("a photo of a person and a ") + object_name(k));
  for (int k = 0; k < pairs; ++k)
    out.questions[1].texts.push_back("a photo of a person " + pair(k).name());
  for (int k = 0; k < pairs; ++k) {
    for (std::uint64_t n = 0; n < 100; ++n) {
      Moment moment;
      moment.pair = k;
      moment.stage = static_cast<Stage>(n % 3);
      out.words.push_back(
          caption(moment, draws(o, Draw::words).split(static_cast<std::uint64_t>(k) * 100 + n)));
    }
  }
  return out;
}

/// Frames of trimmed clips; `sets` must outlive it.
Source trimmed(const PretrainOptions& o, const ClipSets& sets) {
  const std::size_t count = sets.classes.size();
  Source out{.about = concat("frames of trimmed clips, ", count,
                             " classes equally often, with captions of the classes' names"),
             .stages = false,
             .questions = {{concat("class, of ", count), concat("class_of_", count), {}}},
             .words = {},
             .draw = [&sets](const Generator& random, bool training) {
               const ClipFrames::Window window =
                   (training ? sets.train : sets.test).draw(random.split(0), 1, training);
               return Picture{
                   .frame = window.frames.select(0, 0).contiguous(),
                   .caption = class_caption(sets.classes[static_cast<std::size_t>(window.cls)],
                                            random.split(1)),
                   .stage = Stage::core,
                   .answers = {window.cls}};
             }};
  for (std::size_t c = 0; c < count; ++c) {
    out.questions[0].texts.push_back("a photo of " + clip::readable_class_name(sets.classes[c]));
    for (std::uint64_t n = 0; n < 20; ++n)
      out.words.push_back(
          only_letters(class_caption(sets.classes[c], draws(o, Draw::words).split(c * 20 + n))));
  }
  return out;
}

struct Pictures {
  Tensor<float> images;  ///< (N, 3, 64, 64)
  std::vector<Picture> of;
  std::vector<std::string> captions;
};
/// `count` pictures, the n-th of them from the random numbers `of(n)`.
template <class Random>
Pictures make_pictures(const Source& source, std::int64_t count, bool training, const Random& of) {
  const auto n = static_cast<std::size_t>(count);
  Pictures out{
      .images = {}, .of = std::vector<Picture>(n), .captions = std::vector<std::string>(n)};
  std::vector<Tensor<std::uint8_t>> frames(n);
  cpu::parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      const auto i = static_cast<std::size_t>(k);
      out.of[i] = source.draw(of(k), training);
      out.captions[i] = out.of[i].caption;
      frames[i] = out.of[i].frame;
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
  io::Json json(bool stages) const {
    if (!stages) return io::Json(in({Stage::idle, Stage::around, Stage::core}));
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

/// Of every question.
std::vector<Accuracy> measure(const PretrainOptions& o, const Source& source,
                              const clip::ImageEncoder<float>& image,
                              const clip::TextEncoder<float>& text,
                              const clip::Tokenizer& tokenizer) {
  const NoGrad no_grad;
  std::vector<Tensor<float>> texts;
  for (const Question& question : source.questions)
    texts.push_back(encode(text, tokenizer, question.texts).transpose(0, 1));
  std::vector<Accuracy> out(texts.size());
  cli::Progress progress("testing", static_cast<std::size_t>(o.test));
  constexpr std::int64_t at_once = 64;
  for (std::int64_t done = 0; done < o.test; done += at_once) {
    const std::int64_t count = std::min(at_once, o.test - done);
    const Pictures pictures = make_pictures(source, count, false, [&](std::int64_t n) {
      return draws(o, Draw::test).split(static_cast<std::uint64_t>(done + n));
    });
    const Tensor<float> images = normalize(image.forward(pictures.images), 1);
    for (std::size_t q = 0; q < texts.size(); ++q) {
      const Tensor<std::int64_t> best = argmax(matmul(images, texts[q]), 1);
      for (std::int64_t n = 0; n < count; ++n) {
        const Picture& picture = pictures.of[static_cast<std::size_t>(n)];
        out[q].add(picture.stage, best.data()[n] == picture.answers[q]);
      }
    }
    progress.update(static_cast<std::size_t>(done + count));
  }
  progress.finish();
  return out;
}

void print(const Source& source, const std::vector<Accuracy>& result) {
  std::vector<std::string> header{"right, %"};
  if (source.stages) {
    header.insert(header.end(), {"core", "approach and recovery", "only lies there"});
  } else {
    header.emplace_back("test pictures");
  }
  header.emplace_back("chance");
  cli::Table table(header);
  for (std::size_t q = 0; q < result.size(); ++q) {
    const Accuracy& a = result[q];
    std::vector<std::string> row{source.questions[q].name, cli::percent(a.in({Stage::core}), 1)};
    if (source.stages) {
      row.push_back(cli::percent(a.in({Stage::around}), 1));
      row.push_back(cli::percent(a.in({Stage::idle}), 1));
    }
    row.push_back(cli::percent(1 / static_cast<double>(source.questions[q].texts.size()), 1));
    table.row(row);
  }
  table.print();
}

void run(PretrainOptions o) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  const std::string weights = io::join_path(o.out, "clip.safetensors"),
                    vocabulary = io::join_path(o.out, "merges.txt");
  const ClipSets sets = read_clips("pretrain_clip", o);
  const Source source = o.clips.empty() ? rendered(o) : trimmed(o, sets);
  std::vector<Accuracy> result;
  if (o.check) {
    const clip::Clip<float> model = clip::load<float>(weights);
    result = measure(o, source, *model.image, *model.text, clip::Tokenizer::load(vocabulary));
  } else {
    const cli::OutputFolder output(o.out, "pretrain_clip");
    const std::string merges = learn_merges(source.words, 512);
    const clip::Tokenizer tokenizer = clip::Tokenizer::parse(merges, vocabulary);
    Generator random = draws(o, Draw::start);
    MiniClip model(tokenizer.vocabulary(), random);
    pretrain(o, "clip", model, [&](std::int64_t step) {
      return contrastive_loss(model, tokenizer,
                              make_pictures(source, o.batch, true,
                                            [&](std::int64_t i) { return of_sample(o, step, i); }));
    });
    result = measure(o, source, model.image, model.text, tokenizer);
    output.lock().check();
    io::write_text(vocabulary, merges);
    io::Json training = recipe(o);
    training["pictures"] = source.about;
    training["test_pictures"] = o.test;
    for (std::size_t q = 0; q < result.size(); ++q)
      training[source.questions[q].key] = result[q].json(source.stages);
    write(o, model, training);
  }
  print(source, result);
  std::printf("%lld test pictures; weights: %s, and %s\n", static_cast<long long>(o.test),
              cli::printable(weights).c_str(), cli::printable(vocabulary).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the miniature's CLIP from scratch: pictures in which a person handles one of ten "
      "objects in one of eight\nways, and captions, drawn anew in every step. With --clips of "
      "frames of trimmed clips of any folder,\nand captions of their classes' names.\n\n  "
      "pretrain_clip --out weights/mini\n",
      "pretrain_clip");
  PretrainOptions o;
  o.steps = 900;
  o.batch = 128;
  o.learning_rate = 1e-3;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { run(o); });
}
