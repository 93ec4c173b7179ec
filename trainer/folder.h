/* Where things lie in the folder of a run, and which of those that carry a step are there. */
#ifndef GRAFT_TRAINER_FOLDER_H
#define GRAFT_TRAINER_FOLDER_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

/* Steps of which something was kept, oldest first. */
struct kept {
    int64_t *step, count, room;
};

const char *folder_checkpoint(struct arena *arena, const char *folder, int64_t step); /* folder/checkpoints/step-000200.h5 */
const char *folder_adapter(struct arena *arena, const char *folder, int64_t step);    /* folder/adapters/step-000200 */
/* Those that are there; other names are passed over. Errors: DISK. */
enum status folder_checkpoints(struct arena *arena, const char *folder, struct kept *kept, struct error *err) MUST_USE;
enum status folder_adapters(struct arena *arena, const char *folder, struct kept *kept, struct error *err) MUST_USE;
/* Keeps other processes of graft from training into the folder, which is there, until *lock is closed. Errors: EXISTS if one does. */
enum status folder_lock(const char *folder, int *lock, struct error *err) MUST_USE;
/* Removes the files beside others that a killed process left. Errors: DISK. */
enum status folder_sweep(struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* Adds the newest. */
void kept_add(struct kept *kept, struct arena *arena, int64_t step);

#endif
