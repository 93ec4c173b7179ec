#!/usr/bin/env python3
"""Makes tiny random models and records what transformers and PEFT compute with them, float32 on a CPU.

A row of CASES is one model, one LoRA adapter and one short training run; a row of VIRTUAL or LORAS is another adapter for the model and the data of the case that
its name begins with, up to the dot; a row of PISSA is a LoRA that begins as the principal part
of that model. What compare.py holds graft against lies in records/<case>/ afterwards:

    model/                  Hugging Face folder
    adapter/                the adapter before training, as PEFT saves it (B is not zero, so every gradient says something)
    score.jsonl             sequences {"ids"}
    train.jsonl             the batch {"ids", "labels"}; labels stand at their own token (transformers' convention), -100: not trained
    expected.safetensors    logits.N, adapter_logits.N [length, vocabulary]; grad.KEY and final.KEY for every tensor of adapter/
                            (trained through an encoder: of adapter_trainable.safetensors, and final.prompt_embeddings)
                            (of PISSA: final.MODULE.update, what training adds to the module's weights, and final.logits.N, since the signs of singular
                            vectors are anybody's choice)
    expected.json           settings of the run (of PISSA also its section `adapter`, there being no adapter/), losses and gradient norms before clipping, sums of log-probabilities

Every sequence is computed alone: no padding, no masks, and dynamic rotary scaling sees that sequence's length only.
Everything is computed a second time in float64; a record whose float32 noise exceeds a quarter of what compare.py
allows is refused, so that a difference found later is a real one.

    make.py [--out FOLDER] [--only CASE]        (run_scripts/setup_reference.sh makes the environment)
"""
import argparse
import json
import os
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

sys.dont_write_bytecode = True  # no cache folder beside the records
from compare import TOLERANCE, number_error, read_lines, tensor_error  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))

# Every model unless its row says otherwise. Odd sizes: nothing is a multiple of a vector register by accident.
BASE = dict(model_type="llama", vocab_size=67, hidden_size=24, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1)
ROPE = dict(rope_theta=10000.0)
# Models of other families: no default is Llama's, so a row says all.
NEOX = dict(family="gpt_neox", vocab_size=67, hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3, hidden_act="gelu",
            max_position_embeddings=64, bos_token_id=0, eos_token_id=0)
TOKENS = dict(vocab_size=67, bos_token_id=0, eos_token_id=0)
NO_DROPOUT = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
GPT = dict(TOKENS, n_embd=36, n_inner=50, n_layer=2, n_head=3, n_positions=64, **NO_DROPOUT)
BLOOM = dict(TOKENS, family="bloom", hidden_size=36, n_layer=2, n_head=3)
FALCON = dict(TOKENS, family="falcon", hidden_size=48, ffn_hidden_size=50, num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=64)
MPT = dict(TOKENS, family="mpt", d_model=36, n_heads=3, n_layers=2, max_seq_len=64)
OPT = dict(TOKENS, family="opt", hidden_size=36, ffn_dim=50, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, dropout=0.0, pad_token_id=None)
GEMMA = dict(TOKENS, family="gemma", hidden_size=24, intermediate_size=37, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=10,
             max_position_embeddings=64, pad_token_id=None)
PHI3 = dict(TOKENS, family="phi3", hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, pad_token_id=None)
QWEN3 = dict(TOKENS, family="qwen3", hidden_size=24, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
             max_position_embeddings=64)
STABLELM = dict(TOKENS, family="stablelm", hidden_size=48, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                max_position_embeddings=64)
SCORE_LENGTHS, TRAIN_LENGTHS = (1, 2, 9, 23, 40), (3, 11, 26, 7)
STEPS = 5

