/* What can be seen of another rank from outside, and how its loss is put into words. For trainer/comm.c only. */
#ifndef GRAFT_TRAINER_COMM_LOOK_H
#define GRAFT_TRAINER_COMM_LOOK_H

#include "trainer/comm.h"

enum loss { PRESENT, STOPPED, ENDED, SILENT };

/* Of a rank on this host whether its process is stopped or has ended, of others whether they have let go of their connection where that can be seen; else
 * PRESENT. */
enum loss comm_look(const struct comm *comm, int rank);
/* The message about a lost rank, as UNHEALTHY. */
void comm_describe_loss(const struct comm *comm, int rank, enum loss why, struct error *err);

#endif
