// Rules of encoders and Q-Formers: public name, our name. Names and shapes are those of the public files, see
// docs/checkpoints.md.
#include "key_map_tables.h"

namespace microemo::checkpoint {

using enum KeyOp;

std::vector<KeyRule> eva_rules() {
  return {
      {"cls_token", "embedding_class", first_first},
      {"pos_embed", "position", first},
      {"patch_embed.proj.weight", "patch_embedding.weight", patches_rgb},
      {"patch_embed.proj.bias", "patch_embedding.bias"},
      // The public file has 40 blocks, of which BLIP-2 and its descendants use 39, and the head of CLIP.
      {"blocks.39.{*}", "", ignore},
      {"norm.{*}", "", ignore},
      {"head.{*}", "", ignore},
      {"blocks.{i}.norm{1,2}.{weight,bias}", "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"blocks.{i}.attn.qkv.weight", "block{i}.attention.[query,key,value].weight", rows},
      {"blocks.{i}.attn.{q_bias,v_bias}", "block{i}.attention.{query,value}.bias"},
      {"blocks.{i}.attn.proj.{weight,bias}", "block{i}.attention.output.{weight,bias}"},
      {"blocks.{i}.mlp.{fc1,fc2}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
  };
}

std::vector<KeyRule> blip_vision_rules() {
  return {
      {"embeddings.class_embedding", "embedding_class", first_first},
      {"embeddings.position_embedding", "position", first},
      {"embeddings.patch_embedding.weight", "patch_embedding.weight", patches_rgb},
      {"embeddings.patch_embedding.bias", "patch_embedding.bias"},
      {"encoder.layers.{i}.layer_norm{1,2}.{weight,bias}", "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"encoder.layers.{i}.self_attn.qkv.weight", "block{i}.attention.[query,key,value].weight", rows},
      {"encoder.layers.{i}.self_attn.qkv.bias", "block{i}.attention.[query,0,value].bias", rows},
      {"encoder.layers.{i}.self_attn.projection.{weight,bias}", "block{i}.attention.output.{weight,bias}"},
      {"encoder.layers.{i}.mlp.{fc1,fc2}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
      {"post_layernorm.{weight,bias}", "norm.{weight,bias}"},
  };
}

std::vector<KeyRule> clip_rules() {
  return {
      {"vision_model.embeddings.class_embedding", "embedding_class"},
      {"vision_model.embeddings.position_embedding.weight", "position"},
      {"vision_model.embeddings.position_ids", "", ignore},
      {"vision_model.embeddings.patch_embedding.weight", "patch_embedding.weight", patches_rgb},
      {"vision_model.pre_layrnorm.{weight,bias}", "input_norm.{weight,bias}"},
      {"vision_model.encoder.layers.{i}.layer_norm{1,2}.{weight,bias}", "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"vision_model.encoder.layers.{i}.self_attn.{q_proj,k_proj,v_proj,out_proj}.{weight,bias}",
       "block{i}.attention.{query,key,value,output}.{weight,bias}"},
      {"vision_model.encoder.layers.{i}.mlp.{fc1,fc2}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
      {"vision_model.post_layernorm.{weight,bias}", "norm.{weight,bias}"},
      {"visual_projection.weight", "projection.weight", copy, "projection"},
      {"text_model.{*}", "", ignore},
      {"{text_projection.weight,logit_scale}", "", ignore},
  };
}

std::vector<KeyRule> bert_qformer_rules() {
  return {
      {"embeddings.word_embeddings.weight", "tokens.weight", copy, "text"},
      {"embeddings.position_embeddings.weight", "position_text", copy, "text"},
      {"embeddings.position_ids", "", ignore},
      {"embeddings.LayerNorm.{weight,bias}", "input_norm.{weight,bias}"},
      {"encoder.layer.{i}.attention.self.{query,key,value}.{weight,bias}",
       "layer{i}.self_attention.{query,key,value}.{weight,bias}"},
      {"encoder.layer.{i}.attention.output.{dense,LayerNorm}.{weight,bias}",
       "layer{i}.{self_attention.output,self_norm}.{weight,bias}"},
      {"encoder.layer.{i}.crossattention.self.{query,key,value}.{weight,bias}",
       "layer{i}.memory_attention.{query,key,value}.{weight,bias}", copy, "memory"},
      {"encoder.layer.{i}.crossattention.output.{dense,LayerNorm}.{weight,bias}",
       "layer{i}.{memory_attention.output,memory_norm}.{weight,bias}", copy, "memory"},
      {"encoder.layer.{i}.{intermediate_query.dense,output_query.dense,output_query.LayerNorm}.{weight,bias}",
       "layer{i}.{mlp.up,mlp.down,mlp_norm}.{weight,bias}"},
      {"encoder.layer.{i}.{intermediate.dense,output.dense,output.LayerNorm}.{weight,bias}",
       "layer{i}.{text_mlp.up,text_mlp.down,text_mlp_norm}.{weight,bias}", copy, "text"},
  };
}

std::vector<KeyRule> blip_qformer_rules(bool with_text) {
  std::vector<KeyRule> rules{
      {"embeddings.position_ids", "", ignore},
      {"encoder.layer.{i}.attention.attention.{query,key,value}.{weight,bias}",
       "layer{i}.self_attention.{query,key,value}.{weight,bias}"},
      {"encoder.layer.{i}.attention.output.{dense,LayerNorm}.{weight,bias}",
       "layer{i}.{self_attention.output,self_norm}.{weight,bias}"},
      {"encoder.layer.{i}.crossattention.attention.{query,key,value}.{weight,bias}",
       "layer{i}.memory_attention.{query,key,value}.{weight,bias}", copy, "memory"},
      {"encoder.layer.{i}.crossattention.output.{dense,LayerNorm}.{weight,bias}",
       "layer{i}.{memory_attention.output,memory_norm}.{weight,bias}", copy, "memory"},
      {"encoder.layer.{i}.{intermediate_query.dense,output_query.dense,output_query.LayerNorm}.{weight,bias}",
       "layer{i}.{mlp.up,mlp.down,mlp_norm}.{weight,bias}"},
  };
  const std::vector<KeyRule> text{
      {"embeddings.{word_embeddings,position_embeddings}.weight", "{tokens.weight,position_text}"},
      {"embeddings.layernorm.{weight,bias}", "input_norm.{weight,bias}"},
      {"encoder.layer.{i}.{intermediate.dense,output.dense,output.LayerNorm}.{weight,bias}",
       "layer{i}.{text_mlp.up,text_mlp.down,text_mlp_norm}.{weight,bias}"},
  };
  const std::vector<KeyRule> queries{{"layernorm.{weight,bias}", "input_norm.{weight,bias}"}};
  const std::vector<KeyRule>& more = with_text ? text : queries;
  rules.insert(rules.end(), more.begin(), more.end());
  return rules;
}

std::vector<KeyRule> imagebind_audio_rules() {
  return {
      {"modality_preprocessors.audio.cls_token", "embedding_class", first_first},
      {"modality_preprocessors.audio.rgbt_stem.proj.weight", "patch_embedding.weight", patches_mono},
      {"modality_preprocessors.audio.rgbt_stem.norm_layer.{weight,bias}", "patch_norm.{weight,bias}"},
      {"modality_preprocessors.audio.pos_embedding_helper.pos_embed", "position", first},
      {"modality_trunks.audio.blocks.{i}.{norm_1,norm_2}.{weight,bias}", "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"modality_trunks.audio.blocks.{i}.attn.in_proj_{weight,bias}", "block{i}.attention.[query,key,value].{weight,bias}", rows},
      {"modality_trunks.audio.blocks.{i}.attn.{bias_k,bias_v}", "block{i}.attention.{extra_key,extra_value}", first_first},
      {"modality_trunks.audio.blocks.{i}.attn.out_proj.{weight,bias}", "block{i}.attention.output.{weight,bias}"},
      {"modality_trunks.audio.blocks.{i}.mlp.{fc1,fc2}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
      {"modality_heads.audio.0.{weight,bias}", "norm.{weight,bias}"},
      {"modality_heads.audio.2.weight", "projection.weight"},
      {"modality_postprocessors.audio.1.log_logit_scale", "log_scale"},
      // The other senses of the same file.
      {"modality_{preprocessors,trunks,heads,postprocessors}.{*}", "", ignore},
  };
}

std::vector<KeyRule> hubert_rules() {
  return {
      {"masked_spec_embed", "embedding_masked", copy, "masked"},
      {"feature_extractor.conv_layers.{i}.conv.weight", "conv{i}.weight"},
      {"feature_extractor.conv_layers.{i}.conv.bias", "conv{i}.bias", copy, "bias"},
      {"feature_extractor.conv_layers.{i}.layer_norm.{weight,bias}", "conv{i}.norm.{weight,bias}", copy, "norm"},
      {"feature_projection.layer_norm.{weight,bias}", "feature_norm.{weight,bias}", copy, "feature_norm"},
      {"feature_projection.projection.{weight,bias}", "feature_projection.{weight,bias}"},
      {"encoder.pos_conv_embed.conv.bias", "position_conv.bias"},
      {"encoder.pos_conv_embed.conv.{weight_g,weight_v}", "position_conv.{scale,direction}"},
      {"encoder.pos_conv_embed.conv.parametrizations.weight.{original0,original1}", "position_conv.{scale,direction}", copy, "",
       /*alias=*/true},
      {"encoder.layers.{i}.attention.{q_proj,k_proj,v_proj,out_proj}.{weight,bias}",
       "block{i}.attention.{query,key,value,output}.{weight,bias}"},
      {"encoder.layers.{i}.{layer_norm,final_layer_norm}.{weight,bias}", "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"encoder.layers.{i}.feed_forward.{intermediate_dense,output_dense}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
      {"encoder.layer_norm.{weight,bias}", "norm.{weight,bias}"},
  };
}

std::vector<KeyRule> whisper_rules() {
  return {
      {"encoder.{conv1,conv2}.{weight,bias}", "{conv0,conv1}.{weight,bias}"},
      {"encoder.embed_positions.weight", "position"},
      {"encoder.layers.{i}.self_attn.{q_proj,k_proj,v_proj,out_proj}.weight",
       "block{i}.attention.{query,key,value,output}.weight"},
      {"encoder.layers.{i}.self_attn.{q_proj,v_proj,out_proj}.bias", "block{i}.attention.{query,value,output}.bias"},
      {"encoder.layers.{i}.{self_attn_layer_norm,final_layer_norm}.{weight,bias}",
       "block{i}.{attention_norm,mlp_norm}.{weight,bias}"},
      {"encoder.layers.{i}.{fc1,fc2}.{weight,bias}", "block{i}.mlp.{up,down}.{weight,bias}"},
      {"encoder.layer_norm.{weight,bias}", "norm.{weight,bias}"},
      {"decoder.{*}", "", ignore},
  };
}

std::vector<KeyRule> bert_rules() {
  return {
      {"embeddings.{word_embeddings,position_embeddings,token_type_embeddings}.weight", "{tokens.weight,position,token_type}"},
      {"embeddings.position_ids", "", ignore},
      {"embeddings.LayerNorm.{weight,bias}", "input_norm.{weight,bias}"},
      {"encoder.layer.{i}.attention.self.{query,key,value}.{weight,bias}", "block{i}.attention.{query,key,value}.{weight,bias}"},
      {"encoder.layer.{i}.attention.output.{dense,LayerNorm}.{weight,bias}",
       "block{i}.{attention.output,attention_norm}.{weight,bias}"},
      {"encoder.layer.{i}.{intermediate.dense,output.dense,output.LayerNorm}.{weight,bias}",
       "block{i}.{mlp.up,mlp.down,mlp_norm}.{weight,bias}"},
      // The first files, bert-base-uncased among them, name the norms as TensorFlow does.
      {"embeddings.LayerNorm.{gamma,beta}", "input_norm.{weight,bias}", copy, "", /*alias=*/true},
      {"encoder.layer.{i}.{attention.output,output}.LayerNorm.gamma", "block{i}.{attention_norm,mlp_norm}.weight", copy, "",
       /*alias=*/true},
      {"encoder.layer.{i}.{attention.output,output}.LayerNorm.beta", "block{i}.{attention_norm,mlp_norm}.bias", copy, "",
       /*alias=*/true},
      {"pooler.dense.{weight,bias}", "", ignore},
  };
}

std::vector<KeyRule> linear_rules() { return {{"{weight,bias}", "{weight,bias}"}}; }

}  // namespace microemo::checkpoint