# model: differences from BASE.  lora: LoraConfig.  training: differences from learning rate 2e-3 without decay.
# old: config.json in the spelling before transformers 5.  dtype: how the weights are stored.  shard: at most so many bytes a file.
CASES = {
    "llama_mha": dict(
        model={}, lora=dict(r=4, lora_alpha=8, target_modules="all-linear"), training=dict(weight_decay=0.01)),
    "llama_gqa_tied": dict(
        model=dict(num_key_value_heads=2, tie_word_embeddings=True, vocab_size=131),
        lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"])),
    "llama_biases": dict(
        model=dict(attention_bias=True, mlp_bias=True, num_key_value_heads=2),
        lora=dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], bias="all"), training=dict(weight_decay=0.01)),
    "llama_biases_lora_only": dict(
        model=dict(attention_bias=True, mlp_bias=True, vocab_size=61),
        lora=dict(r=2, lora_alpha=4, target_modules=["k_proj", "o_proj", "gate_proj"], bias="lora_only"), training=dict(learning_rate=5e-3)),
    "llama_head_dim": dict(
        model=dict(num_attention_heads=3, num_key_value_heads=1, head_dim=10),
        lora=dict(r=5, lora_alpha=7, target_modules=r".*\.layers\.[01]\.self_attn\.(q|o)_proj")),
    "llama_theta": dict(
        model=dict(rope_parameters=dict(rope_type="default", rope_theta=500000.0), rms_norm_eps=1e-2, hidden_size=32),
        lora=dict(r=8, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], use_rslora=True), training=dict(max_grad_norm=50.0)),
    "llama_linear": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="linear", factor=2.5), hidden_act="gelu"),
        lora=dict(r=4, lora_alpha=16, target_modules="all-linear", exclude_modules=["o_proj", "model.layers.1.mlp.up_proj"])),
    "llama_linear_old": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="linear", factor=4.0), num_key_value_heads=1), old=True,
        lora=dict(r=3, lora_alpha=3, target_modules=["up_proj", "gate_proj"]), training=dict(learning_rate=1e-3)),
    "llama_dynamic": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="dynamic", factor=2.0), max_position_embeddings=16),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj"])),
    "llama_llama3": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=32), num_key_value_heads=2, hidden_size=32),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj"],
                  rank_pattern={"v_proj": 2, "layers.1.mlp.up_proj": 6}, alpha_pattern={"model.layers.0.self_attn.q_proj": 3, "up_proj": 5})),
    "llama_yarn": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="yarn", factor=4.0, original_max_position_embeddings=16), num_attention_heads=2,
                   num_key_value_heads=2),
        lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=["lm_head"]), training=dict(weight_decay=0.01)),
    "llama_yarn_factor_old": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="yarn", factor=4.0, attention_factor=1.3, beta_fast=4.0, beta_slow=0.1,
                                        original_max_position_embeddings=16)), old=True,
        lora=dict(r=2, lora_alpha=2, target_modules=["q_proj", "v_proj"], modules_to_save=["embed_tokens"])),
    "llama_yarn_mscale": dict(
        model=dict(rope_parameters=dict(ROPE, rope_type="yarn", factor=4.0, mscale=1.2, mscale_all_dim=0.7, beta_fast=3.0, beta_slow=0.2,
                                        truncate=False, original_max_position_embeddings=16), num_hidden_layers=3),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], layers_to_transform=[0, 2], layers_pattern="layers")),
    "mistral_window": dict(
        model=dict(model_type="mistral", num_key_value_heads=2, sliding_window=7, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        lora=dict(r=4, lora_alpha=8, target_modules="all-linear"), training=dict(learning_rate=5e-3)),
    "qwen2_tied": dict(
        model=dict(model_type="qwen2", num_key_value_heads=2, tie_word_embeddings=True, use_sliding_window=False,
                   rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], bias="lora_only")),
    "qwen2_window_in_part": dict(
        model=dict(model_type="qwen2", num_key_value_heads=2, num_hidden_layers=3, use_sliding_window=True, sliding_window=7,
                   layer_types=["full_attention", "sliding_attention", "full_attention"]),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "llama_bfloat16": dict(
        model=dict(num_key_value_heads=2), dtype="bfloat16", lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], layers_to_transform=1)),
    "llama_float16_old": dict(
        model=dict(tie_word_embeddings=True), dtype="float16", old=True, lora=dict(r=4, lora_alpha=8, target_modules=["o_proj", "down_proj"])),
    "llama_sharded": dict(
        model=dict(num_key_value_heads=2), shard=20000, lora=dict(r=1, lora_alpha=1, target_modules=["gate_proj", "k_proj"])),
    "llama_dora": dict(
        model={}, lora=dict(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True), training=dict(weight_decay=0.01)),
    "llama_dora_gqa": dict(
        model=dict(attention_bias=True, mlp_bias=True, num_key_value_heads=2),
        lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], use_dora=True, bias="lora_only", use_rslora=True)),
    "llama_lora_bias": dict(
        model=dict(attention_bias=True, mlp_bias=True), lora=dict(r=4, lora_alpha=8, target_modules="all-linear", lora_bias=True), training=dict(weight_decay=0.01)),
    "llama_lora_bias_gqa": dict(
        model=dict(num_key_value_heads=2, tie_word_embeddings=True), lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "llama_loraplus": dict(
        model=dict(attention_bias=True, mlp_bias=True),
        lora=dict(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True, bias="all", modules_to_save=["norm"]),
        training=dict(weight_decay=0.5, loraplus_lr_ratio=4.0)),
    "llama_loraplus_gqa": dict(
        model=dict(num_key_value_heads=2), lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], lora_bias=True),
        training=dict(weight_decay=0.5, loraplus_lr_ratio=16.0, learning_rate=5e-4)),
    "llama_embedding": dict(
        model={}, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "embed_tokens"], rank_pattern={"embed_tokens": 3})),
    "llama_embedding_gqa_tied": dict(
        model=dict(num_key_value_heads=2, tie_word_embeddings=True),
        lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "embed_tokens"]), training=dict(weight_decay=0.5, loraplus_lr_ratio=4.0)),
    "llama_tokens": dict(
        model={}, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"],
                            trainable_token_indices={"embed_tokens": [9, 2, 30, 41, 66], "lm_head": [5, 7, 12]}), training=dict(weight_decay=0.01)),
    "llama_tokens_gqa_tied": dict(
        model=dict(num_key_value_heads=2, tie_word_embeddings=True, vocab_size=61),
        lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], trainable_token_indices=[40, 3, 4, 17])),
    "gpt_neox_parallel": dict(
        model=dict(NEOX, rope_parameters=dict(ROPE, rope_type="default", partial_rotary_factor=0.5)),
        lora=dict(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"], modules_to_save=["final_layer_norm"]),
        training=dict(weight_decay=0.01)),
    "gpt_neox_head": dict(
        model=dict(NEOX, rope_parameters=dict(ROPE, rope_type="default", partial_rotary_factor=0.5)),
        lora=dict(r=3, lora_alpha=5, target_modules=["query_key_value", "lm_head"], modules_to_save=["embed_in"])),
    "gpt_neox_sequential": dict(
        model=dict(NEOX, use_parallel_residual=False, tie_word_embeddings=True,
                   rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=1.0)), old=True,
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", bias="all"), training=dict(learning_rate=1e-3)),
    "gpt2_plain": dict(
        model=dict(GPT, family="gpt2"), prefix="transformer.",
        lora=dict(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True), training=dict(weight_decay=0.01)),
    "gpt2_all_linear": dict(
        model=dict(GPT, family="gpt2", n_head=4, scale_attn_weights=False, activation_function="relu"), dtype="float16",
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", fan_in_fan_out=True, modules_to_save=["ln_f"])),
    "gpt2_depth_scaled": dict(
        model=dict(GPT, family="gpt2", scale_attn_by_inverse_layer_idx=True, n_layer=3),
        lora=dict(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)),
    "bloom_normed_residual": dict(
        model=dict(BLOOM, apply_residual_connection_post_layernorm=True, n_layer=3),
        lora=dict(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"], modules_to_save=["input_layernorm"])),
    "bloom_heads_3": dict(
        model=BLOOM, prefix="transformer.",
        lora=dict(r=4, lora_alpha=8, target_modules=["query_key_value"]), training=dict(weight_decay=0.01)),
    "bloom_heads_4": dict(
        model=dict(BLOOM, n_head=4, tie_word_embeddings=False),
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", modules_to_save=["word_embeddings_layernorm"])),
    "falcon_multi_query": dict(
        model=FALCON, lora=dict(r=4, lora_alpha=8, target_modules=["query_key_value"]), training=dict(weight_decay=0.01)),
    "falcon_multi_query_old": dict(
        model=dict(FALCON, bias=True), old="RefinedWebModel", lora=dict(r=2, lora_alpha=8, target_modules=["query_key_value", "dense_4h_to_h"])),
    "falcon_new": dict(
        model=dict(FALCON, new_decoder_architecture=True, num_kv_heads=2), lora=dict(r=3, lora_alpha=5, target_modules="all-linear")),
    "falcon_new_one_norm": dict(
        model=dict(FALCON, new_decoder_architecture=True, num_kv_heads=3, num_ln_in_parallel_attn=1, tie_word_embeddings=False),
        lora=dict(r=3, lora_alpha=5, target_modules=["query_key_value", "dense"])),
    "falcon_rw": dict(
        model=dict(FALCON, alibi=True, bias=True, multi_query=False, parallel_attn=False), attention="sdpa",
        lora=dict(r=4, lora_alpha=8, target_modules=["query_key_value", "dense_h_to_4h"])),
    "gpt_bigcode_multi_query": dict(
        model=dict(GPT, family="gpt_bigcode"), lora=dict(r=4, lora_alpha=8, target_modules=["c_attn"]), training=dict(weight_decay=0.01)),
    "gpt_bigcode_multi_head": dict(
        model=dict(GPT, family="gpt_bigcode", multi_query=False), lora=dict(r=3, lora_alpha=5, target_modules="all-linear")),
    "mpt_heads_3": dict(
        model=MPT, lora=dict(r=4, lora_alpha=8, target_modules=["Wqkv"]), training=dict(weight_decay=0.01)),
    "mpt_heads_6_clip": dict(
        model=dict(MPT, n_heads=6, attn_config=dict(clip_qkv=0.5, softmax_scale=0.3)), lora=dict(r=3, lora_alpha=5, target_modules="all-linear")),
    "codegen_heads_4": dict(
        model=dict(GPT, family="codegen", n_embd=40, n_head=4, rotary_dim=6), lora=dict(r=4, lora_alpha=8, target_modules=["qkv_proj"]),
        training=dict(weight_decay=0.01)),
    "codegen_heads_8": dict(
        model=dict(GPT, family="codegen", n_embd=64, n_head=8, rotary_dim=8), lora=dict(r=3, lora_alpha=5, target_modules="all-linear")),
    "gptj_plain": dict(
        model=dict(GPT, family="gptj", rotary_dim=4), lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "fc_in"], bias="lora_only")),
    "llama_head": dict(
        model={}, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "lm_head"]), training=dict(weight_decay=0.01)),
    "llama_head_gqa_tied": dict(
        model=dict(num_key_value_heads=2, tie_word_embeddings=True, vocab_size=61),
        lora=dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["v_proj", "lm_head"], modules_to_save=["norm"])),
    "gptj_head_bias": dict(
        model=dict(GPT, family="gptj", rotary_dim=4),
        lora=dict(r=3, lora_alpha=5, target_modules=r".*\.(k_proj|fc_out)|lm_head", bias="lora_only"), training=dict(weight_decay=0.5, loraplus_lr_ratio=4.0)),
    "opt_plain": dict(
        model=OPT, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], bias="lora_only"), training=dict(weight_decay=0.01)),
    "opt_no_bias": dict(
        model=dict(OPT, enable_bias=False, num_attention_heads=4, activation_function="gelu", tie_word_embeddings=False), prefix="model.", dtype="float16",
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", modules_to_save=["final_layer_norm"])),
    "gemma_plain": dict(
        model=GEMMA, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "embed_tokens"]), training=dict(weight_decay=0.01)),
    "gemma_biases": dict(
        model=dict(GEMMA, attention_bias=True, hidden_act="gelu", num_key_value_heads=3, tie_word_embeddings=False), old=True,
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", modules_to_save=["norm"], trainable_token_indices=[5, 40, 9])),
    "gemma_padding": dict(
        model=dict(GEMMA, pad_token_id=26), lora=dict(r=4, lora_alpha=8, target_modules=["v_proj", "embed_tokens"])),
    "phi3_padding": dict(
        model=dict(PHI3, pad_token_id=51), lora=dict(r=4, lora_alpha=8, target_modules=["qkv_proj"], modules_to_save=["embed_tokens"])),
    "phi3_plain": dict(
        model=PHI3, lora=dict(r=4, lora_alpha=8, target_modules=["qkv_proj", "gate_up_proj"]), training=dict(weight_decay=0.01, learning_rate=1e-3)),
    "phi3_window_in_part": dict(
        model=dict(PHI3, num_attention_heads=4, num_key_value_heads=2, hidden_size=48, sliding_window=7, tie_word_embeddings=True,
                   rope_parameters=dict(ROPE, rope_type="default", partial_rotary_factor=0.5)),
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", use_dora=True)),
    "qwen3_plain": dict(
        model=QWEN3, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], modules_to_save=["q_norm", "k_norm"]), training=dict(weight_decay=0.01)),
    "qwen3_window": dict(
        model=dict(QWEN3, attention_bias=True, tie_word_embeddings=True, use_sliding_window=True, sliding_window=7, max_window_layers=0, num_attention_heads=3,
                   num_key_value_heads=3, head_dim=14, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", bias="lora_only")),
    "stablelm_plain": dict(
        model=STABLELM, lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), training=dict(weight_decay=0.01)),
    "stablelm_parallel": dict(
        model=dict(STABLELM, use_parallel_residual=True, use_qkv_bias=True, num_key_value_heads=1, layer_norm_eps=1e-3, tie_word_embeddings=True,
                   rope_parameters=dict(ROPE, rope_type="default", partial_rotary_factor=0.5)),
        lora=dict(r=3, lora_alpha=5, target_modules="all-linear", modules_to_save=["input_layernorm"])),
}

