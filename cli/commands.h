/* All commands: one row each, defined in the file of its name. */
#ifndef GRAFT_CLI_COMMANDS_H
#define GRAFT_CLI_COMMANDS_H

#include "cli/options.h"

extern const struct command command_train, command_plan, command_score, command_generate, command_evaluate, command_data, command_tokenize, command_detokenize,
    command_inspect, command_merge, command_doctor, command_replay, command_report;

#endif
