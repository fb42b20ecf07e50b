#pragma once
/// Training by distillation and collaboration: warm up CBP, then alternate B and F steps.
///                                                                                      [method §5]

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/ops/mean.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/optim/clip_grad.hpp"
#include "tandem/wtal/data/device_rows.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/train/background_class.hpp"
#include "tandem/wtal/train/captured_steps.hpp"
#include "tandem/wtal/train/label_memory.hpp"
#include "tandem/wtal/train/oracle_labels.hpp"
#include "tandem/wtal/train/self_teacher.hpp"
#include "tandem/wtal/train/step_report.hpp"
#include "tandem/wtal/train/trainer_options.hpp"
#include "tandem/wtal/train/training_sampler.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Holds the two branches and their optimizers and makes steps. The caller owns the branches and
/// may evaluate them between any two steps, in the scope of an nn::Evaluating: the steps that
/// follow have the same bits as without. All that is random in a step, its crops and its dropout,
/// is a function of the seed and the step's number.
template <FloatingElement T>
class Trainer {
 public:
  Trainer(const TrainerOptions& options, Branch<T>& cbp, Branch<T>& vlp)
      : Trainer(options, &cbp, &vlp) {}
  /// A branch that no phase needs may be null: VLP for a warm-up alone and for self-training, both
  /// for vanilla VLP, which does not train. Errors: a phase needs a branch that is not there, or trains one that has nothing
  /// to learn; a frozen branch may teach.
  Trainer(const TrainerOptions& options, Branch<T>* cbp, Branch<T>* vlp)
      : options_(options), phases_(training_phases(options)) {
    for (const Phase& phase : phases_) {
      const bool alone = phase.kind == Phase::Kind::warm_up || phase.kind == Phase::Kind::self;
      TANDEM_CHECK(cbp != nullptr && (vlp != nullptr || alone), "trainer", "the phase ",
                   phase.name(), " needs ", cbp == nullptr ? "CBP" : "VLP", ", which is not there");
      const Branch<T>& student = phase.kind == Phase::Kind::b ? *vlp : *cbp;
      TANDEM_CHECK(!student.trainable_parameters().empty(), "trainer", "the phase ", phase.name(),
                   " trains ", phase.kind == Phase::Kind::b ? "VLP" : "CBP",
                   ", which has no parameters that learn");
    }
    if (cbp != nullptr) cbp_.emplace(*cbp, options_);
    if (vlp != nullptr) vlp_.emplace(*vlp, options_);
  }

  /// Draws the crops of every step, by the options' batch, crop and seed; `lengths` are the rows of
  /// each video. Of a method that trains as CBP does.
  Sampler sampler(std::vector<std::int64_t> lengths) const {
    TANDEM_CHECK(own_recipe() == nullptr, "trainer",
                 "this method's warm-up has a sampler of its own, which needs the videos' labels");
    return Sampler(std::move(lengths), options_.batch, options_.crop,
                   Generator(options_.seed).split(crop_stream));
  }
  /// The same of any method: a warm-up that is its own is drawn by its recipe. `truth` has the
  /// labels of the videos.
  TrainingSampler sampler(std::vector<std::int64_t> lengths, const GroundTruth& truth) const {
    const Generator random = Generator(options_.seed).split(crop_stream);
    std::optional<rivals::RecipeSampler> own;
    if (const rivals::Recipe* recipe = own_recipe()) {
      std::vector<std::vector<int>> labels;
      for (const VideoTruth& video : truth.videos) labels.push_back(video.labels);
      own.emplace(*recipe, lengths, labels, random.split(recipe_stream));
    }
    return {Sampler(std::move(lengths), options_.batch, options_.crop, random), std::move(own),
            options_.warm_up_steps};
  }