# Rows in front of every sequence. method, then its settings; training as above.
PREFIX, PROMPT, P_TUNING = PrefixTuningConfig, PromptTuningConfig, PromptEncoderConfig
VIRTUAL = {
    "llama_mha.prefix": dict(method=PREFIX, settings=dict(num_virtual_tokens=5), training=dict(learning_rate=1e-2)),
    "llama_mha.prefix_projection": dict(
        method=PREFIX, settings=dict(num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=13), training=dict(weight_decay=0.01)),
    "llama_gqa_tied.prefix_projection": dict(
        method=PREFIX, settings=dict(num_virtual_tokens=3, prefix_projection=True, init_weights="zero"), training=dict(max_grad_norm=50.0)),
    "mistral_window.prefix": dict(method=PREFIX, settings=dict(num_virtual_tokens=6), training=dict(learning_rate=1e-2, weight_decay=0.01)),
    "llama_dynamic.prefix": dict(method=PREFIX, settings=dict(num_virtual_tokens=3, init_weights="zero"), training=dict(learning_rate=5e-3)),
    "llama_mha.prompt": dict(method=PROMPT, settings=dict(num_virtual_tokens=5), training=dict(learning_rate=3e-2, weight_decay=0.01)),
    "llama_gqa_tied.prompt": dict(
        method=PROMPT, settings=dict(num_virtual_tokens=1, prompt_tuning_init="SAMPLE_VOCAB"), training=dict(learning_rate=1e-2)),
    "llama_mha.p_mlp": dict(method=P_TUNING, settings=dict(num_virtual_tokens=4, encoder_hidden_size=10), training=dict(weight_decay=0.01)),
    "mistral_window.p_mlp": dict(method=P_TUNING, settings=dict(num_virtual_tokens=3)),
    "llama_mha.p_lstm": dict(
        method=P_TUNING,
        settings=dict(num_virtual_tokens=5, encoder_reparameterization_type="LSTM", encoder_hidden_size=6, encoder_num_layers=3)),
    "llama_gqa_tied.p_lstm": dict(
        method=P_TUNING, settings=dict(num_virtual_tokens=4, encoder_reparameterization_type="LSTM", encoder_hidden_size=7),
        training=dict(weight_decay=0.01, learning_rate=5e-3)),
    "opt_plain.prefix": dict(method=PREFIX, settings=dict(num_virtual_tokens=5), training=dict(learning_rate=1e-2)),
    "opt_plain.prompt": dict(method=PROMPT, settings=dict(num_virtual_tokens=4), training=dict(learning_rate=1e-2)),
    "gemma_plain.prompt": dict(method=PROMPT, settings=dict(num_virtual_tokens=3), training=dict(learning_rate=1e-2)),
    "qwen3_plain.prefix": dict(method=PREFIX, settings=dict(num_virtual_tokens=4), training=dict(learning_rate=1e-2)),
}
# The other families: every way to place positions, heads and fused layers. Settings: what PEFT does not find in config.json under a name that it knows.
OTHERS = {"gpt_neox_parallel": {}, "gpt2_plain": {}, "bloom_heads_3": {}, "falcon_multi_query": {}, "falcon_new": {}, "falcon_rw": {}, "gpt_bigcode_multi_query": {},
          "gpt_bigcode_multi_head": {}, "mpt_heads_3": dict(num_attention_heads=3), "codegen_heads_4": {}, "gptj_plain": {}}
