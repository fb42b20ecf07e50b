/// char_transformer — a small GPT over bytes: trains, resumes to the same bits, and writes.
///   build/release/examples/char_transformer                   learns the multiplication table
///   build/release/examples/char_transformer --text shakespeare.txt --steps 5000 --prompt "ROMEO:"
///   build/release/examples/char_transformer --resume --steps 200   goes on from char.safetensors

#include <iostream>

#include "common_cli.hpp"
#include "tandem/io.hpp"
#include "tandem/tandem.hpp"

using namespace tandem;

struct Gpt : nn::Module<float> {
  static constexpr std::int64_t width = 64, context = 32, symbols = 256;
  explicit Gpt(Generator& random)
      : tokens(symbols, width, random, 0.02),
        positions(randn<float>({context, width}, random, 0, 0.02)),
        first(width, 4, random),
        second(width, 4, random),
        norm(width),
        head(width, symbols, random) {
    add("tokens", tokens);
    add("positions", positions);
    add("blocks.0", first);
    add("blocks.1", second);
    add("norm", norm);
    add("head", head);
  }
  /// ids (B, T) → logits of the next byte (B, T, 256).
  Tensor<float> forward(const Tensor<std::int64_t>& ids) const {
    const auto x = tokens.forward(ids) + positions.slice(0, 0, ids.size(1));
    return head.forward(norm.forward(second.forward(first.forward(x, {}, true), {}, true)));
  }
  /// The text and `count` bytes more, each the likeliest, or fewer: until a line ends.
  std::string complete(std::string text, int count, bool line) const {
    const NoGrad guard;
    for (int i = 0; i < count; ++i) {
      const std::string last = text.substr(text.size() > context ? text.size() - context : 0);
      std::vector<std::int64_t> ids;
      for (const char c : last) ids.push_back(static_cast<unsigned char>(c));
      const auto logits = forward(from_vector(ids).unsqueeze(0))[0].select(0, -1);
      text += static_cast<char>(argmax(logits, 0).item());
      if (line && text.back() == '\n') break;
    }
    return text;
  }
  nn::Embedding<float> tokens;
  Tensor<float> positions;
  nn::TransformerBlock<float> first, second;
  nn::LayerNorm<float> norm;
  nn::Linear<float> head;
};

struct Options {
  std::string file, out = "char.safetensors", prompt;
  std::int64_t steps = 800;
  bool resume = false;
};

void learn(const Options& o) {
  std::string text;
  for (int a = 1, b = 1; a < 10; b == 9 ? (++a, b = 1) : ++b)
    text += concat(a, "*", b, "=", a * b, "\n");
  if (!o.file.empty()) text = io::read_text(o.file);
  TANDEM_CHECK(text.size() > Gpt::context, "char_transformer", o.file, " has ", text.size(),
               " bytes, expected more than ", Gpt::context);

  Generator random(1);
  Gpt net(random);
  optim::AdamW<float> adam(net.named_parameters(), {.learning_rate = 3e-3, .weight_decay = 0.01});
  std::int64_t step = 0;
  if (o.resume) {
    const auto saved = io::load_checkpoint<float>(o.out);
    net.load_state_dict(nn::without_prefix("net.", saved.tensors));
    adam.load_state(nn::without_prefix("adam.", saved.tensors));
    step = saved.counters.at(0);
  }
  for (const std::int64_t end = step + o.steps; step < end; ++step) {
    Generator draw = random.split(static_cast<std::uint64_t>(step));  // whatever came before
    std::vector<std::int64_t> ids, next;
    for (int sequence = 0; sequence < 16; ++sequence) {
      const std::size_t start = draw.next_below(text.size() - Gpt::context);
      for (std::size_t at = start; at < start + Gpt::context; ++at) {
        ids.push_back(static_cast<unsigned char>(text[at]));
        next.push_back(static_cast<unsigned char>(text[at + 1]));
      }
    }
    const auto logits = net.forward(from_vector(ids).reshape({16, Gpt::context}));
    const auto loss = cross_entropy(logits.reshape({-1, Gpt::symbols}), from_vector(next));
    adam.zero_grad();
    loss.backward();
    optim::clip_grad_norm(net.parameters(), 1.0);
    adam.step();
    if (step % 100 == 99) std::cout << "step " << step + 1 << "  loss " << loss.item() << "\n";
  }
  auto state = nn::with_prefix("net.", net.state_dict());
  for (auto& named : nn::with_prefix("adam.", adam.state())) state.push_back(std::move(named));
  io::save_checkpoint<float>(o.out, {.tensors = state, .counters = {step}, .options = "{}"});

  int right = 0;
  for (int a = 1, b = 1; a < 10 && o.file.empty(); b == 9 ? (++a, b = 1) : ++b) {
    const std::string question = concat("\n", a, "*", b, "=");
    right += net.complete(question, 3, true) == concat(question, a * b, "\n");
  }
  if (o.file.empty()) std::cout << right << " of 81 products are right\n";
  if (!o.prompt.empty()) std::cout << net.complete(o.prompt, 200, false) << "\n";
}

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Trains a small GPT over the bytes of a text; it writes.", "char_transformer");
  app.add_option("--text", o.file, "What it learns (default: the multiplication table)");
  app.add_option("--steps", o.steps, "So many more")->check(cli::non_negative());
  cli::add_output(app, "--out", o.out, "The checkpoint")->capture_default_str();
  app.add_option("--prompt", o.prompt, "Writes 200 bytes after this");
  app.add_flag("--resume", o.resume, "Goes on from the checkpoint");
  return cli::run(app, argc, argv, [&] { learn(o); });
}
