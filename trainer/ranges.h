/* Which parameters learn at which rate. */
#ifndef GRAFT_TRAINER_RANGES_H
#define GRAFT_TRAINER_RANGES_H

#include "trainer/config.h"
#include "trainer/optimizer.h"

/* One range unless training.loraplus_lr_ratio is given. Lives in the arena. */
const struct ranges *ranges_new(struct arena *arena, const struct adapter *adapter, const struct training_settings *settings);

#endif