ONE_KEY_HEAD = {"falcon_multi_query": dict(num_attention_heads=1, token_dim=8)}  # told nothing, PEFT 0.21 makes rows for every query head, which the model refuses
for name, told in OTHERS.items():
    VIRTUAL[f"{name}.prompt"] = dict(method=PROMPT, settings=dict(told, num_virtual_tokens=3), training=dict(learning_rate=3e-2))
    VIRTUAL[f"{name}.p_mlp"] = dict(method=P_TUNING, settings=dict(told, num_virtual_tokens=3, encoder_hidden_size=7))
    if name != "falcon_new":  # transformers copies its keys for every query head, and PEFT's rows are of that many: graft refuses it
        VIRTUAL[f"{name}.prefix"] = dict(method=PREFIX, settings=ONE_KEY_HEAD.get(name, told) | dict(num_virtual_tokens=4), training=dict(learning_rate=1e-2))

# All that LoRA can be, at once, on every linear layer; the norm is the family's last.
LAST_NORM = {"gpt_neox_parallel": "final_layer_norm", "mpt_heads_3": "norm_f"}
LORAS = {f"{name}.dora": dict(lora=dict(r=2, lora_alpha=5, target_modules="all-linear", use_dora=True, use_rslora=True, fan_in_fan_out=name.startswith("gpt2"),
                                        modules_to_save=[LAST_NORM.get(name, "ln_f")])) for name in OTHERS}