  /// The learning rates of the branches in a step; a step uses that of the branch that it trains.
  struct Rates {
    double cbp, vlp;  ///< of each branch
  };
  /// Those of a step, from 0, as the schedule has them.
  Rates learning_rates(std::int64_t step) const {
    const double factor = options_.schedule.factor(step);
    const double vlp =
        options_.vlp_learning_rate > 0 ? options_.vlp_learning_rate : options_.learning_rate;
    const rivals::Recipe* const own = step < options_.warm_up_steps ? own_recipe() : nullptr;
    const double cbp = own != nullptr ? own->learning_rate : options_.learning_rate;
    return {.cbp = cbp * factor, .vlp = vlp * factor};
  }

  /// The step that the schedule wants next, on this batch, which is on the host.
  StepReport step(const Batch<T>& batch) { return start_step(batch).get(); }
  /// The same without waiting for a GPU: branches that were moved to one before the trainer was made
  /// take their steps there. One report taken late keeps it busy:
  ///   PendingReport<float> before = trainer.start_step(batch(0));
  ///   for (std::int64_t i = 1; i < steps; ++i) {
  ///     PendingReport<float> now = trainer.start_step(batch(i));
  ///     use(before.get());
  ///     before = now;
  ///   }
  PendingReport<T> start_step(const Batch<T>& batch) {
    return start({.batch = batch, .frames = batch.valid.size(1)});
  }
  /// The same on these crops of `source`, to the same bits. After keep_rows() of it two numbers a
  /// crop and the labels go to the GPU; else all rows do, and what the ring of uploads does not hold
  /// is waited for (docs/cuda.md).
  PendingReport<T> start_step(const VideoSource& source, const std::vector<Crop>& crops) {
    if (!rows_.serves(source, crops, device())) return start_step(make_batch<T>(source, crops));
    StepInputs<T> inputs{.batch = {}, .crops = rows_.places(crops), .frames = longest_crop(crops)};
    inputs.batch.labels = crop_labels<T>(source, crops);
    inputs.batch.crops = crops;
    return start(std::move(inputs));
  }
  /// Keeps the rows of all videos of `source`, which are `lengths` long, on the GPU that takes the
  /// steps, where they fit: start_step(source, …) then uploads none. The source must outlive the
  /// trainer, and its rows stay as they are. Returns "" or, in a sentence, why steps upload their
  /// rows. On the CPU nothing is done.
  std::string keep_rows(const VideoSource& source, const std::vector<std::int64_t>& lengths) {
    Kinds read;
    for (const Phase& phase : phases_) {
      const Kinds more = reads(phase.kind, options_.pseudo.rule != PseudoLabelRule::oracle);
      read = {.i3d = read.i3d || more.i3d, .clip = read.clip || more.clip};
    }
    return rows_.keep(source, lengths, device(), read);
  }
  /// Where the steps are taken.
  Device device() const {
    for (const auto* student : {&cbp_, &vlp_}) {
      if (*student && (*student)->adam) return (*student)->adam->parameters()[0].device();
    }
    return Device::cpu();
  }
  /// How many kinds and shapes of steps are captured.
  std::int64_t graphs() const { return captured_.size(); }

  /// The phases of the run, and where the last one ends.
  const std::vector<Phase>& phases() const { return phases_; }
  std::int64_t total_steps() const { return phases_.empty() ? 0 : phases_.back().end; }
  /// Steps done.
  std::int64_t steps() const { return step_; }
  /// True when the last phase is over.
  bool finished() const { return step_ >= total_steps(); }
  /// The phase of the next step. Errors: all steps are done.
  const Phase& current_phase() const {
    for (const Phase& phase : phases_) {
      if (step_ >= phase.begin && step_ < phase.end) return phase;
    }
    fail("trainer", "all ", total_steps(), " steps are done");
  }
  /// The options it was made with.
  const TrainerOptions& options() const { return options_; }

