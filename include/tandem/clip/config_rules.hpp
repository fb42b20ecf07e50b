#pragma once
/// What is known of every key in the configurations that come with CLIP's weights. A key that is
/// not listed, or has a value that is not implemented, is refused by name: it could change the
/// features without a word.

#include <algorithm>
#include <string>
#include <string_view>

#include "tandem/io/json_reader.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {
namespace detail {

/// By file, section and key:
///   "read"       the loader does what the key says
///   "ignored"    it changes no feature (training, naming, generation of text)
///   [values]     only these are implemented (null, or no key, is each project's default)
///   "+": name    also the keys of "common".name
/// weights/convert.py reads the same text. Sections: open_clip's CLIPVisionCfg, CLIPTextCfg,
/// PreprocessCfg;
/// transformers' CLIPConfig, CLIPImageProcessor and what PretrainedConfig adds to it.
inline constexpr std::string_view config_rules = R"json({
"common": {
  "transformers": {
    "_name_or_path": "ignored", "_attn_implementation": "ignored", "_attn_implementation_autoset": "ignored",
    "_commit_hash": "ignored", "add_cross_attention": [false], "architectures": "ignored",
    "attention_dropout": "ignored", "attn_implementation": "ignored", "bad_words_ids": "ignored",
    "begin_suppress_tokens": "ignored", "bos_token_id": "ignored", "chunk_size_feed_forward": "ignored",
    "cross_attention_hidden_size": "ignored", "decoder_start_token_id": "ignored", "diversity_penalty": "ignored",
    "do_sample": "ignored", "dropout": "ignored", "dtype": "ignored", "early_stopping": "ignored",
    "encoder_no_repeat_ngram_size": "ignored", "eos_token_id": "ignored",
    "exponential_decay_length_penalty": "ignored", "finetuning_task": "ignored", "forced_bos_token_id": "ignored",
    "forced_eos_token_id": "ignored", "gradient_checkpointing": "ignored", "id2label": "ignored",
    "initializer_factor": "ignored", "initializer_range": "ignored", "is_decoder": [false],
    "is_encoder_decoder": [false], "label2id": "ignored", "length_penalty": "ignored", "max_length": "ignored",
    "min_length": "ignored", "no_repeat_ngram_size": "ignored", "num_beam_groups": "ignored",
    "num_beams": "ignored", "num_labels": "ignored", "num_return_sequences": "ignored",
    "output_attentions": "ignored", "output_hidden_states": "ignored", "output_scores": "ignored",
    "pad_token_id": "ignored", "prefix": "ignored", "problem_type": "ignored", "pruned_heads": [{}],
    "quantization_config": [], "remove_invalid_values": "ignored", "repetition_penalty": "ignored",
    "return_dict": "ignored", "return_dict_in_generate": "ignored", "sep_token_id": "ignored",
    "suppress_tokens": "ignored", "task_specific_params": "ignored", "temperature": "ignored",
    "tf_legacy_loss": "ignored", "tie_encoder_decoder": "ignored", "tie_word_embeddings": "ignored",
    "tokenizer_class": "ignored", "top_k": "ignored", "top_p": "ignored", "torch_dtype": "ignored",
    "torchscript": "ignored", "transformers_version": "ignored", "typical_p": "ignored",
    "use_bfloat16": "ignored", "use_cache": "ignored",
    "hidden_act": "read", "hidden_size": "read", "intermediate_size": "read", "layer_norm_eps": "read",
    "num_attention_heads": "read", "num_hidden_layers": "read", "projection_dim": "ignored"},
  "hugging_face_image": {"+": "transformers", "model_type": ["clip_vision_model"], "image_size": "read",
    "patch_size": "read", "num_channels": [3]},
  "hugging_face_text": {"+": "transformers", "model_type": ["clip_text_model"],
    "max_position_embeddings": "read", "vocab_size": "read"},
  "open_clip": {
    "layers": "read", "width": "read", "mlp_ratio": "ignored", "ls_init_value": [], "final_ln_after_pool": "ignored",
    "output_tokens": "ignored", "act_kwargs": [{}, {"approximate": "none"}], "norm_kwargs": "read",
    "block_type": ["default"], "qk_norm": [false], "scaled_cosine_attn": [false], "scale_heads": [false],
    "scale_attn_inner": [false], "scale_attn": [false], "scale_fc": [false]},
  "norm": {"eps": "read"}},

"open_clip_config.json": {
  "": {"model_cfg": "read", "preprocess_cfg": "read"},
  "model_cfg": {
    "embed_dim": "read", "quick_gelu": "read", "vision_cfg": "read", "text_cfg": "read", "custom_text": "ignored",
    "init_logit_scale": "ignored", "init_logit_bias": [], "nonscalar_logit_scale": "ignored",
    "output_dict": "ignored", "cast_dtype": "ignored", "multimodal_cfg": []},
  "model_cfg.vision_cfg": {"+": "open_clip",
    "head_width": "read", "patch_size": "read", "image_size": "read", "patch_dropout": "ignored",
    "attentional_pool": [false], "attn_pooler_queries": "ignored", "attn_pooler_heads": "ignored",
    "no_ln_pre": [false], "pos_embed_type": ["learnable", "sin_cos_2d"], "pool_type": ["tok"],
    "timm_model_name": [], "timm_model_pretrained": "ignored", "timm_pool": "ignored", "timm_proj": "ignored",
    "timm_proj_bias": "ignored", "timm_drop": "ignored", "timm_drop_path": "ignored"},
  "model_cfg.vision_cfg.norm_kwargs": {"+": "norm"},
  "model_cfg.text_cfg": {"+": "open_clip",
    "context_length": "read", "vocab_size": "read", "heads": "read", "no_causal_mask": "read",
    "hf_tokenizer_name": [], "tokenizer_mode": [], "tokenizer_kwargs": [{}, {"clean": "lower"}],
    "embed_cls": [false], "pad_id": [0], "eos_id": "ignored", "pool_type": ["argmax"], "proj_bias": [false],
    "proj_type": ["linear"], "hf_model_name": [], "hf_model_pretrained": "ignored", "hf_proj_type": "ignored",
    "hf_pooler_type": "ignored"},
  "model_cfg.text_cfg.norm_kwargs": {"+": "norm"},
  "preprocess_cfg": {
    "size": "read", "mode": ["RGB"], "mean": "read", "std": "read",
    "interpolation": ["bicubic", "bilinear", "random"], "resize_mode": ["shortest", "squash"],
    "fill_color": "ignored"}},

"config.json": {
  "": {"+": "transformers", "model_type": ["clip"], "projection_dim": "read", "text_config": "read",
    "vision_config": "read", "text_config_dict": "read", "vision_config_dict": "read",
    "logit_scale_init_value": "ignored", "hidden_act": [], "layer_norm_eps": []},
  "vision_config": {"+": "hugging_face_image"}, "vision_config_dict": {"+": "hugging_face_image"},
  "text_config": {"+": "hugging_face_text"}, "text_config_dict": {"+": "hugging_face_text"}},

"preprocessor_config.json": {
  "": {
    "size": "read", "crop_size": "read", "resample": [2, 3], "do_resize": [true], "do_center_crop": "read",
    "do_rescale": [true], "do_normalize": "read", "rescale_factor": "read", "image_mean": "read",
    "image_std": "read", "do_convert_rgb": "ignored", "do_pad": [false], "pad_size": [],
    "default_to_square": "ignored", "use_square_size": "ignored", "processor_class": "ignored",
    "image_processor_type": ["CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil",
      "CLIPFeatureExtractor"],
    "feature_extractor_type": ["CLIPFeatureExtractor", "CLIPImageProcessor"], "data_format": "ignored",
    "input_data_format": "ignored", "return_tensors": "ignored", "device": "ignored",
    "disable_grouping": "ignored", "crop_pct": []},
  "size": {"shortest_edge": "read", "height": "read", "width": "read"},
  "crop_size": {"height": "read", "width": "read"}},

"header of the file": {
  "": {
    "format": ["tandem clip 1"], "source": "ignored", "source_kind": "ignored", "source_sha256": "ignored",
    "training": "ignored", "model": "ignored", "dtype": "ignored", "image_size": "ignored", "patch": "ignored", "image_width": "ignored",
    "image_layers": "ignored", "output": "ignored", "vocabulary": "ignored", "context": "ignored",
    "text_width": "ignored", "text_layers": "ignored", "activation": "read", "image_heads": "read",
    "text_heads": "read", "image_hidden": "ignored", "text_hidden": "ignored", "mean": "read", "std": "read",
    "image_layer_norm_eps": "read", "text_layer_norm_eps": "read", "causal": ["true", "false"],
    "short_side": "read", "resize": ["short side, then centre crop", "squash"],
    "interpolation": ["bicubic", "bilinear", "random"]}}
})json";