# A trained row of the padding token: the tied head trains it, lookups do not.
LORAS["gemma_padding.tokens"] = dict(lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"], trainable_token_indices=[26, 5, 40]))


# A LoRA that begins as the principal part of the weights. The rate is high so that what training adds stands out of the rounding in the start.
PISSA = {
    "llama_mha.pissa": dict(lora=dict(r=4, lora_alpha=8, target_modules="all-linear"), training=dict(weight_decay=0.01, learning_rate=1e-2)),
    "llama_gqa_tied.pissa": dict(lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "k_proj", "v_proj"]), training=dict(learning_rate=2e-2)),
}


def random_values(model, seed):
    """Every weight random and none trivial: norms around 1, everything else around 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            noise = torch.randn(value.shape, generator=generator)
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                value.copy_(1 + 0.3 * noise)
            else:
                value.copy_((0.5 if "embed" in name or "wte" in name or "wpe" in name else 0.25) * noise)


OLD_FALCON = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}


def spell_as_before(folder, model_type=None):
    """Rewrites config.json the way transformers 4 wrote it, or the code that came with the model before it had a name there."""
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    rope = config.pop("rope_parameters")
    if config["model_type"] == "gpt_neox":
        config["rotary_pct"], config["rotary_emb_base"] = rope.pop("partial_rotary_factor"), rope["rope_theta"]
    else:
        config["rope_theta"] = rope["rope_theta"]
    rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config["torch_dtype"] = config.pop("dtype")
    if model_type == "RefinedWebModel":
        config = {OLD_FALCON.get(k, k): v for k, v in config.items() if k not in ("new_decoder_architecture", "rope_scaling", "rope_theta", "num_kv_heads")}
        config |= {"model_type": model_type, "architectures": ["RWForCausalLM"]}
    write_json(path, config)


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


def write_lines(path, rows):
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def model_settings(case):
    """The family and all that config.json says of it."""
    own = dict(case["model"])
    family = own.pop("family", None)
    settings = own if family else {**BASE, "rope_parameters": dict(ROPE, rope_type="default"), **own}
    return family or settings.pop("model_type"), settings


def make_model(case, seed):
    """Writes model/ below the current folder."""
    family, settings = model_settings(case)
    config = AutoConfig.for_model(family, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    random_values(model, seed)
    model.to(getattr(torch, case.get("dtype", "float32"))).save_pretrained("model", max_shard_size=case.get("shard", 10**9))
    os.remove("model/generation_config.json")
    if case.get("prefix"):
        weights = load_file("model/model.safetensors")
        save_file({k.removeprefix(case["prefix"]): v for k, v in weights.items()}, "model/model.safetensors", metadata={"format": "pt"})
    if case.get("old") is True:
        spell_as_before("model")


def load_model(dtype, folder="model", attention="eager"):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    model.config.use_cache = False
    return model.eval()


def base_model(case, dtype):
    return load_model(dtype, case.get("base", "model"), case.get("attention", "eager"))


def make_adapter(case, seed):
    """Writes adapter/ below the current folder, with random values everywhere."""
    model = get_peft_model(base_model(case, torch.float32), LoraConfig(task_type="CAUSAL_LM", **case["lora"]))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if value.requires_grad:
                noise = torch.randn(value.shape, generator=generator)
                value.copy_(0.2 * noise if "lora_" in name and "magnitude" not in name else value + 0.1 * noise)
    model.save_pretrained("adapter")
    os.remove("adapter/README.md")
    with open("adapter/adapter_config.json") as file:
        config = json.load(file)
    for key in ("target_modules", "exclude_modules", "modules_to_save"):  # sets in PEFT: any order
        if isinstance(config[key], list):
            config[key].sort()
    write_json("adapter/adapter_config.json", config)


def sequences(case, seed):
    """score.jsonl and train.jsonl. The first label of a sequence has no token before it, and must not count."""
    vocab = model_settings(case)[1]["vocab_size"]
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n: torch.randint(2, vocab, (n,), generator=generator).tolist()
    score = [{"ids": draw(n)} for n in SCORE_LENGTHS]
    train = []
    for n in TRAIN_LENGTHS:
        ids = draw(n)
        trained = torch.rand(n, generator=generator) < 0.6
        trained[0] = trained[-1] = True
        train.append({"ids": ids, "labels": [i if t else -100 for i, t in zip(ids, trained)]})
    return score, train


def all_logits(model, ids):
    """[virtual tokens + length, vocabulary], as if this were the first sequence the model ever sees (dynamic rotary scaling remembers the longest)."""
    for module in model.modules():
        if hasattr(module, "original_inv_freq"):
            module.inv_freq = module.original_inv_freq.clone()
            module.max_seq_len_cached = module.original_max_seq_len
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def logits_of(model, ids):
    """[length, vocabulary]"""
    return all_logits(model, ids)[-len(ids):]


def extended(labels, rows):
    """Labels of all rows: those of virtual tokens, which are never trained, stand in front."""
    return [-100] * (rows - len(labels)) + labels


def log_probability(logits, ids):
    rows = torch.log_softmax(logits[:-1].double(), -1)
    return rows[range(len(ids) - 1), ids[1:]].sum().item()


def saved_key(model, name):
    """The name under which PEFT saves a trainable parameter."""
    return name.replace(".modules_to_save.default.", ".").replace("_vector.default.weight", "_vector").replace(".default.", ".").removesuffix(".default")


def trained_tensors(model):
    """By the keys of PEFT's files; by those of its memory where an encoder is trained, of which its files hold the result only."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if model.active_peft_config.is_prompt_learning:
        return {"prompt_embeddings": p for p in trained.values()} if len(trained) == 1 else trained
    trained = {saved_key(model, n): p for n, p in trained.items()}
    saved = {k for k in get_peft_model_state_dict(model) if not k.endswith(".base_layer.weight")}  # a targeted embedding's frozen table goes along
    if saved != set(trained):
        sys.exit(f"PEFT saves {sorted(saved ^ set(trained))} differently from what it trains")
    return trained