  /// Whether calibrate() must be called before the next step.
  bool needs_calibration() const {
    const bool missing = options_.pseudo.rule == PseudoLabelRule::calibrated ? !shares_.defined()
                         : options_.pseudo.rule == PseudoLabelRule::oracle   ? !oracle_
                                                                             : false;
    return missing && !finished() && current_phase().kind != Phase::Kind::warm_up;
  }
  /// Notes what the rule of the pseudo-labels asks of the videos of `source`, which are numbered as
  /// the crops are. PseudoLabelRule::calibrated: which share of each video CBP, as the warm-up left
  /// it, calls foreground (p > δ_h), for every class; these shares, kept in all rounds, are part of
  /// the state. PseudoLabelRule::oracle: the annotated segments.
  void calibrate(const VideoSource& source) {
    if (options_.pseudo.rule == PseudoLabelRule::oracle) {
      oracle_.emplace(source);
      return;
    }
    TANDEM_CHECK(cbp_, "trainer", "calibrate() needs CBP, which is not there");
    const nn::Evaluating<T> evaluating{&cbp_->branch};
    const NoGrad no_grad;
    const std::vector<Tensor<T>> weights = cbp_->branch.parameters();
    const Device device = weights.empty() ? Device::cpu() : weights[0].device();
    const Tensor<T> shares = zeros<T>(
        {static_cast<std::int64_t>(source.size()), static_cast<std::int64_t>(source.classes())});
    for (std::size_t v = 0; v < source.size(); ++v) {
      const Tensor<T> x = source.i3d(v).template to<T>().unsqueeze(0).to(device);
      const Tensor<bool> valid = full<bool>({1, x.size(1)}, true, device);
      const Tensor<T> p =
          frame_probabilities(cbp_->branch.forward(x, valid).logits, options_.cbp_reading);
      const Tensor<T> above =
          mean(where(gt(p, T(options_.pseudo.high)), ones_like(p), zeros_like(p)), {0, 1});
      shares.select(0, static_cast<std::int64_t>(v)).copy_(above.to(Device::cpu()));
    }
    shares_ = shares;
  }
  /// (videos, classes); undefined before calibrate().
  const Tensor<T>& calibration() const { return shares_; }