/// The rule of a key in a section or in what it includes; null where there is none.
inline const io::Json* find_rule(const io::Json& rules, const io::Json& section,
                                 const std::string& key) {
  if (const auto at = section.find(key); at != section.end()) return &*at;
  const auto more = section.find("+");
  if (more == section.end()) return nullptr;
  return find_rule(rules, rules["common"][more->get<std::string>()], key);
}
inline bool same_value(const io::Json& a, const io::Json& b) {
  return a.is_boolean() == b.is_boolean() && a == b;
}

/// config_rules, parsed once.
inline const io::Json& parsed_config_rules() {
  static const io::Json rules = io::Json::parse(config_rules);
  return rules;
}

/// Refuses every key of a configuration that config_rules does not list, or whose value it does
/// not.
inline void check_config(const io::JsonDocument& document, const char* file) {
  const io::Json& rules = parsed_config_rules();
  for (const auto& [where, section] : rules[file].items()) {
    const io::Json* at = &document.json();
    for (std::string_view path = where; !path.empty() && at != nullptr;) {
      const std::string step(path.substr(0, path.find('.')));
      path.remove_prefix(std::min(step.size() + 1, path.size()));
      const auto inner = at->is_object() ? at->find(step) : at->end();
      at = inner == at->end() || !at->is_object() ? nullptr : &*inner;
    }
    // Sizes may be numbers in place of sections; what must be a section is read as one later.
    if (at == nullptr || (!at->is_object() && !where.empty())) continue;
    const io::JsonRef from(document, *at);
    for (const auto& [key, value] : from.members()) {
      const io::Json* rule = find_rule(rules, section, key);
      const auto shown = [&] { return io::json_text(value).substr(0, 80); };
      if (rule == nullptr || key == "+") {
        from.of(value).error("is ", shown(),
                             ", but this key is not known here, and may change the features");
      }
      if (!rule->is_array() || value.is_null()) continue;
      bool known = false;
      std::string all;
      for (const io::Json& one : *rule) {
        known = known || same_value(one, value);
        all += (all.empty() ? "" : ", ") + io::json_text(one);
      }
      if (!known) {
        from.of(value).error("is ", shown(), ", which is not implemented; ",
                             all.empty() ? "the key must be absent" : concat("expected ", all));
      }
    }
  }
}

}  // namespace detail
}  // namespace clip
TANDEM_NAMESPACE_END
