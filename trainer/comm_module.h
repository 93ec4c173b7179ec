/* The module that speaks MPI: its file and what it offers. It is a file of its own, loaded by ranks alone, because MPI's libraries would make every start of
 * graft slower. */
#ifndef GRAFT_TRAINER_COMM_MODULE_H
#define GRAFT_TRAINER_COMM_MODULE_H

#include "trainer/comm.h"

#define COMM_MODULE "graft_mpi.so"
#define COMM_SYMBOL "comm_mpi"

extern const struct comm_kind comm_mpi;

#endif