  /// Everything that a resumed run needs, with names; the tensors share memory with the trainer.
  std::vector<nn::Named<T>> state() const {
    std::vector<nn::Named<T>> out;
    const auto append = [&out](const char* prefix, std::vector<nn::Named<T>> part) {
      for (nn::Named<T>& named : nn::with_prefix(prefix, std::move(part))) {
        out.push_back(std::move(named));
      }
    };
    if (cbp_) append("cbp.", cbp_->branch.state_dict());
    if (vlp_) append("vlp.", vlp_->branch.state_dict());
    if (cbp_ && cbp_->adam) append("optimizer.cbp.", cbp_->adam->state());
    if (vlp_ && vlp_->adam) append("optimizer.vlp.", vlp_->adam->state());
    if (shares_.defined()) out.push_back({shares_name, shares_});
    append(teacher_prefix, teacher_);
    return out;
  }
  /// The counters that go with state(): steps in all, and updates of each optimizer.
  std::vector<std::int64_t> counters() const {
    const auto updates = [](const std::optional<Student>& s) {
      return s && s->adam ? s->adam->steps() : 0;
    };
    return {step_, updates(cbp_), updates(vlp_)};
  }
  /// Goes on from a saved state.  Errors, before anything is changed: a tensor that is missing or
  /// has another shape, counters that no run of this schedule can have.
  void load(const std::vector<nn::Named<T>>& saved, const std::vector<std::int64_t>& counters) {
    TANDEM_CHECK(counters.size() == 3, "trainer", "a checkpoint has three counters, not ",
                 counters.size());
    const std::int64_t steps = counters[0], cbp = counters[1], vlp = counters[2];
    TANDEM_CHECK(steps >= 0 && steps <= total_steps(), "trainer", "the checkpoint is after step ",
                 steps, ", this run has ", total_steps(), " steps");
    TANDEM_CHECK(cbp >= 0 && cbp <= steps && vlp == steps - cbp, "trainer",
                 "the checkpoint is after step ", steps, ", but counts ", cbp,
                 " updates of CBP and ", vlp, " of VLP: each step is one of either");
    // How many videos there are is known where the shares were made.
    Tensor<T> shares;
    for (const nn::Named<T>& candidate : saved) {
      if (candidate.name == shares_name) shares = candidate.tensor.clone();
    }
    const Tensor<T> before = std::exchange(shares_, Tensor<T>());
    const std::vector<nn::Named<T>> teacher_before = std::exchange(teacher_, {});
    const std::vector<nn::Named<T>> own = state();
    shares_ = before;
    teacher_ = teacher_before;
    std::vector<nn::Named<T>> teacher;
    for (const Phase& phase : phases_) {
      if (phase.kind == Phase::Kind::self && steps > phase.begin && steps < phase.end)
        teacher = saved_teacher(cbp_->branch, saved, teacher_prefix);
    }
    // Each parameter's steps are saved; earlier versions had one count per optimizer
    bool counted = true;
    std::vector<const Tensor<T>*> sources;
    for (const nn::Named<T>& target : own) {
      const nn::Named<T>* found = nullptr;
      for (const nn::Named<T>& candidate : saved) {
        if (candidate.name == target.name) found = &candidate;
      }
      if (found == nullptr && target.name.starts_with("optimizer.") &&
          target.name.ends_with(".step")) {
        counted = false;
        sources.push_back(nullptr);
        continue;
      }
      TANDEM_CHECK(found != nullptr, "trainer", "the checkpoint has no tensor '", target.name, "'");
      TANDEM_CHECK(found->tensor.shape() == target.tensor.shape(), "trainer", "'", target.name,
                   "' has shape ", target.tensor.shape(), " here and ", found->tensor.shape(),
                   " in the checkpoint");
      sources.push_back(&found->tensor);
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (sources[i] != nullptr) own[i].tensor.copy_elements(*sources[i]);
    }
    step_ = steps;
    shares_ = shares;
    teacher_ = std::move(teacher);
    if (!counted && cbp_ && cbp_->adam) cbp_->adam->set_steps(cbp);
    if (!counted && vlp_ && vlp_->adam) vlp_->adam->set_steps(vlp);
    memory_.clear();
    device_memory_.clear();
    captured_ = {};
  }

 private:
  /// Streams of the seed. Each step splits its own from them.
  static constexpr std::uint64_t crop_stream = 5, dropout_stream = 0xD20;
  static constexpr std::uint64_t recipe_stream = 0x5EC1;  // of crop_stream
  static constexpr const char* shares_name = "pseudo_labels.shares";
  static constexpr const char* teacher_prefix = "teacher.";

  /// A branch and what makes it learn.
  struct Student {
    Student(Branch<T>& the_branch, const TrainerOptions& o) : branch(the_branch) {
      const auto parameters = branch.trainable_parameters();
      if (parameters.empty()) return;
      adam.emplace(parameters, optim::AdamOptions{.learning_rate = o.learning_rate,
                                                  .weight_decay = o.weight_decay});
    }
    Branch<T>& branch;
    std::optional<optim::Adam<T>> adam;  // nothing for a branch that only teaches
  };

  /// How the warm-up of a method goes that trains in a way of its own; else null.
  const rivals::Recipe* own_recipe() const {
    return cbp_ && options_.own_warm_up ? cbp_->branch.recipe() : nullptr;
  }