def make_optimizer(model, trained, settings):
    rate, decay, plus = settings["learning_rate"], settings["weight_decay"], {k: v for k, v in settings.items() if k.startswith("loraplus_")}
    if plus:
        return create_loraplus_optimizer(model, torch.optim.AdamW, lr=rate, loraplus_weight_decay=decay, foreach=False, **plus)
    return torch.optim.AdamW(trained.values(), lr=rate, weight_decay=decay, foreach=False)


def train(model, batch, settings):
    """Losses and norms per step, the gradient of the first step and the final tensors, by PEFT's keys."""
    trained = trained_tensors(model)
    optimizer = make_optimizer(model, trained, settings)
    virtual = len(all_logits(model, batch[0]["ids"])) - len(batch[0]["ids"])
    tokens = sum(label != -100 for row in batch for label in extended(row["labels"], virtual + len(row["labels"]))[1:])
    losses, norms, gradient = [], [], {}
    for _ in range(settings["max_steps"]):
        optimizer.zero_grad()
        total = 0.0
        for row in batch:
            logits = all_logits(model, row["ids"])
            labels = torch.tensor(extended(row["labels"], len(logits)))
            loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum") / tokens
            loss.backward()
            total += loss.item()
        losses.append(total)
        gradient = gradient or {f"grad.{k}": p.grad.clone() for k, p in trained.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(trained.values(), settings["max_grad_norm"], foreach=False).item())
        optimizer.step()
    final = {f"final.{k}": p.detach().clone() for k, p in (trained | get_peft_model_state_dict(model)).items()}
    return losses, norms, {**gradient, **final}


