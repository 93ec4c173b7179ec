/* Writing adapter_config.json and the model card that stands beside it. */
#include "adapters/peft_files.h"

#include "common/files.h"
#include "common/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum status describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const int failed = json_object_set_new(json, "base_model_name_or_path", json_string(adapter->base)) |
                       json_object_set_new(json, "inference_mode", json_true()) |
                       json_object_set_new(json, "peft_type", json_string(adapter->kind->peft_type)) | json_object_set_new(json, "revision", json_null()) |
                       json_object_set_new(json, "task_type", json_string("CAUSAL_LM"));
    if (failed)
        return fail_with(err, BAD_CONFIG, "model.path: '%s' is no valid UTF-8 and cannot be saved", "give the model folder a name in UTF-8", adapter->base);
    return adapter->kind->describe(adapter, model, json, err);
}

enum status peft_config_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                              struct error *err)
{
    json_t *json = json_object();
    enum status status = describe(adapter, model, json, err);
    char *text = status == OK ? json_print(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
    if (status == OK && !text)
        status = fail_with(err, NO_MEMORY, "adapter_config.json: no memory to write it", "free some memory");
    if (status == OK)
        status = output_open(out, arena, path_join(arena, folder, "adapter_config.json"), true, err);
    if (status == OK)
        output_string(out, text);
    free(text);
    json_decref(json);
    return status;
}

enum status peft_card_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                            struct error *err)
{
    struct text card = text_new(arena);
    text_add_string(&card, "---\nbase_model: ");
    text_add_yaml(&card, adapter->base);
    text_print(&card,
               "\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- base_model:adapter\n- %s\n---\n\n# %s adapter\n\n"
               "An adapter for the %s model `%s`: %" PRId64 " trained values in %d tensors, made with graft %s.\n\n## Settings\n\n```yaml\n",
               strcmp(adapter->kind->peft_type, "LORA") == 0 ? "lora" : "peft", adapter->kind->peft_type, model->config.model_type, adapter->base,
               parameters_size(adapter->parameters), adapter->parameters->tensors, GRAFT_VERSION);
    settings_print(&card, adapter->kind->setting, adapter->kind->settings, adapter->settings, 0);
    text_print(&card, "```\n\n## Use\n\nWith PEFT:\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
                      "model = AutoModelForCausalLM.from_pretrained(BASE)\nmodel = PeftModel.from_pretrained(model, ADAPTER)\n```\n\n"
                      "With vLLM (if it serves this adapter's method and settings for the base model):\n\n```\nvllm serve BASE --enable-lora --lora-modules "
                      "adapter=ADAPTER\n```\n\nWith graft:\n\n```\ngraft generate --model BASE --adapter ADAPTER --prompt \"...\"\n```\n\n"
                      "BASE is the folder or name of the base model, ADAPTER this folder.\n");
    TRY(output_open(out, arena, path_join(arena, folder, "README.md"), true, err));
    output_string(out, card.bytes);
    return OK;
}