  /// A step on what the host has of a batch: its rows, or the places of its crops among those that
  /// are on the GPU.
  PendingReport<T> start(StepInputs<T> inputs) {
    const Phase& phase = current_phase();
    if (step_ == phase.begin) {
      memory_.clear();  // the teacher has learned since, or is another
      device_memory_.clear();
      if (phase.kind != Phase::Kind::warm_up)  // which does not come again
        captured_.forget(static_cast<int>(Phase::Kind::warm_up));
      if (phase.kind == Phase::Kind::self && !teacher_.empty()) {
        const NoGrad no_grad;  // in place: graphs have it by address
        const std::vector<nn::Named<T>> now = cbp_->branch.state_dict();
        for (std::size_t i = 0; i < now.size(); ++i)
          teacher_[i].tensor.copy_elements(now[i].tensor);
      } else {
        teacher_ = phase.kind == Phase::Kind::self ? state_copy(cbp_->branch)
                                                   : std::vector<nn::Named<T>>();
      }
    }
    const Rates rates = learning_rates(step_);
    if (cbp_ && cbp_->adam) cbp_->adam->set_learning_rate(rates.cbp);
    if (vlp_ && vlp_->adam) vlp_->adam->set_learning_rate(rates.vlp);
    if (const rivals::Recipe* own = own_recipe(); own != nullptr && cbp_->adam) {
      const bool alone = phase.kind == Phase::Kind::warm_up;
      cbp_->adam->set_weight_decay(alone ? own->weight_decay : options_.weight_decay);
    }
    Generator noise =
        Generator(options_.seed).split(dropout_stream).split(static_cast<std::uint64_t>(step_));
    const Student& student = phase.kind == Phase::Kind::b ? *vlp_ : *cbp_;
    const Device device = student.adam->parameters()[0].device();
    PendingReport<T> report;
    if (device.is_cpu()) {
      add_labels(inputs, phase.kind);
      const nn::RandomScope random(noise);
      report = PendingReport<T>(make(phase.kind, inputs).report());
    } else {
      const Tensor<std::uint8_t> numbers = start_on_gpu(phase, std::move(inputs), noise);
      const std::shared_ptr<HostCopy<std::uint8_t>> copy = spare_copy();
      copy->start(numbers);
      report = PendingReport<T>(copy, step_, student.adam->learning_rate());
    }
    ++step_;
    return report;
  }
  /// Puts the step into the queue; its numbers there.
  Tensor<std::uint8_t> start_on_gpu(const Phase& phase, StepInputs<T> inputs,
                                    const Generator& noise) {
    Student& student = phase.kind == Phase::Kind::b ? *vlp_ : *cbp_;
    Student& teacher = phase.kind == Phase::Kind::f ? *vlp_ : *cbp_;
    const Device device = student.adam->parameters()[0].device();
    // The methods with a training of their own count frames on the host: their steps are not graphs.
    const bool counts = cbp_ && cbp_->branch.recipe() != nullptr;
    if (!counts) inputs.frames = CapturedSteps<T>::padded_frames(inputs.frames, options_.crop);
    if (!inputs.crops.defined()) inputs.batch = inputs.batch.padded_to(inputs.frames);
    add_labels(inputs, phase.kind);
    std::vector<Tensor<T>> weights = student.branch.parameters();
    student.branch.refresh(false);
    DeviceLabelMemory::Plan labels;
    if (phase.kind != Phase::Kind::warm_up && !inputs.h.defined() && !inputs.batch.crops.empty()) {
      labels = device_memory_.plan(inputs.batch.crops, std::max(options_.crop, inputs.frames),
                                   inputs.batch.labels.size(1), device);
      inputs.places = labels.places;
      inputs.recalls = labels.recalls;
    }
    if (&teacher != &student && !inputs.h.defined()) {
      const std::vector<Tensor<T>> more = teacher.branch.parameters();
      TANDEM_CHECK(more.empty() || more[0].device() == device, "trainer", "the branch that ",
                   phase.name(), " steps train is on ", device, ", the one that teaches on ",
                   more[0].device());
      weights.insert(weights.end(), more.begin(), more.end());
      teacher.branch.refresh(true);
    }
    const Kinds read = reads(phase.kind, !inputs.h.defined() && !inputs.recalls);
    if (!read.i3d) inputs.batch.i3d = {};
    if (!read.clip) inputs.batch.clip = {};
    const auto body = [&](const StepInputs<T>& there) {
      if (!there.crops.defined()) return make(phase.kind, there).packed();
      StepInputs<T> gathered = there;
      gathered.batch = rows_.gather(there.crops, there.frames, read);
      gathered.batch.labels = there.batch.labels;
      gathered.batch.crops = there.batch.crops;
      return make(phase.kind, gathered).packed();
    };
    Tensor<std::uint8_t> numbers;
    if (options_.graphs && !autograd::anomaly_mode() && !counts) {
      std::vector<const void*> addresses = rows_.addresses();
      addresses.push_back(device_memory_.address());
      for (const Tensor<T>& p : weights) addresses.push_back(p.device_data());
      for (const nn::Named<T>& named : teacher_)  // of self-training
        addresses.push_back(named.tensor.device_data());
      numbers = captured_.step(static_cast<int>(phase.kind), inputs, device, addresses,
                               *student.adam, noise, body);
    } else {
      Generator drawn = noise;
      const nn::RandomScope random(drawn);
      numbers = body(inputs.to(device));
    }
    if (labels.places.defined()) device_memory_.know(labels);
    return numbers;
  }
  /// The rows that a step reads: its student's, and its teacher's where that is asked.
  static Kinds reads(Phase::Kind kind, bool asks) {
    if (kind == Phase::Kind::b) return {.i3d = asks, .clip = true};
    return {.i3d = true, .clip = kind == Phase::Kind::f && asks};
  }
  StepNumbers<T> make(Phase::Kind kind, const StepInputs<T>& inputs) {
    return kind == Phase::Kind::warm_up ? warm_up_step(inputs.batch)
           : kind == Phase::Kind::b     ? b_step(inputs)
           : kind == Phase::Kind::f     ? f_step(inputs)
                                        : self_step(inputs);
  }

