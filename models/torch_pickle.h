/* Tensors that torch.save wrote (adapter_model.bin, pytorch_model.bin), read without running anything: both the zip form and the one before torch 1.6.
 *
 * The result is the same table that a safetensors file gives, pointing into the map; only the promise that tensors tile the file does not hold: two may share
 * their bytes (tied weights), and some bytes belong to none. Contents are held against the archive's checksums in files of up to 256 MiB.
 * Source of the formats: torch 2.11, torch/serialization.py (_save, _legacy_save) and torch/_utils.py (_rebuild_*).
 */
#ifndef GRAFT_MODELS_TORCH_PICKLE_H
#define GRAFT_MODELS_TORCH_PICKLE_H

#include "common/safetensors.h"

/* The file must hold one dict from names to dense, contiguous tensors. To be closed with safetensors_close(). Errors: BAD_FILE with the byte, entry or tensor
 * and what was refused. */
enum status torch_pickle_open(struct safetensors *file, struct arena *arena, const char *path, struct error *err) MUST_USE;

#endif
