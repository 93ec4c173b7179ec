/* The module that speaks MPI (trainer/module.h): its file and what it offers. */
#ifndef GRAFT_TRAINER_COMM_MODULE_H
#define GRAFT_TRAINER_COMM_MODULE_H

#include "trainer/comm.h"

#define COMM_MODULE "graft_mpi.so"
#define COMM_SYMBOL "comm_mpi"

extern const struct comm_kind comm_mpi;

#endif