  /// Warm-up: CBP learns the video labels.  L_cls, or the loss of the method in its place.
  StepNumbers<T> warm_up_step(const Batch<T>& batch) {
    if (own_recipe() != nullptr) {
      const Tensor<T> own = cbp_->branch.own_loss(batch.i3d, batch.valid, batch.labels);
      return learn({.total = own, .cls = own}, *cbp_->adam);
    }
    const BranchOutput<T> out = cbp_->branch.forward(batch.i3d, batch.valid);
    const Tensor<T> loss = loss_cls(out.logits, batch.labels, batch.valid, options_.cbp_reading,
                                    options_.topk_divisor);
    return learn({.total = loss, .cls = loss}, *cbp_->adam);
  }

  /// B step: CBP, frozen, knows background; it teaches VLP.  L_all = L_kd + λ·L_fb.
  StepNumbers<T> b_step(const StepInputs<T>& inputs) {
    const Batch<T>& batch = inputs.batch;
    const Tensor<std::int32_t> h = teach(cbp_->branch, batch.i3d, inputs, options_.cbp_reading);
    return distill(*vlp_, batch.clip, h, batch, options_.vlp_reading);
  }

  /// F step: VLP, frozen, knows foreground; it teaches CBP.  L_all = L_kd + λ·L_fb.
  StepNumbers<T> f_step(const StepInputs<T>& inputs) {
    const Batch<T>& batch = inputs.batch;
    const Tensor<std::int32_t> h = teach(vlp_->branch, batch.clip, inputs, options_.vlp_reading);
    return distill(*cbp_, batch.i3d, h, batch, options_.cbp_reading);
  }

  /// Self-training: CBP as it was when the phase began teaches CBP.  L_all = L_kd + λ·L_fb.
  StepNumbers<T> self_step(const StepInputs<T>& inputs) {
    const Batch<T>& batch = inputs.batch;
    const Tensor<std::int32_t> h = teach(cbp_->branch, batch.i3d, inputs, options_.cbp_reading);
    return distill(*cbp_, batch.i3d, h, batch, options_.cbp_reading);
  }

