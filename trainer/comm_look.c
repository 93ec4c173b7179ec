/* The processes of other ranks as the system shows them. */
#include "trainer/comm_look.h"

#include <stdio.h>
#include <string.h>

/* The letter behind the name in /proc/N/stat; 0 without such a process. */
static int state_of(int64_t process)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)process);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    const size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    const char *name_end = strrchr(line, ')');
    return name_end && name_end[1] ? name_end[2] : 0;
}

enum loss comm_look(const struct comm *comm, int rank)
{
    const struct rank_about *me = &comm->about[comm->rank], *it = &comm->about[rank];
    if (comm->kind->gone && comm->kind->gone(comm, rank))
        return ENDED;
    if (strcmp(me->host, it->host) != 0 || me->space != it->space)
        return PRESENT;
    const int state = state_of(it->process);
    return state == 0 || state == 'Z' || state == 'X' ? ENDED : state == 'T' || state == 't' ? STOPPED : PRESENT;
}

void comm_describe_loss(const struct comm *comm, int rank, enum loss why, struct error *err)
{
    char name[96];
    comm_name(comm, rank, name);
    *err = (struct error){ 0 };
    if (why == ENDED)
        fail_with(err, UNHEALTHY, "%s has ended in step %lld: %s", "see what that host says of it (memory, signals); what was saved before is whole", name,
                  (long long)comm->step, comm->phase);
    else
        fail_with(err, UNHEALTHY, "%s did not answer for %.9g s in step %lld: %s%s",
                  "see what that host says of it; if it is only slow, raise training.rank_timeout; what was saved before is whole", name, comm->timeout,
                  (long long)comm->step, comm->phase, why == STOPPED ? " (its process is stopped)" : "");
}