def compute(case, dtype, score, batch, settings):
    """Everything that is recorded, computed in dtype from model/ and adapter/."""
    tensors, numbers = {}, {}
    with torch.no_grad():
        base = base_model(case, dtype)
        for what, model in (("", base), ("adapter_", None)):
            if model and "base" in case:  # recorded with the model
                continue
            if model is None:
                model = PeftModel.from_pretrained(base, "adapter", is_trainable=True, autocast_adapter_dtype=False).to(dtype).eval()
            logits = [logits_of(model, row["ids"]).clone() for row in score]
            tensors |= {f"{what}logits.{i}": l for i, l in enumerate(logits)}
            numbers[f"{what}logprobs"] = [log_probability(l, row["ids"]) for l, row in zip(logits, score)]
    numbers["losses"], numbers["grad_norms"], trained = train(model, batch, settings)
    return {**tensors, **trained}, numbers


def kind_of(name):
    """The tolerance that a recorded tensor or list of numbers falls under."""
    return "final" if name.startswith("final.") else "gradient" if name.startswith("grad.") else name.removeprefix("adapter_").split(".")[0]


def noise(recorded, exact):
    """The worst error of each kind, as compare.py measures it, as a share of its tolerance."""
    worst = {}
    for name, value in recorded.items():
        if isinstance(value, list):
            error = number_error(value, exact[name])
        else:
            error = tensor_error(value.flatten().tolist(), exact[name].flatten().tolist())
        worst[kind_of(name)] = max(worst.get(kind_of(name), 0.0), error / TOLERANCE[kind_of(name)])
    return worst


def write_expected(settings, tensors, numbers):
    save_file({k: v.contiguous() for k, v in tensors.items()}, "expected.safetensors")
    write_json("expected.json", {"settings": settings, **numbers})


SETTINGS = dict(learning_rate=2e-3, weight_decay=0.0, max_grad_norm=1.0, max_steps=STEPS)


def virtual_model(case, base, dtype):
    """A model with the adapter of case over that of another one, with the values of adapter/ where it is there."""
    model = get_peft_model(base_model({**CASES[base], "base": f"../{base}/model"}, dtype), case["method"](task_type="CAUSAL_LM", **case["settings"]),
                           autocast_adapter_dtype=False)
    for file in ("adapter/adapter_trainable.safetensors", "adapter/adapter_model.safetensors"):
        if os.path.exists(file):
            values = {k.replace("prompt_embeddings", "prompt_encoder.default.embedding.weight"): v for k, v in load_file(file).items()}
            model.load_state_dict(values, strict=False)
            break
    return model.to(dtype).eval()


def make_virtual_adapter(case, base, seed):
    model, generator = virtual_model(case, base, torch.float32), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if value.requires_grad:
                value.copy_((0.6 if "embedding" in name else 0.3) * torch.randn(value.shape, generator=generator))
    model.save_pretrained("adapter")
    os.remove("adapter/README.md")
    trained = trained_tensors(model)
    if len(trained) > 1:
        save_file({k: v.detach().contiguous() for k, v in trained.items()}, "adapter/adapter_trainable.safetensors", metadata={"format": "pt"})


def compute_virtual(case, base, dtype, score, batch, settings):
    model = virtual_model(case, base, dtype)
    with torch.no_grad():
        logits = [logits_of(model, row["ids"]).clone() for row in score]
    numbers = {"adapter_logprobs": [log_probability(l, row["ids"]) for l, row in zip(logits, score)]}
    numbers["losses"], numbers["grad_norms"], trained = train(model, batch, settings)
    return {f"adapter_logits.{i}": l for i, l in enumerate(logits)} | trained, numbers


def make_virtual(name, out):
    case, base, seed = VIRTUAL[name], name.split(".")[0], 2000 + 10 * list(VIRTUAL).index(name)
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    torch.manual_seed(seed)
    make_virtual_adapter(case, base, seed)
    score, batch = read_lines(f"../{base}/score.jsonl"), read_lines(f"../{base}/train.jsonl")
    settings = SETTINGS | case.get("training", {})
    tensors, numbers = compute_virtual(case, base, torch.float32, score, batch, settings)
    exact_tensors, exact_numbers = compute_virtual(case, base, torch.float64, score, batch, settings)
    write_expected(settings, tensors, numbers)
    trained = "adapter/adapter_trainable.safetensors"
    check_record(tensors | {"logits.2": load_file(f"../{base}/expected.safetensors")["logits.2"]},
                 load_file(trained if os.path.exists(trained) else "adapter/adapter_model.safetensors"))
    return noise({**tensors, **numbers}, {**exact_tensors, **exact_numbers})


def pissa_model(case, base, dtype):
    """PEFT begins in float32 only; in float64 the start is made here, so that the noise of PEFT's start counts as noise."""
    single = dtype == torch.float32
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights="pissa" if single else True, **case["lora"])
    model = get_peft_model(load_model(dtype, f"../{base}/model"), config, autocast_adapter_dtype=False).to(dtype).eval()
    for module in [] if single else [m for m in model.modules() if isinstance(m, LoraLayer)]:
        left, value, right = torch.linalg.svd(module.base_layer.weight.data, full_matrices=False)
        root = (value[:module.r["default"]] / module.scaling["default"]).sqrt()
        module.lora_A["default"].weight.data = root[:, None] * right[:len(root)]
        module.lora_B["default"].weight.data = left[:, :len(root)] * root
        module.base_layer.weight.data -= module.get_delta_weight("default").detach()
    return model


