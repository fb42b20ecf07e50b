#include "tandem/wtal/data/text_files.hpp"

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"
#include "tandem/clip/load.hpp"

using namespace tandem;
using namespace tandem::wtal;

TEST_CASE("class names become the token ids of their words in lower case") {
  const auto tokenizer =
      clip::Tokenizer::parse("#version: 0.2\nt h\nth r\nd i\nc u\ncu s</w>\n", "mini");
  const ClassTokens tokens = tokenize_classes(tokenizer, {"ThrowDiscus", "Diving"});
  CHECK(tokens.start == tokenizer.start_token());
  CHECK(tokens.end == tokenizer.end_token());
  REQUIRE(tokens.names.size() == 2);
  CHECK(tokens.names[0] == tokenizer.encode("throw discus"));
  CHECK(tokenizer.decode(tokens.names[0]) == "throw discus ");
  CHECK(tokens.names[1] == tokenizer.encode("diving"));
  CHECK(check::message([&] {
          tokenize_classes(tokenizer, {"Diving", "_"});
        }) == "[tokenize_classes] the class name \"_\" has no words");
}

TEST_CASE("a text encoder and class tokens as they were saved") {
  const tandem_test::TempDir folder;
  Generator random(3);
  const clip::TextEncoder<float> encoder({.vocabulary = 9,
                                          .context = 6,
                                          .width = 8,
                                          .layers = 1,
                                          .heads = 2,
                                          .output = 5,
                                          .activation = Activation::gelu},
                                         random);
  save_text_encoder(folder.path("text.safetensors"), encoder, "made up");
  const auto read = clip::load_text_encoder<float>(folder.path("text.safetensors"));
  CHECK(read->options().heads == 2);
  CHECK(read->options().activation == Activation::gelu);
  CHECK(check::same(read->encode({{7, 1, 8}}), encoder.encode({{7, 1, 8}}).detach()));

  const ClassTokens tokens{7, 8, {{1}, {2, 3}}};
  save_class_tokens(folder.path("tokens.json"), {"a", "b"}, tokens);
  const ClassTokens again = load_class_tokens(folder.path("tokens.json"), {"b", "a"}, 9);
  CHECK(again.start == 7);
  CHECK(again.end == 8);
  CHECK(again.names == std::vector<std::vector<std::int64_t>>{{2, 3}, {1}});
}
