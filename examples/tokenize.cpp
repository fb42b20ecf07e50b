/// tokenize — token ids of CLIP: of the lines of the standard input, or of the classes of a data
/// set.

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "tandem/clip/class_names.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/text_files.hpp"

namespace {

using namespace tandem;

struct Options {
  std::string vocabulary, classes, out;
  bool json = false, decode = false;
};

/// Says on stderr where a text looks as if it had been read in a wrong encoding.
void note_mojibake(const std::string& where, const std::string& text) {
  if (const std::string note = clip::mojibake_note(text); !note.empty()) {
    std::fprintf(stderr, "tokenize: %s: %s\n", cli::printable(where).c_str(),
                 cli::printable(note).c_str());
  }
}

/// class_tokens.json, as train_dcl reads it.
void tokenize_classes(const clip::Tokenizer& tokenizer, const Options& o) {
  const wtal::GroundTruth truth = wtal::read_ground_truth(o.classes);
  wtal::ClassTokens tokens{
      .start = tokenizer.start_token(), .end = tokenizer.end_token(), .names = {}};
  for (const std::string& name : truth.classes) {
    note_mojibake(concat("the class name \"", name, "\""), name);
    tokens.names.push_back(tokenizer.encode(clip::readable_class_name(name)));
    TANDEM_CHECK(!tokens.names.back().empty(), "tokenize", "the class name \"", name,
                 "\" has no tokens");
  }
  wtal::save_class_tokens(o.out, truth.classes, tokens);
  std::printf("%zu classes written to %s\n", truth.classes.size(), cli::printable(o.out).c_str());
}

/// Reads ids, "320 1125 539" or with --json "[320, 1125, 539]".
std::vector<std::int64_t> parse_ids(std::string line) {
  for (char& c : line) {
    if (c == '[' || c == ']' || c == ',') c = ' ';
  }
  std::vector<std::int64_t> ids;
  std::istringstream in(line);
  for (std::int64_t id = 0; in >> id;) ids.push_back(id);
  TANDEM_CHECK(in.eof(), "tokenize", "expected token ids in the line \"", line.substr(0, 80), "\"");
  return ids;
}

void tokenize_lines(const clip::Tokenizer& tokenizer, const Options& o) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (o.decode) {
      const std::string text = tokenizer.decode(parse_ids(line));
      std::puts(o.json ? io::json_text(io::Json(text)).c_str() : text.c_str());
      continue;
    }
    std::string text = line;
    if (o.json) {
      const io::Json value = io::parse_json(line, concat("line ", number));
      TANDEM_CHECK(value.is_string(), "tokenize", "line ", number, ": expected a JSON string");
      text = value.get<std::string>();
    }
    note_mojibake(concat("line ", number), text);
    std::string out = o.json ? "[" : "";
    const char* between = "";
    for (const std::int64_t id : tokenizer.encode(text)) {
      out += between + std::to_string(id);
      between = o.json ? ", " : " ";
    }
    std::puts((o.json ? out + "]" : out).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "CLIP's token ids of the lines of the standard input, or of the classes of a data set.",
      "tokenize");
  Options o;
  app.add_option("--vocabulary", o.vocabulary,
                 "bpe_simple_vocab_16e6.txt.gz of the CLIP release, or a merges.txt")
      ->required()
      ->type_name("FILE");
  app.add_flag("--json", o.json, "A line is a JSON string, the answer a JSON array");
  app.add_flag("--decode", o.decode, "The other way: a line of ids becomes text");
  const auto classes =
      app.add_option("--classes", o.classes,
                     "Annotations in any layout: writes the token ids of their class names, "
                     "\"CleanAndJerk\" as \"clean and jerk\", for train_dcl --tokens");
  classes->type_name("PATH")->excludes("--json")->excludes("--decode");
  cli::add_output(app, "--out", o.out, "The file to write with --classes")
      ->default_val("class_tokens.json")
      ->type_name("FILE");
  app.footer(
      "Examples:\n"
      "  echo 'a photo of a cat' | tokenize --vocabulary bpe_simple_vocab_16e6.txt.gz\n"
      "  tokenize --vocabulary bpe_simple_vocab_16e6.txt.gz --classes Thumos14reduced-Annotations");
  return cli::run(app, argc, argv, [&] {
    const clip::Tokenizer tokenizer = clip::Tokenizer::load(o.vocabulary);
    if (o.classes.empty()) {
      tokenize_lines(tokenizer, o);
    } else {
      tokenize_classes(tokenizer, o);
    }
  });
}