def updates_of(model):
    """By module: its scale times B A."""
    return {name: module.get_delta_weight("default").detach() for name, module in model.base_model.model.named_modules() if isinstance(module, LoraLayer)}


def compute_pissa(case, base, dtype, score, batch, settings):
    model = pissa_model(case, base, dtype)
    start = updates_of(model)
    losses, norms, _ = train(model, batch, settings)
    with torch.no_grad():
        logits = {f"final.logits.{i}": logits_of(model, row["ids"]).clone() for i, row in enumerate(score)}
    return logits | {f"final.{m}.update": u - start[m] for m, u in updates_of(model).items()}, {"losses": losses, "grad_norms": norms}


def make_pissa(name, out):
    case, base = PISSA[name], name.split(".")[0]
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    score, batch = read_lines(f"../{base}/score.jsonl"), read_lines(f"../{base}/train.jsonl")
    settings = SETTINGS | case.get("training", {})
    tensors, numbers = compute_pissa(case, base, torch.float32, score, batch, settings)
    exact_tensors, exact_numbers = compute_pissa(case, base, torch.float64, score, batch, settings)
    section = {"peft_type": "LORA", "init_lora_weights": "pissa", **case["lora"]}
    write_expected(settings, tensors, numbers | {"section": section})
    if not all(tensor.abs().max() > 0 for tensor in tensors.values()) or torch.allclose(tensors["final.logits.2"],
                                                                                         load_file(f"../{base}/expected.safetensors")["logits.2"], atol=1e-2):
        sys.exit(f"{folder}: training changes nothing")
    return noise({**tensors, **numbers}, {**exact_tensors, **exact_numbers})


def make_lora(name, out):
    base, seed = name.split(".")[0], 3000 + 10 * list(LORAS).index(name)
    case = {**CASES[base], **LORAS[name], "base": f"../{base}/model"}
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    make_adapter(case, seed)
    score, batch = read_lines(f"../{base}/score.jsonl"), read_lines(f"../{base}/train.jsonl")
    settings = SETTINGS | LORAS[name].get("training", {})
    tensors, numbers = compute(case, torch.float32, score, batch, settings)
    exact_tensors, exact_numbers = compute(case, torch.float64, score, batch, settings)
    write_expected(settings, tensors, numbers)
    check_record(tensors | {"logits.2": load_file(f"../{base}/expected.safetensors")["logits.2"]}, load_file("adapter/adapter_model.safetensors"))
    return noise({**tensors, **numbers}, {**exact_tensors, **exact_numbers})


def make_case(name, out):
    case, seed = CASES[name], 1000 + 10 * list(CASES).index(name)
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)  # so that the adapter names its base as "model", wherever this is
    make_model(case, seed)
    make_adapter(case, seed + 1)
    score, batch = sequences(case, seed + 2)
    write_lines("score.jsonl", score)
    write_lines("train.jsonl", batch)
    settings = SETTINGS | case.get("training", {})
    tensors, numbers = compute(case, torch.float32, score, batch, settings)
    exact_tensors, exact_numbers = compute(case, torch.float64, score, batch, settings)
    write_expected(settings, tensors, numbers)
    check_record(tensors, load_file("adapter/adapter_model.safetensors"))
    if case.get("old") not in (None, True):  # transformers itself would not know it
        spell_as_before("model", case["old"])
    return noise({**tensors, **numbers}, {**exact_tensors, **exact_numbers})


def check_record(tensors, adapter):
    """A record that could not show a mistake is none: every gradient moves, the adapter changes the logits."""
    for key, value in adapter.items():
        if not key.endswith(".base_layer.weight") and (not tensors[f"grad.{key}"].abs().max() > 0 or torch.equal(tensors[f"final.{key}"], value)):
            sys.exit(f"{os.getcwd()}: {key} has no gradient")
    if torch.allclose(tensors["logits.2"], tensors["adapter_logits.2"], atol=1e-2):
        sys.exit(f"{os.getcwd()}: the adapter changes nothing")


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(where, f)) for where, _, files in os.walk(folder) for f in files)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", default=os.path.join(HERE, "records"))
    arguments.add_argument("--only", choices=[*CASES, *VIRTUAL, *LORAS, *PISSA])
    options = arguments.parse_args()
    out = os.path.abspath(options.out)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    kinds = list(TOLERANCE)
    print("float32 noise as a share of the tolerance:")
    print(f"{'case':34}{'KB':>6}  " + "".join(f"{k:>12}" for k in kinds))
    noisy = []
    for name in [options.only] if options.only else [*CASES, *VIRTUAL, *LORAS, *PISSA]:
        worst = (make_virtual if name in VIRTUAL else make_lora if name in LORAS else make_pissa if name in PISSA else make_case)(name, out)
        print(f"{name:34}{folder_bytes(os.path.join(out, name)) // 1024:6}  " + "".join(f"{worst.get(k, 0):12.3f}" for k in kinds), flush=True)
        if max(worst.values()) > 0.25:
            noisy.append(name)
    if noisy:
        sys.exit(f"too close to the tolerance to be a reference: {', '.join(noisy)}")


if __name__ == "__main__":
    main()
