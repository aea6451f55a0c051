// The families of public files. A family says where its parts stand in the file and in our model; what a part is made of stands
// in the rules below (decoder) and in key_map_encoders.cpp. Names and shapes are those of the public files, see
// docs/checkpoints.md.
#include "key_map_tables.h"

namespace microemo::checkpoint {

using enum KeyOp;

std::vector<KeyRule> llama_rules() {
  return {
      {"model.embed_tokens.weight", "tokens.weight", copy, "", false, DeltaRule::may_grow},
      {"model.layers.{i}.{input_layernorm,post_attention_layernorm}.weight", "block{i}.{attention_norm,mlp_norm}.weight"},
      {"model.layers.{i}.self_attn.{q_proj,k_proj,v_proj,o_proj}.weight", "block{i}.{query,key,value,output}.weight"},
      {"model.layers.{i}.self_attn.{q_proj,k_proj,v_proj}.bias", "block{i}.{query,key,value}.bias", copy, "attention bias"},
      {"model.layers.{i}.self_attn.o_proj.bias", "block{i}.output.bias", copy, "output bias"},
      {"model.layers.{i}.mlp.{gate_proj,up_proj,down_proj}.weight", "block{i}.{gate,up,down}.weight"},
      {"model.norm.weight", "norm.weight"},
      {"lm_head.weight", "output.weight", copy, "output", false, DeltaRule::may_grow},
      {"model.layers.{i}.self_attn.rotary_emb.inv_freq", "", ignore},
      {"model.rotary_emb.inv_freq", "", ignore},
  };
}

std::vector<KeyRule> llama_lora_rules(bool in_adapter_file) {
  std::vector<KeyRule> rules = llama_rules();
  for (KeyRule& rule : rules)
    if (rule.group.empty()) rule.group = "base";
  // From PEFT 0.6 on the weights under an adapter are named so; both forms are read.
  const std::vector<KeyRule> wrapped{
      {"model.layers.{i}.self_attn.{q_proj,k_proj,v_proj,o_proj}.base_layer.weight", "block{i}.{query,key,value,output}.weight",
       copy, "base", true},
      {"model.layers.{i}.self_attn.{q_proj,k_proj,v_proj}.base_layer.bias", "block{i}.{query,key,value}.bias", copy,
       "attention bias", true},
      {"model.layers.{i}.mlp.{gate_proj,up_proj,down_proj}.base_layer.weight", "block{i}.{gate,up,down}.weight", copy, "base",
       true},
  };
  const std::vector<KeyRule> in_model{
      {"model.layers.{i}.self_attn.q_proj.lora_{A,B}.default.weight", "block{i}.query.lora_{A,B}", copy, "query adapter"},
      {"model.layers.{i}.self_attn.k_proj.lora_{A,B}.default.weight", "block{i}.key.lora_{A,B}", copy, "key adapter"},
      {"model.layers.{i}.self_attn.v_proj.lora_{A,B}.default.weight", "block{i}.value.lora_{A,B}", copy, "value adapter"},
      {"model.layers.{i}.self_attn.o_proj.lora_{A,B}.default.weight", "block{i}.output.lora_{A,B}", copy, "output adapter"},
      {"model.layers.{i}.mlp.gate_proj.lora_{A,B}.default.weight", "block{i}.gate.lora_{A,B}", copy, "gate adapter"},
      {"model.layers.{i}.mlp.up_proj.lora_{A,B}.default.weight", "block{i}.up.lora_{A,B}", copy, "up adapter"},
      {"model.layers.{i}.mlp.down_proj.lora_{A,B}.default.weight", "block{i}.down.lora_{A,B}", copy, "down adapter"},
  };
  const std::vector<KeyRule> in_file{
      {"model.layers.{i}.self_attn.q_proj.lora_{A,B}.weight", "block{i}.query.lora_{A,B}", copy, "query adapter"},
      {"model.layers.{i}.self_attn.k_proj.lora_{A,B}.weight", "block{i}.key.lora_{A,B}", copy, "key adapter"},
      {"model.layers.{i}.self_attn.v_proj.lora_{A,B}.weight", "block{i}.value.lora_{A,B}", copy, "value adapter"},
      {"model.layers.{i}.self_attn.o_proj.lora_{A,B}.weight", "block{i}.output.lora_{A,B}", copy, "output adapter"},
      {"model.layers.{i}.mlp.gate_proj.lora_{A,B}.weight", "block{i}.gate.lora_{A,B}", copy, "gate adapter"},
      {"model.layers.{i}.mlp.up_proj.lora_{A,B}.weight", "block{i}.up.lora_{A,B}", copy, "up adapter"},
      {"model.layers.{i}.mlp.down_proj.lora_{A,B}.weight", "block{i}.down.lora_{A,B}", copy, "down adapter"},
  };
  rules.insert(rules.end(), wrapped.begin(), wrapped.end());
  const std::vector<KeyRule>& adapters = in_adapter_file ? in_file : in_model;
  rules.insert(rules.end(), adapters.begin(), adapters.end());
  return rules;
}

namespace {

std::vector<KeyRule> query_rules(std::string_view theirs, std::string_view ours) { return {{theirs, ours, first}}; }

/// What TimeChat, Video-LLaMA and AffectGPT 2024 have in common: the image and the video Q-Former and the way into the decoder.
std::vector<KeyPart> video_parts() {
  return {
      {"visual_encoder.", "visual_encoder.", eva_rules()},
      {"ln_vision.", "visual_encoder.norm.", linear_rules()},
      {"", "image_qformer.", query_rules("query_tokens", "queries")},
      {"Qformer.bert.", "image_qformer.", bert_qformer_rules()},
      {"", "video_qformer.", query_rules("video_query_tokens", "queries_whole")},
      {"", "video_qformer.", {{"video_frame_position_embedding.weight", "position"}}},
      {"video_Qformer.bert.", "video_qformer.", bert_qformer_rules()},
      {"llama_proj.", "video_projection.", linear_rules()},
  };
}

/// The audio branch of Video-LLaMA and AffectGPT 2024. Their checkpoints keep the buffers of the frozen ImageBind, of which the
/// weights come from its own file.
std::vector<KeyPart> audio_parts() {
  return {
      {"audio_encoder.", "", {{"modality_{*}", "", ignore}}},
      {"", "audio_qformer.", query_rules("audio_query_tokens", "queries_whole")},
      {"", "audio_qformer.", {{"audio_position_embedding.weight", "position"}}},
      {"audio_Qformer.bert.", "audio_qformer.", bert_qformer_rules()},
      {"audio_llama_proj.", "audio_projection.", linear_rules()},
  };
}

std::vector<KeyPart> operator+(std::vector<KeyPart> left, const std::vector<KeyPart>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::vector<KeyPart> affectgpt_2025_parts() {
  return {
      {"", "", {{"visual_encoder.{*}position_ids", "", ignore}}},
      {"image_llama_proj.", "image_projection.", linear_rules()},
      {"video_attention_mlp.", "video_pool.score.", linear_rules()},
      {"", "video_qformer.", query_rules("video_query_tokens", "queries_whole")},
      {"", "video_qformer.", {{"video_frame_position_embedding.weight", "position"}}},
      {"video_Qformer.bert.", "video_qformer.", bert_qformer_rules()},
      {"affectgpt_proj.", "video_projection.", linear_rules()},
      {"audio_attention_mlp.", "audio_pool.score.", linear_rules()},
      {"", "audio_qformer.", query_rules("audio_query_tokens", "queries_whole")},
      {"", "audio_qformer.", {{"audio_position_embedding.weight", "position"}}},
      {"audio_Qformer.bert.", "audio_qformer.", bert_qformer_rules()},
      {"audio_llama_proj.", "audio_projection.", linear_rules()},
      {"multi_video_embs.", "fusion.video.", linear_rules()},
      {"multi_audio_embs.", "fusion.audio.", linear_rules()},
      {"attention_mlp.", "fusion.mix.", linear_rules()},
      {"fc_att.", "fusion.weights.", linear_rules()},
      {"multi_llama_proj.", "fusion_projection.", linear_rules()},
      {"llama_model.base_model.model.", "decoder.", llama_lora_rules(false)},
  };
}

/// MiniGPT-v2, and what Emotion-LLaMA adds: the class token, three features, and a classifier that its code no longer uses.
std::vector<KeyPart> emotion_llama_parts() {
  return {
      {"visual_encoder.", "visual_encoder.", eva_rules()},
      {"ln_vision.", "visual_encoder.norm.", linear_rules()},
      {"llama_proj.", "video_projection.", linear_rules()},
      {"cls_tk_llama_proj.", "class_projection.", linear_rules()},
      {"", "", {{"feats_llama_proj{1,2,3}.{weight,bias}", "feature_projection{0,1,2}.{weight,bias}"}}},
      {"attention.", "", {{"{*}", "", ignore}}},
      {"llama_model.base_model.model.", "decoder.", llama_lora_rules(false)},
  };
}

std::vector<KeyPart> lavis_parts(const std::string& projection) {
  return {
      {"visual_encoder.", "visual_encoder.", eva_rules()},
      {"ln_vision.", "visual_encoder.norm.", linear_rules()},
      {"", "image_qformer.", query_rules("query_tokens", "queries")},
      {"Qformer.bert.", "image_qformer.", bert_qformer_rules()},
      {projection, "image_projection.", linear_rules()},
  };
}

std::vector<KeyPart> blip_parts(bool with_text) {
  return {
      {"vision_model.", "visual_encoder.", blip_vision_rules()},
      {"", "image_qformer.", query_rules("query_tokens", "queries")},
      {"qformer.", "image_qformer.", blip_qformer_rules(with_text)},
      {"language_projection.", "image_projection.", linear_rules()},
  };
}

std::vector<KeyPart> blip2_parts() {
  return blip_parts(false) + std::vector<KeyPart>{{"language_model.", "", {{"{*}", "", ignore}}}};
}

std::vector<KeyPart> timechat_parts() {
  return video_parts() + std::vector<KeyPart>{{"llama_model.base_model.model.", "decoder.", llama_lora_rules(false)}};
}

std::vector<KeyPart> video_llama_parts() {
  return video_parts() + audio_parts() + std::vector<KeyPart>{{"llama_model.", "decoder.", llama_rules()}};
}

std::vector<KeyPart> instructblip_parts() {
  return blip_parts(true) + std::vector<KeyPart>{{"language_model.", "decoder.", llama_rules()}};
}

std::vector<KeyFamily> make_families() {
  return {
      {"llama", "LLaMA 1 to 3.1, Vicuna, Mistral, Qwen2 and Qwen2.5 folders", {{"", "decoder.", llama_rules()}}},
      {"peft", "LoRA adapters of these, as PEFT saves them", {{"base_model.model.", "decoder.", llama_lora_rules(true)}}},
      {"clip", "CLIP ViT-L/14 folders (the vision side)", {{"", "visual_encoder.", clip_rules()}}},
      {"eva", "eva_vit_g.pth", {{"", "visual_encoder.", eva_rules()}}},
      {"blip2-lavis", "blip2_pretrained_flant5xxl.pth", lavis_parts("t5_proj.")},
      {"instructblip-lavis", "instruct_blip_vicuna7b_trimmed.pth", lavis_parts("llm_proj.")},
      {"blip2", "BLIP-2 folders (without the language model)", blip2_parts()},
      {"instructblip", "InstructBLIP folders with a LLaMA-like language model", instructblip_parts()},
      {"imagebind-audio", "imagebind_huge.pth (the audio side)", {{"", "audio_encoder.", imagebind_audio_rules()}}},
      {"hubert", "chinese-hubert-large and other HuBERT folders", {{"", "audio_encoder.", hubert_rules()}}},
      {"whisper",
       "Whisper folders (the encoder)",
       {{"model.", "audio_encoder.", whisper_rules()},
        {"", "audio_encoder.", whisper_rules()},
        {"", "", {{"proj_out.weight", "", ignore}}}}},
      {"bert",
       "BERT folders (without the heads of its training)",
       {{"bert.", "text_encoder.", bert_rules()}, {"", "text_encoder.", bert_rules()}, {"", "", {{"cls.{*}", "", ignore}}}}},
      {"video-llama", "VL_LLaMA_2_7B_Finetuned.pth, AL_LLaMA_2_7B_Finetuned.pth and AffectGPT 2024 checkpoints",
       video_llama_parts()},
      {"timechat", "timechat_7b.pth and timechat_7b_paper.pth", timechat_parts()},
      {"affectgpt-2025", "AffectGPT 2025 checkpoints", affectgpt_2025_parts()},
      {"emotion-llama", "minigptv2_checkpoint.pth and Emotion-LLaMA checkpoints", emotion_llama_parts()},
  };
}

}  // namespace

const std::vector<KeyFamily>& key_families() {
  static const std::vector<KeyFamily> families = make_families();
  return families;
}

}  // namespace microemo::checkpoint