  /// What the rule of the pseudo-labels takes of the crops.
  void add_labels(StepInputs<T>& inputs, Phase::Kind kind) const {
    const std::vector<Crop>& crops = inputs.batch.crops;
    if (kind == Phase::Kind::warm_up) return;
    if (options_.pseudo.rule == PseudoLabelRule::oracle) {
      TANDEM_CHECK(oracle_ && !crops.empty(), "trainer", "oracle labels need ",
                   oracle_ ? "batches that say which videos their crops are of"
                           : "calibrate() after the warm-up");
      inputs.h = (*oracle_)(crops, inputs.frames);
    } else if (options_.pseudo.rule == PseudoLabelRule::calibrated) {
      TANDEM_CHECK(shares_.defined() && !crops.empty(), "trainer", "calibrated pseudo-labels need ",
                   shares_.defined() ? "batches that say which videos their crops are of"
                                     : "calibrate() after the warm-up");
      inputs.shares = shares_of(crops);
    }
  }

  /// H of the teacher, which neither learns nor drops anything out. Within a phase it is asked once
  /// for each crop; on a GPU for whole batches, of which it need not know all crops.
  Tensor<std::int32_t> teach(Branch<T>& teacher, const Tensor<T>& x, const StepInputs<T>& inputs,
                             Reading reading) {
    if (inputs.h.defined()) return inputs.h;
    const Batch<T>& batch = inputs.batch;
    const nn::Evaluating<T> evaluating{&teacher};
    // `which`: of the batch's videos, all where it is undefined.
    const auto ask = [&](const Tensor<std::int64_t>& which) {
      const auto of = [&](const auto& all) {
        return which.defined() ? index_select(all, 0, which) : all;
      };
      const Tensor<bool> valid = of(batch.valid);
      const Teaching<T> teaching(teacher, teacher_);
      const Tensor<T> p = frame_probabilities(teacher.forward(of(x), valid).logits, reading);
      return pseudo_labels(p, of(batch.labels), valid, options_.pseudo,
                           inputs.shares.defined() ? of(inputs.shares) : Tensor<T>());
    };
    if (!batch.valid.device().is_cpu()) {  // x is not there where nobody is asked
      if (inputs.recalls) return device_memory_.recall<std::int32_t>(inputs.places, batch.valid);
      const Tensor<std::int32_t> h = ask({});
      if (inputs.places.defined()) device_memory_.keep(h, inputs.places);
      return h;
    }
    if (batch.crops.empty()) return ask({});
    std::vector<std::int64_t> unknown;
    for (std::size_t b = 0; b < batch.crops.size(); ++b) {
      if (!memory_.knows(batch.crops[b])) unknown.push_back(static_cast<std::int64_t>(b));
    }
    if (!unknown.empty()) {
      const Tensor<std::int64_t> index = from_vector<std::int64_t>(unknown);
      const Tensor<T> labels = index_select(batch.labels, 0, index);
      const Tensor<std::int32_t> h =
          ask(unknown.size() == batch.crops.size() ? Tensor<std::int64_t>() : index);
      for (std::size_t i = 0; i < unknown.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i);
        memory_.keep(batch.crops[static_cast<std::size_t>(unknown[i])], h, row,
                     labels.data() + row * labels.size(1));
      }
    }
    return memory_.recall(batch.crops, batch.valid.size(1), batch.labels.size(1));
  }

  /// The shares of the videos that crops are of, (B, C).
  Tensor<T> shares_of(const std::vector<Crop>& crops) const {
    std::vector<std::int64_t> videos;
    for (const Crop& crop : crops) videos.push_back(static_cast<std::int64_t>(crop.video));
    return index_select(shares_, 0, from_vector<std::int64_t>(videos));
  }

  /// The student learns from H.
  StepNumbers<T> distill(Student& student, const Tensor<T>& x, const Tensor<std::int32_t>& h,
                         const Batch<T>& batch, Reading reading) {
    // Undecided frames enter no loss unless every entry teaches: the student need not look at them.
    // On a GPU it does: how many there are would have to come to the host.
    const bool all = options_.every_entry || !x.device().is_cpu();
    const BranchOutput<T> out = student.branch.forward(
        x, batch.valid, all ? Tensor<bool>() : confident_frames(h, batch.valid));
    StepNumbers<T> numbers;
    numbers.total = numbers.kd = loss_kd(out.logits, h, batch.valid,
                                         {.reading = reading,
                                          .every_entry = options_.every_entry,
                                          .foreground = options_.kd_foreground,
                                          .background = options_.kd_background});
    if (out.background.defined() && options_.background_labels) {
      // Its 1 is background's teaching, its 0 foreground's
      const Tensor<std::int32_t> h_b = background_labels(h, batch.valid);
      numbers.kd = add(numbers.kd, loss_kd(out.background, h_b, batch.valid,
                                           {.foreground = options_.kd_background,
                                            .background = options_.kd_foreground}));
      numbers.total = numbers.kd;
    }
    if (options_.lambda > 0) {
      numbers.fb = loss_fb(normalize(out.features, -1), h, batch.valid, options_.contrast);
      numbers.total = add(numbers.kd, mul(numbers.fb, T(options_.lambda)));
    }
    if (options_.teach_attention && out.attention.defined()) {
      const Tensor<std::int32_t> h_b = background_labels(h, batch.valid);
      numbers.total = add(numbers.total, attention_loss(out.attention, h_b));
    }
    if (options_.keep_regularisers && out.label_free.defined())
      numbers.total = add(numbers.total, out.label_free);
    return learn(std::move(numbers), *student.adam);
  }

  /// One update against the gradients of the loss. On the CPU nothing is changed when the loss or
  /// the gradients are not finite; on a GPU that is seen when the report arrives.
  StepNumbers<T> learn(StepNumbers<T> numbers, optim::Adam<T>& optimizer) {
    const Tensor<T> loss = std::move(numbers.total);
    numbers.total = loss.detach();
    for (Tensor<T>* part : {&numbers.cls, &numbers.kd, &numbers.fb}) {
      if (part->defined()) *part = part->detach();
    }
    if (loss.device().is_cpu()) check_finite(numbers.report(), step_, optimizer.learning_rate());
    optimizer.zero_grad();
    if (loss.requires_grad()) loss.backward();
    numbers.squares = optim::squared_grad_norm(optimizer.parameters());
    if (loss.device().is_cpu()) check_finite(numbers.report(), step_, optimizer.learning_rate());
    if (options_.max_grad_norm > 0)
      optim::clip_by_squared_norm(optimizer.parameters(), options_.max_grad_norm, numbers.squares);
    optimizer.step();
    optimizer.zero_grad();
    return numbers;
  }
  /// A way to the host that no report is waiting for.
  std::shared_ptr<HostCopy<std::uint8_t>> spare_copy() {
    for (const auto& copy : copies_) {
      if (copy.use_count() == 1) return copy;
    }
    copies_.push_back(std::make_shared<HostCopy<std::uint8_t>>());
    return copies_.back();
  }

  TrainerOptions options_;
  std::vector<Phase> phases_;
  std::optional<Student> cbp_, vlp_;  // nothing where there is no such branch
  std::int64_t step_ = 0;
  LabelMemory memory_;  // of this phase
  DeviceLabelMemory device_memory_;
  Tensor<T> shares_;  // of every video and class, once it is calibrated
  std::optional<OracleLabels> oracle_;
  std::vector<nn::Named<T>> teacher_;  // CBP when this self-training phase began, else nothing
  CapturedSteps<T> captured_;
  DeviceRows<T> rows_;
  std::vector<std::shared_ptr<HostCopy<std::uint8_t>>> copies_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
