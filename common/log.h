/* Warnings: things a user should know that stop nothing. Errors go up as struct error; results go to stdout; this is for the rest. */
#ifndef GRAFT_COMMON_LOG_H
#define GRAFT_COMMON_LOG_H

/* One line "graft: warning: ..." on stderr, in one write so that ranks do not mix theirs. Control characters become '?'. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
