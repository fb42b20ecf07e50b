/// Word vectors from a text file, the words of class names, and the sentences of Boosting-WTAL.

#include "tandem/wtal/data/glove.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"

using namespace tandem;
using namespace tandem::wtal;
using tandem_test::TempDir;

namespace {

/// A GloVe file of nine words and two numbers each.
std::string little_glove(const TempDir& folder) {
  const std::string path = folder.path("glove.txt");
  io::write_text(path,
                 "the 1 2\n. 3 -4e-1\none 5 6\nof 7 8\nvideo 9 10\ncliff 11 12\ndiving 13 14\r\n"
                 "clean 15 16\njerk 17 18\nthe 0 0\n");
  return path;
}

}  // namespace

TEST_CASE("ActivityNet's class names: five words and zeros; sentences of whole names") {
  CHECK(class_words("Playing water polo") == std::vector<std::string>{"playing", "water", "polo"});
  const std::vector<std::string> names{"Playing water polo", "Diving"};
  CHECK(sentence_words(names, true, true) ==
        std::vector<std::string>{"one", "video", "of", "playing", "water", "poloanddiving", "."});
  const TempDir folder;
  const GloveVectors glove =
      GloveVectors::load(little_glove(folder), {"cliff", "diving", "the"}, 7);
  const Tensor<float> vectors = class_words_vectors<float>(glove, {"CliffZebraDiving"}, 4);
  CHECK(vectors.shape() == Shape{1, 4, 2});
  CHECK(vectors.at({0, 0, 1}) == glove.vector("cliff")[1]);
  CHECK(vectors.at({0, 1, 0}) == 0);  // a word without a vector
  CHECK(vectors.at({0, 2, 1}) == glove.vector("diving")[1]);
  CHECK(vectors.at({0, 3, 1}) == 0);
  CHECK(class_words_vectors<float>(glove, {"CliffZebraDiving"}, 2).at({0, 0, 1}) ==
        glove.vector("cliff")[1]);
  const Sentences<float> s =
      make_sentences<float>(glove, {"Diving"}, {{0}}, {.longest = 6, .whole_names = true});
  // of "one video of diving ." the words that are among the frequent ones of the file
  CHECK(s.lengths[0] == 5);
  CHECK(s.weights.to_vector() == std::vector<float>{1, 1, 1, 2, 1, 0});
}

TEST_CASE("GloVe: the words asked for, the frequent ones by their line, faults by theirs") {
  const TempDir folder;
  const std::string path = little_glove(folder);
  const GloveVectors glove = GloveVectors::load(path, {"cliff", "diving", "zebra"}, 5);
  CHECK(glove.width() == 2);
  CHECK(glove.vector(".")[1] == -0.4f);
  CHECK(glove.vector("diving")[1] == 14);
  CHECK(glove.vector("the")[0] == 1);  // the first of two
  CHECK(glove.id("video") == 5);
  CHECK(glove.id("diving") == 0);  // has a vector, but is not frequent
  CHECK(!glove.has("zebra"));
  CHECK(check::message([&] { glove.vector("zebra"); }) ==
        "[glove] the word vectors have no \"zebra\"");
  CHECK(
      check::message([&] { class_word_vectors<float>(glove, {"CleanAndJerk"}); }) ==
      "[class_word_vectors] the word vectors have no \"clean\", a word of the class CleanAndJerk");
  const auto fault = [&](const std::string& text) {
    io::write_text(path, text);
    const std::string said = check::message([&] { GloveVectors::load(path, {"b"}); });
    const std::size_t at = said.find("line");
    return at == std::string::npos ? said : said.substr(at);
  };
  CHECK(fault("a 1 2\nb 1 x\n") == "line 2: number 2 is not a finite number");
  io::write_text(path, "b  1   2 \n");  // any number of blanks
  CHECK(GloveVectors::load(path, {"b"}).vector("b")[1] == 2);
  CHECK(fault("b inf 2\n") == "line 1: number 1 is not a finite number");
  CHECK(fault("b\n") == "line 1: expected a word and its numbers with a space between them");
  CHECK(fault("b \n") ==
        "line 1: the word has 0 numbers, 1 are expected, as of the word before it");
  CHECK(fault("a 1 2\n") ==
        concat("[glove] ", path, ": none of the 1 words asked for is in the file"));
  io::write_text(path, "b 1 2\nc 1\n");
  CHECK(check::message([&] {
          GloveVectors::load(path, {"b", "c"});
        }).ends_with("the word has 1 numbers, 2 are expected, as of the word before it"));
}

TEST_CASE("class words and sentences, with the joined names of the public code and without") {
  CHECK(class_word_pair("BaseballPitch") == std::vector<std::string>{"baseball", "pitch"});
  CHECK(class_word_pair("CleanAndJerk") == std::vector<std::string>{"clean", "jerk"});
  CHECK(class_word_pair("Diving") == std::vector<std::string>{"diving", "diving"});
  CHECK(class_word_pair("Shotput") == std::vector<std::string>{"shot", "put"});
  CHECK(class_word_pair("Playing water polo") == std::vector<std::string>{"playing", "polo"});
  const std::vector<std::string> names{"Diving", "CliffDiving"};
  CHECK(sentence_words(names) ==
        std::vector<std::string>{"one", "video", "of", "the", "divingandcliff", "diving", "."});
  CHECK(sentence_words(names, false) == std::vector<std::string>{"one", "video", "of", "the",
                                                                 "diving", "and", "cliff", "diving",
                                                                 "."});
  const TempDir folder;
  const std::string path = little_glove(folder);
  const GloveVectors glove = GloveVectors::load(path, {}, 7);
  const Sentences<double> s = make_sentences<double>(glove, names, {{0, 1}, {1}}, {.longest = 8});
  CHECK(s.lengths == std::vector<std::int64_t>{6, 7});
  CHECK(s.ids.to_vector() ==
        std::vector<std::int64_t>{3, 5, 4, 1, 7, 2, 0, 0, 3, 5, 4, 1, 6, 7, 2, 0});
  CHECK(s.words.shape() == Shape{2, 9, 2});
  CHECK(s.words.at({1, 5, 1}) == 12);
  CHECK(s.words.at({0, 0, 0}) == 0);
  CHECK(s.counted.select(0, 0).to_vector() == std::vector<bool>{1, 1, 1, 1, 1, 1, 1, 0});
  CHECK(s.counted.select(0, 1).to_vector() == std::vector<bool>(8, true));
  CHECK(s.weights.select(0, 1).to_vector() == std::vector<double>{1, 1, 1, 1, 2, 2, 1, 0});
  CHECK(make_sentences<double>(glove, names, {{1}}, {.longest = 2}).lengths[0] == 2);
  CHECK(check::message([&] {
          make_sentences<double>(GloveVectors::load(path, {"jerk"}), names, {{1}});
        }) == "[make_sentences] none of the words of sentence 0 is among the frequent ones");
}
